//! `.changes`: what an upload consists of (deb-changes(5), Policy 5.5).

use crate::control::Stanza;
use crate::date::format_changelog_date;
use crate::listed_file::{ListedFile, multiline, word_list};
use crate::names::{Architecture, PackageName, SuiteName};
use crate::version::Version;
use jiff::Timestamp;

/// The version of the format that is written.
const FORMAT: &str = "1.8";

/// An upload of packages that were built from one source in one version.
#[derive(Debug, Clone)]
pub struct Changes {
    /// When the packages were made.
    pub date: Timestamp,
    /// The source's name; its version in parentheses if that is another one.
    pub source: String,
    /// The packages, each with the first line of its description.
    pub packages: Vec<(PackageName, String)>,
    /// For what they were built.
    pub architectures: Vec<Architecture>,
    /// Of the packages.
    pub version: Version,
    /// Where they should be installed.
    pub distribution: SuiteName,
    /// `Name <mail>`; stands as Maintainer and as Changed-By.
    pub maintainer: String,
    /// What the changelog says of this version.
    pub entry: ChangelogEntry,
    /// Everything that is uploaded with it.
    pub files: Vec<UploadedFile>,
}

/// What a `.changes` takes over from a changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangelogEntry {
    /// Such as `medium`.
    pub urgency: String,
    /// The entry from its headline on, without the line of who and when.
    pub text: String,
}

/// A file of an upload.
#[derive(Debug, Clone)]
pub struct UploadedFile {
    /// Its name and checksums.
    pub file: ListedFile,
    /// The package's section.
    pub section: String,
    /// The package's priority.
    pub priority: String,
}

impl Changes {
    /// `<name>_<version>_<architecture>.changes`, the version without its epoch; `multi` for several architectures.
    #[must_use]
    pub fn file_name(&self, name: &PackageName) -> String {
        let architecture = match self.architectures.as_slice() {
            [one] => one.as_str(),
            _ => "multi",
        };
        format!("{name}_{}_{architecture}.changes", self.version.without_epoch())
    }

    /// The fields, in the order of deb-changes(5).
    #[must_use]
    pub fn to_stanza(&self) -> Stanza {
        let digests = |digest: fn(&ListedFile) -> &str| {
            multiline(&self.files, |UploadedFile { file, .. }| {
                format!("{} {} {}", digest(file), file.checksums.size, file.name)
            })
        };
        let mut stanza = Stanza::new();
        stanza.set("Format", FORMAT);
        stanza.set("Date", &format_changelog_date(self.date));
        stanza.set("Source", &self.source);
        stanza.set("Binary", &word_list(self.packages.iter().map(|(name, _)| name.as_str())));
        stanza.set("Architecture", &word_list(self.architectures.iter().map(Architecture::as_str)));
        stanza.set("Version", self.version.as_str());
        stanza.set("Distribution", self.distribution.as_str());
        stanza.set("Urgency", &self.entry.urgency);
        stanza.set("Maintainer", &self.maintainer);
        stanza.set("Changed-By", &self.maintainer);
        stanza.set("Description", &multiline(&self.packages, |(name, synopsis)| format!("{name} - {synopsis}")));
        stanza.set("Changes", &format!("\n{}", self.entry.text));
        stanza.set("Checksums-Sha1", &digests(|file| &file.sha1));
        stanza.set("Checksums-Sha256", &digests(|file| &file.checksums.sha256));
        let files = multiline(&self.files, |UploadedFile { file, section, priority }| {
            format!("{} {} {section} {priority} {}", file.checksums.md5, file.checksums.size, file.name)
        });
        stanza.set("Files", &files);
        stanza
    }
}

