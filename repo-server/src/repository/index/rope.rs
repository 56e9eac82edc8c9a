//! A file in pieces that other files share, with its hash. Hashing goes on from where the last version of the same file
//! was equal, so that adding to the end of a large file costs what is added.

use bytes::Bytes;
use debian_formats::checksums::{Sha256Hasher, sha256_hex};

/// A file in memory: its pieces, one behind the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rope {
    pieces: Vec<Bytes>,
    size: u64,
}

impl Rope {
    pub(crate) fn new(pieces: Vec<Bytes>) -> Self {
        let size = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces, size }
    }

    /// Bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The pieces that hold these bytes of it, cut to them, none larger than `most`.
    pub(crate) fn range(&self, range: std::ops::Range<u64>, most: usize) -> Vec<Bytes> {
        let (mut found, mut start) = (Vec::new(), 0u64);
        for piece in &self.pieces {
            let within = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(usize::MAX).min(piece.len());
            let (mut from, to) = (within(range.start), within(range.end));
            while from < to {
                let end = to.min(from.saturating_add(most.max(1)));
                found.push(piece.slice(from..end));
                from = end;
            }
            start += piece.len() as u64;
        }
        found
    }
}

/// The hash of one file and, for its next version, of all its beginnings that end with a piece.
#[derive(Debug, Clone, Default)]
pub(super) struct RunningHash {
    steps: Vec<(Bytes, Sha256Hasher)>,
}

impl RunningHash {
    /// The hash of these pieces, in lower-case hex, knowing that of the file's last version.
    pub(super) fn of(before: Option<&Self>, pieces: &[Bytes]) -> (String, Self) {
        let known = before.map_or(&[][..], |before| &before.steps);
        let same = known.iter().zip(pieces).take_while(|((old, _), new)| is_same(old, new)).count();
        let mut steps = known[..same].to_vec();
        let mut hasher = steps.last().map_or_else(Sha256Hasher::default, |(_, hasher)| hasher.clone());
        for piece in &pieces[same..] {
            hasher.update(piece);
            steps.push((piece.clone(), hasher.clone()));
        }
        (hasher.finish(), Self { steps })
    }
}

/// Shared pieces lie at the same place; comparing those that do not is not worth its time.
fn is_same(a: &Bytes, b: &Bytes) -> bool {
    a.len() == b.len() && a.as_ptr() == b.as_ptr()
}

/// A text of one piece.
pub(crate) fn text(content: &str) -> (Rope, String) {
    let content = Bytes::copy_from_slice(content.as_bytes());
    let sha256 = sha256_hex(&content);
    (Rope::new(vec![content]), sha256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_out_of_the_pieces() {
        let rope = Rope::new(vec![Bytes::from("abc"), Bytes::new(), Bytes::from("defgh"), Bytes::from("i")]);
        assert_eq!(rope.size(), 9);
        for (range, most, expected) in [
            (0..9, 100, vec!["abc", "defgh", "i"]),
            (0..9, 2, vec!["ab", "c", "de", "fg", "h", "i"]),
            (2..4, 100, vec!["c", "d"]),
            (4..5, 100, vec!["e"]),
            (3..3, 100, vec![]),
            (8..9, 100, vec!["i"]),
        ] {
            assert_eq!(rope.range(range.clone(), most), expected, "{range:?} {most}");
        }
    }

    #[test]
    fn the_hash_is_that_of_the_whole_whatever_was_before() {
        let pieces: Vec<Bytes> = ["one", "two", "three", "four"].map(Bytes::from).into();
        let (_, long) = RunningHash::of(None, &pieces);
        for count in 0..=pieces.len() {
            let mut changed = pieces[..count].to_vec();
            for _ in 0..2 {
                let whole = sha256_hex(&changed.concat());
                assert_eq!(RunningHash::of(Some(&long), &changed).0, whole);
                assert_eq!(RunningHash::of(None, &changed).0, whole);
                changed.push(Bytes::from("other"));
            }
        }
    }
}
