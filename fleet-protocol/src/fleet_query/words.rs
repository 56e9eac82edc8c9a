//! Words and numbers, as facts are kept and queries ask for them.

/// What stands before a JSON number among the terms. No text has it: control characters separate words.
pub(super) const NUMBER_MARK: char = '\u{1}';

/// How a JSON number stands among the terms: 80 and 80.0 are the same.
pub(super) fn term_of_number(number: f64) -> String {
    // Adding zero makes the negative zero an ordinary one.
    format!("{NUMBER_MARK}{}", number + 0.0)
}

/// The number that a text is, written with digits.
pub(super) fn number_of(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number: f64 = if plain { text.parse().ok()? } else { return None };
    number.is_finite().then_some(number)
}

/// Its words in lower case, between white space and control characters.
pub(super) fn lower_words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_with_digits() {
        assert_eq!(number_of("-1.5e3"), Some(-1500.0));
        for bad in ["", "inf", "nan", "1e999", "0x1", "1_0", " 1", "infinity", "1.3.0-1"] {
            assert_eq!(number_of(bad), None, "{bad}");
        }
    }
}
