//! What somebody may have meant by a word that nobody knows.

/// The known word that takes the fewest edits, if it takes few enough to be a slip.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let close = (word.len() / 3).max(1);
    known
        .iter()
        .map(|other| (edits(word, other), *other))
        .filter(|(edits, _)| *edits <= close)
        .min()
        .map(|(_, other)| other)
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised() {
        let known = ["name", "version", "maintainer", "pre-depends"];
        assert_eq!(nearest("maintaner", &known), Some("maintainer"));
        assert_eq!(nearest("predepends", &known), Some("pre-depends"));
        assert_eq!(nearest("colour", &known), None);
    }
}
