//! Writing an entry.

use crate::date::format_changelog_date;
use crate::names::PackageName;
use crate::version::Version;
use jiff::Timestamp;
use std::fmt;

/// No line is longer, so that every terminal shows it whole; lintian complains of more.
const COLUMNS: usize = 80;

/// What one version brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The source package.
    pub package: PackageName,
    /// The version that the entry tells of.
    pub version: Version,
    /// The suites that it is meant for, such as `stable`.
    pub distribution: String,
    /// What changed, a point each. Blanks and control characters count as one space.
    pub changes: Vec<String>,
    /// `Name <mail>`.
    pub maintainer: String,
    /// When the version was made.
    pub date: Timestamp,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({}) {}; urgency=medium\n", self.package, self.version, self.distribution)?;
        for change in &self.changes {
            write_point(f, change)?;
        }
        writeln!(f, "\n -- {}  {}", self.maintainer, format_changelog_date(self.date))
    }
}

/// `  * ` and the words, later lines below the first word; a word that is longer than a line keeps a line to itself.
fn write_point(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    const INDENT: usize = 4;
    f.write_str("  *")?;
    let mut column = INDENT - 1;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let width = word.chars().count();
        if column >= INDENT && column + 1 + width > COLUMNS {
            write!(f, "\n{:INDENT$}", "")?;
            column = INDENT;
        } else {
            f.write_str(" ")?;
            column += 1;
        }
        f.write_str(word)?;
        column += width;
    }
    f.write_str("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changelog::{entries, newest};
    use proptest::prelude::*;
    use std::io::Write;
    use std::process::Command;

    fn entry(version: &str, changes: &[&str]) -> Entry {
        Entry {
            package: "hi".parse().unwrap(),
            version: version.parse().unwrap(),
            distribution: "stable".to_owned(),
            changes: changes.iter().map(|change| (*change).to_owned()).collect(),
            maintainer: "A B <a@example.org>".to_owned(),
            date: "2026-11-21T09:05:03Z".parse().unwrap(),
        }
    }

    /// What the real dpkg-parsechangelog reads, with every warning.
    fn parsed(text: &str) -> (String, String) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let output = Command::new("dpkg-parsechangelog").arg("-l").arg(file.path()).output().unwrap();
        assert!(output.status.success());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    }

    #[test]
    fn an_entry_reads_as_deb_changelog_says() {
        let long = "Wait for the lamp, which may take longer than anybody thought when the first of its kind was made";
        let text = entry("1:1.3.0~rc.1-1", &["Light  the\tlamp", long]).to_string();
        assert_eq!(
            text,
            "hi (1:1.3.0~rc.1-1) stable; urgency=medium\n\n  * Light the lamp\n  * Wait for the lamp, which may take \
             longer than anybody thought when the first\n    of its kind was made\n\n -- A B <a@example.org>  Sat, 21 Nov \
             2026 09:05:03 +0000\n"
        );
        let (told, warnings) = parsed(&text);
        assert_eq!(warnings, "");
        for line in ["Source: hi\n", "Version: 1:1.3.0~rc.1-1\n", "Distribution: stable\n", "   * Light the lamp\n"] {
            assert!(told.contains(line), "{line:?} in {told}");
        }
    }

    #[test]
    fn a_newer_entry_stands_above() {
        let text = format!("{}\n{}", entry("1.1.0-1", &["Two"]), entry("1.0.0-1", &["One"]));
        let (told, warnings) = parsed(&text);
        assert_eq!(warnings, "");
        assert!(told.contains("Version: 1.1.0-1\n"), "{told}");
        assert_eq!(newest(&text).unwrap().version.as_str(), "1.1.0-1");
        assert_eq!(entries(&text), 2);
    }

    #[test]
    fn a_word_longer_than_a_line_keeps_a_line_to_itself() {
        let long = "x".repeat(90);
        let text = entry("1-1", &[&long, &format!("a {long} b")]).to_string();
        assert!(text.contains(&format!("\n  * {long}\n  * a\n    {long}\n    b\n")), "{text}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        /// Nothing in a subject can end the entry or begin another.
        #[test]
        fn dpkg_reads_any_subject_as_a_change(subject in "\\PC{0,100}|( -- A <a@b>  |hi \\(1\\) x; urgency=low|\n|vim:|#|[a-z \t]){0,20}") {
            let entry = entry("1.0.0-1", &["First", &subject, "Last"]);
            let (told, warnings) = parsed(&entry.to_string());
            prop_assert_eq!(warnings, "");
            prop_assert!(told.contains("\n   * First\n") && told.contains("\n   * Last\n"), "{}", told);
            let is_sound = |line: &str| line.chars().count() <= COLUMNS || line.trim_start_matches([' ', '*']).split(' ').count() == 1;
            prop_assert!(entry.to_string().lines().all(is_sound));
        }
    }
}
