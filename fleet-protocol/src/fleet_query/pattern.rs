//! Forms that values may have: `*` stands for any text, `?` for one character.

use super::words::{lower_words, number_of, term_of_number};

/// A form, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Piece>);

/// A part of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// This text.
    Text(String),
    /// `*`.
    Any,
    /// `?`.
    One,
}

impl Pattern {
    pub(super) fn new(pieces: Vec<Piece>) -> Self {
        let mut joined: Vec<Piece> = Vec::new();
        for piece in pieces {
            match (joined.last_mut(), piece) {
                (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(&text),
                (Some(Piece::Any), Piece::Any) => {}
                (_, piece) => joined.push(piece),
            }
        }
        for piece in &mut joined {
            if let Piece::Text(text) = piece {
                *text = text.to_lowercase();
            }
        }
        Self(joined)
    }

    /// Its parts, one behind the other.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The one text that it stands for, if it has no wildcards.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The number that it is, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        number_of(self.exact()?)
    }

    /// How that number stands among the terms.
    #[must_use]
    pub fn number_term(&self) -> Option<String> {
        self.number().map(term_of_number)
    }

    pub(super) fn is_any(&self) -> bool {
        self.0 == [Piece::Any]
    }

    /// Whether a text in lower case is of this form.
    pub(super) fn matches(&self, text: &str) -> bool {
        // The usual way with one place to come back to: a later `*` makes an earlier one's choice final.
        let (mut pieces, mut rest) = (self.0.as_slice(), text);
        let mut again: Option<(&[Piece], &str)> = None;
        loop {
            let advanced = match pieces {
                [Piece::Any, behind @ ..] => {
                    again = Some((behind, rest));
                    Some((behind, rest))
                }
                [Piece::One, behind @ ..] => {
                    let mut chars = rest.chars();
                    chars.next().map(|_| (behind, chars.as_str()))
                }
                [Piece::Text(text), behind @ ..] => rest.strip_prefix(text.as_str()).map(|rest| (behind, rest)),
                [] if rest.is_empty() => return true,
                [] => None,
            };
            (pieces, rest) = match (advanced, again) {
                (Some(next), _) => next,
                (None, Some((behind, from))) => {
                    let mut chars = from.chars();
                    if chars.next().is_none() {
                        return false;
                    }
                    again = Some((behind, chars.as_str()));
                    (behind, chars.as_str())
                }
                (None, None) => return false,
            };
        }
    }
}

/// Words in lower case with a blank between two.
pub(super) fn phrase_of(text: &str) -> String {
    lower_words(text).join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use Piece::{Any, One};

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    #[test]
    fn wildcards_stand_for_what_they_should() {
        let of = |pieces: &[Piece]| Pattern::new(pieces.to_vec());
        for (pattern, good, bad) in [
            (of(&[text("AB"), Any]), &["ab", "abc"][..], &["a", "xab"][..]),
            (of(&[Any, text("b")]), &["b", "abb", "bab"], &["ba", ""]),
            (of(&[text("a"), Any, text("b"), Any, text("c")]), &["abc", "aabbcc", "abcbc"], &["ac", "abcd"]),
            (of(&[One, One]), &["ab", "\u{e9}b"], &["a", "abc"]),
            (of(&[Any, One]), &["a", "abc"], &[""]),
            (of(&[text("a"), text("b")]), &["ab"], &["a", "abc"]),
        ] {
            assert!(good.iter().all(|text| pattern.matches(text)), "{pattern:?}");
            assert!(!bad.iter().any(|text| pattern.matches(text)), "{pattern:?}");
        }
    }
}
