//! What stands in an index for one package.

use super::IndexEntry;
use bytes::Bytes;
use std::fmt::Write as _;
use std::sync::Arc;

/// The stanza in Packages. apt spreads a version over a fleet by `Phased-Update-Percentage` (apt_preferences(5)).
pub(in crate::repository) fn packages_entry(package: Arc<str>, stanza: &str, phased: Option<u8>) -> IndexEntry {
    let mut text = String::with_capacity(stanza.len() + 40);
    text.push_str(stanza.trim_end_matches('\n'));
    text.push('\n');
    if let Some(percentage) = phased {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "Phased-Update-Percentage: {percentage}");
    }
    text.push('\n');
    IndexEntry { package, text: Bytes::from(text) }
}

/// The lines in Contents: each path of the package, and `section/name` (Debian wiki, DebianRepository/Format). None if
/// it holds no files.
pub(in crate::repository) fn contents_entry(
    package: Arc<str>,
    name: &str,
    section: Option<&str>,
    paths: &str,
) -> Option<IndexEntry> {
    let owner = section.map_or_else(|| name.to_owned(), |section| format!("{section}/{name}"));
    let mut text = String::new();
    for path in paths.lines() {
        let _ = writeln!(text, "{path:<59} {owner}");
    }
    (!text.is_empty()).then(|| IndexEntry { package, text: Bytes::from(text) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stanza_ends_with_one_empty_line_and_tells_its_phase() {
        for stanza in ["Package: a", "Package: a\n", "Package: a\n\n"] {
            assert_eq!(packages_entry("x".into(), stanza, None).text, "Package: a\n\n");
        }
        let phased = packages_entry("x".into(), "Package: a\n", Some(20)).text;
        assert_eq!(phased, "Package: a\nPhased-Update-Percentage: 20\n\n");
    }

    #[test]
    fn contents_name_section_and_package() {
        let entry = contents_entry("x".into(), "hi", Some("utils"), "usr/bin/hi\nusr/share/doc/hi/a b\n").unwrap();
        let lines: Vec<_> = std::str::from_utf8(&entry.text).unwrap().lines().collect();
        assert_eq!(lines[0].split_once("  ").map(|(path, rest)| (path, rest.trim())), Some(("usr/bin/hi", "utils/hi")));
        assert!(lines[1].starts_with("usr/share/doc/hi/a b ") && lines[1].ends_with(" utils/hi"));
        assert_eq!(contents_entry("x".into(), "hi", None, ""), None);
    }
}
