//! Texts as TOML writes them (TOML 1.0, "String"): whatever a stranger's file holds stays inside its quotes.

use std::fmt::Write as _;

/// A basic string of one line.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text, false))
}

/// A basic string of many lines.
pub(super) fn block(text: &str) -> String {
    format!("\"\"\"\n{}\"\"\"", escaped(text, true))
}

/// A list of texts, broken into lines when it is long.
pub(super) fn list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    let line = format!("[{}]", quoted.join(", "));
    if line.len() <= 100 { line } else { format!("[\n    {},\n]", quoted.join(",\n    ")) }
}

/// A line of a comment; a line break in it would end the comment.
pub(super) fn comment(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.trim().is_empty() { "#\n".to_owned() } else { format!("# {}\n", line.trim_end()) }
}

fn escaped(text: &str, many_lines: bool) -> String {
    let mut written = String::with_capacity(text.len());
    for (index, c) in text.char_indices() {
        match c {
            '\\' => written.push_str("\\\\"),
            // A single quote mark may stand in a block; two and more could end it.
            '"' if many_lines && !text[index + 1..].is_empty() && !text[index + 1..].starts_with('"') => {
                written.push('"');
            }
            '"' => written.push_str("\\\""),
            '\n' if many_lines => written.push('\n'),
            '\n' => written.push_str("\\n"),
            '\t' => written.push_str("\\t"),
            '\r' => written.push_str("\\r"),
            c if c.is_control() => drop(write!(written, "\\u{:04X}", u32::from(c))),
            c => written.push(c),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_written_is_read_back() {
        let hostile = ["", "a", "\"", "\"\"\"", "a\"\"\"\n[files]\n", "\\", "\\\"", "\u{0}\u{7f}\u{85}\r\t", "é\"\n\""];
        for text in hostile {
            for written in [quoted(text), block(text), list(&[text.to_owned(), text.to_owned()])] {
                let table: toml::Table = format!("k = {written}\nlast = 1\n").parse().unwrap();
                let read = table["k"].as_str().or_else(|| table["k"][0].as_str()).unwrap();
                assert_eq!(read, text, "{written}");
                assert_eq!(table.len(), 2);
            }
        }
    }

    #[test]
    fn a_comment_stays_on_its_line() {
        assert_eq!(comment("a\n[files]\r\nb"), "# a [files]  b\n");
    }
}
