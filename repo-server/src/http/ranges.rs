//! Which parts of a file a client asks for (RFC 9110 §14). Pure.

use std::ops::Range;

/// More parts than this are sent as the whole: no client needs them, and each costs work.
const MAX_PARTS: usize = 16;

/// What of a file is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    Whole,
    /// These parts, in the order in which they were asked for; at least one.
    Parts(Vec<Range<u64>>),
    /// Only such as the file does not have.
    Unsatisfiable,
}

/// What the value of a Range header selects of a file of this length. One that makes no sense is ignored, as is one
/// that asks for more bytes than there are (§14.2 allows both).
pub(super) fn select(header: &str, length: u64) -> Selection {
    let Some(specs) = header.split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes")) else {
        return Selection::Whole;
    };
    let mut parts = Vec::new();
    for (number, spec) in specs.1.split(',').enumerate() {
        match part(spec.trim(), length) {
            Some(part) if number < MAX_PARTS => parts.extend(part),
            _ => return Selection::Whole,
        }
    }
    let asked = parts.iter().fold(0u64, |sum, part| sum.saturating_add(part.end - part.start));
    if parts.is_empty() {
        Selection::Unsatisfiable
    } else if asked > length {
        Selection::Whole
    } else {
        Selection::Parts(parts)
    }
}

/// None when it is no range at all; an inner None when the file has nothing of it.
fn part(spec: &str, length: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = spec.split_once('-')?;
    let part = match (number(first)?, number(last)?) {
        (Some(first), Some(last)) if last < first => return None,
        (Some(first), last) => first..last.map_or(length, |last| last.saturating_add(1).min(length)),
        (None, Some(suffix)) => length.saturating_sub(suffix)..length,
        (None, None) => return None,
    };
    Some((part.start < part.end).then_some(part))
}

/// A number, or nothing; None when it is something else. One that is too large is as good as the largest.
fn number(text: &str) -> Option<Option<u64>> {
    match text {
        "" => Some(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(Some(digits.parse().unwrap_or(u64::MAX))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_sense_is_selected() {
        let parts = |header: &str| select(header, 1000);
        let one = |range| Selection::Parts(vec![range]);
        assert_eq!(parts("bytes=0-0"), one(0..1));
        assert_eq!(parts("Bytes= 10-19"), one(10..20));
        assert_eq!(parts("bytes=100-"), one(100..1000));
        assert_eq!(parts("bytes=-1"), one(999..1000));
        assert_eq!(parts("bytes=-5000"), one(0..1000));
        assert_eq!(parts("bytes=900-99999999999999999999999"), one(900..1000));
        assert_eq!(parts("bytes=0-9,20-29 , -1"), Selection::Parts(vec![0..10, 20..30, 999..1000]));
        assert_eq!(parts("bytes=0-9,1000-"), one(0..10), "the file has nothing of the second");
    }

    #[test]
    fn what_the_file_does_not_have_is_refused() {
        for header in ["bytes=1000-", "bytes=1000-2000,5000-", "bytes=-0"] {
            assert_eq!(select(header, 1000), Selection::Unsatisfiable, "{header}");
        }
        assert_eq!(select("bytes=0-", 0), Selection::Unsatisfiable);
    }

    #[test]
    fn what_makes_no_sense_or_too_much_work_gets_the_whole() {
        let many = format!("bytes={}", ["0-0"; 17].join(","));
        for header in ["", "bytes", "bytes=", "bytes=-", "bytes=5-1", "bytes=a-", "bytes=1-+2", "lines=0-1", &many] {
            assert_eq!(select(header, 1000), Selection::Whole, "{header}");
        }
        assert_eq!(select("bytes=0-,0-,0-", 1000), Selection::Whole, "more than there is");
    }
}