impl ChangelogEntry {
    /// The newest entry of a changelog (Policy 4.4): its headline, and its lines up to the one of who and when.
    /// None if the text does not begin as a changelog does.
    #[must_use]
    pub fn newest_of(changelog: &str) -> Option<Self> {
        let mut lines = changelog.lines().skip_while(|line| line.trim().is_empty());
        let headline = lines.next()?.trim_end();
        let (_, keys) = headline.split_once(')')?.1.split_once(';')?;
        let urgency = keys.split(',').find_map(|key| {
            let (name, value) = key.split_once('=')?;
            name.trim().eq_ignore_ascii_case("urgency").then(|| value.trim().to_owned())
        });
        let body: Vec<&str> = lines
            .take_while(|line| line.is_empty() || line.starts_with([' ', '\t']))
            .take_while(|line| !line.starts_with(" -- "))
            .collect();
        let text = format!("{headline}\n{}", body.join("\n"));
        Some(Self { urgency: urgency.unwrap_or_else(|| "medium".to_owned()), text: text.trim_end().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGELOG: &str = "hi (0.2.0-1) stable; urgency=High, binary-only=no\n\n  * Say more.\n\n  * Less noise.\n\n \
                             -- A <a@example.org>  Sat, 21 Nov 2026 10:00:00 +0000\n\nhi (0.1.0-1) stable; urgency=low\n\n\
                             \x20 * First.\n\n -- A <a@example.org>  Fri, 20 Nov 2026 10:00:00 +0000\n";

    fn changes() -> Changes {
        let file = ListedFile::of_reader("hi_0.2.0-1_all.deb", &b"abc"[..]).unwrap();
        Changes {
            date: "2026-11-21T10:00:00Z".parse().unwrap(),
            source: "hi".into(),
            packages: vec![("hi".parse().unwrap(), "says hi".into())],
            architectures: vec!["all".parse().unwrap()],
            version: "1:0.2.0-1".parse().unwrap(),
            distribution: "stable".parse().unwrap(),
            maintainer: "A <a@example.org>".into(),
            entry: ChangelogEntry::newest_of(CHANGELOG).unwrap(),
            files: vec![UploadedFile { file, section: "misc".into(), priority: "optional".into() }],
        }
    }

    #[test]
    fn the_fields_are_those_of_the_manual_page() {
        let text = changes().to_stanza().to_string();
        let expected = "Format: 1.8\nDate: Sat, 21 Nov 2026 10:00:00 +0000\nSource: hi\nBinary: hi\nArchitecture: all\n\
             Version: 1:0.2.0-1\nDistribution: stable\nUrgency: High\nMaintainer: A <a@example.org>\n\
             Changed-By: A <a@example.org>\nDescription:\n hi - says hi\n\
             Changes:\n hi (0.2.0-1) stable; urgency=High, binary-only=no\n .\n   * Say more.\n .\n   * Less noise.\n\
             Checksums-Sha1:\n a9993e364706816aba3e25717850c26c9cd0d89d 3 hi_0.2.0-1_all.deb\n\
             Checksums-Sha256:\n ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 3 hi_0.2.0-1_all.deb\n\
             Files:\n 900150983cd24fb0d6963f7d28e17f72 3 misc optional hi_0.2.0-1_all.deb\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn several_architectures_make_one_upload() {
        let name = "hi".parse().unwrap();
        let mut changes = changes();
        assert_eq!(changes.file_name(&name), "hi_0.2.0-1_all.changes");
        changes.architectures = ["arm64", "amd64", "arm64"].map(|name| name.parse().unwrap()).to_vec();
        assert_eq!(changes.file_name(&name), "hi_0.2.0-1_multi.changes");
        assert_eq!(changes.to_stanza().get("Architecture"), Some("amd64 arm64"));
    }

    #[test]
    fn a_text_that_is_no_changelog_gives_no_entry() {
        for text in ["", "\n\n", "All notable changes\n=====\n", "hi (1) stable\n"] {
            assert_eq!(ChangelogEntry::newest_of(text), None, "{text:?}");
        }
        let entry = ChangelogEntry::newest_of("hi (1) stable; x=y\n\n  * A.\n").unwrap();
        assert_eq!((entry.urgency.as_str(), entry.text.as_str()), ("medium", "hi (1) stable; x=y\n\n  * A."));
    }
}
