//! `.buildinfo`: how packages were built (deb-buildinfo(5)), with the fields of ours that say from what.
//!
//! Nothing in it names a host, a user or an absolute path, so that the same source gives the same bytes anywhere.

use crate::control::Stanza;
use crate::date::format_changelog_date;
use crate::listed_file::{ListedFile, multiline};
use crate::names::{Architecture, PackageName};
use crate::version::Version;
use jiff::Timestamp;
use std::fmt;

/// The version of the format that is written.
const FORMAT: &str = "1.0";

/// The build of one package for one architecture.
#[derive(Debug, Clone)]
pub struct BuildInfo {
    /// The source's name; its version in parentheses if that is another one.
    pub source: String,
    /// The package.
    pub package: PackageName,
    /// For what it was built.
    pub architecture: Architecture,
    /// Of the package.
    pub version: Version,
    /// What was built.
    pub files: Vec<ListedFile>,
    /// The distribution on which it was built, such as `debian`.
    pub build_origin: Option<String>,
    /// The architecture on which it was built.
    pub build_architecture: Architecture,
    /// The time that everything in the package carries.
    pub build_date: Timestamp,
    /// Packages of the system that had a part in what was built.
    pub installed: Vec<Installed>,
    /// Variables that had a part in it, each with its value.
    pub environment: Vec<(String, String)>,
    /// The version of debfleet that built it.
    pub debfleet_version: String,
    /// The commit it was built from.
    pub commit: Option<Commit>,
    /// The files it was built from.
    pub inputs: Vec<Input>,
}

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Its name.
    pub name: PackageName,
    /// Its architecture, if it is not the machine's.
    pub foreign: Option<Architecture>,
    /// Its version.
    pub version: Version,
}

impl fmt::Display for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.foreign {
            Some(architecture) => write!(f, "{}:{architecture} (= {})", self.name, self.version),
            None => write!(f, "{} (= {})", self.name, self.version),
        }
    }
}

/// A commit of git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its whole hash in hex.
    pub id: String,
    /// Whether the source held nothing that this commit does not hold.
    pub is_clean: bool,
}

/// A file that went into the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Relative to the source folder.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
}

impl BuildInfo {
    /// `<name>_<version>_<architecture>.buildinfo`, the version without its epoch.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}_{}_{}.buildinfo", self.package, self.version.without_epoch(), self.architecture)
    }

    /// The fields, in the order of deb-buildinfo(5), ours behind them.
    #[must_use]
    pub fn to_stanza(&self) -> Stanza {
        let digests = |digest: fn(&ListedFile) -> &str| {
            multiline(&self.files, |file| format!("{} {} {}", digest(file), file.checksums.size, file.name))
        };
        let mut stanza = Stanza::new();
        stanza.set("Format", FORMAT);
        stanza.set("Source", &self.source);
        stanza.set("Binary", self.package.as_str());
        stanza.set("Architecture", self.architecture.as_str());
        stanza.set("Version", self.version.as_str());
        stanza.set("Checksums-Md5", &digests(|file| &file.checksums.md5));
        stanza.set("Checksums-Sha1", &digests(|file| &file.sha1));
        stanza.set("Checksums-Sha256", &digests(|file| &file.checksums.sha256));
        if let Some(origin) = &self.build_origin {
            stanza.set("Build-Origin", origin);
        }
        stanza.set("Build-Architecture", self.build_architecture.as_str());
        stanza.set("Build-Date", &format_changelog_date(self.build_date));
        let installed: Vec<String> = self.installed.iter().map(|package| format!("\n{package}")).collect();
        stanza.set("Installed-Build-Depends", &installed.join(","));
        let environment = multiline(&self.environment, |(name, value)| format!("{name}={}", quoted(value)));
        if !environment.is_empty() {
            stanza.set("Environment", &environment);
        }
        stanza.set("Debfleet-Version", &self.debfleet_version);
        if let Some(Commit { id, is_clean }) = &self.commit {
            stanza.set("Git-Commit", id);
            stanza.set("Git-Tree", if *is_clean { "clean" } else { "dirty" });
        }
        let inputs =
            multiline(&self.inputs, |Input { path, size, sha256 }| format!("{sha256} {size} {}", escaped(path)));
        stanza.set("Inputs-Sha256", &inputs);
        stanza
    }
}

/// A value of Environment: in double quotes, backslashes and quotes escaped.
fn quoted(value: &str) -> String {
    format!("\"{}\"", escaped(value).replace('"', "\\\""))
}

/// No name of a file can begin a line of its own: a control character is written as `\n` or `\u{7}`, a backslash twice.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| if c == '\\' || c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build() -> BuildInfo {
        BuildInfo {
            source: "hi-source (0.9)".into(),
            package: "hi".parse().unwrap(),
            architecture: "all".parse().unwrap(),
            version: "2:0.1.0-1".parse().unwrap(),
            files: vec![ListedFile::of_reader("hi_0.1.0-1_all.deb", &b"abc"[..]).unwrap()],
            build_origin: Some("debian".into()),
            build_architecture: "amd64".parse().unwrap(),
            build_date: "2026-11-21T10:00:00Z".parse().unwrap(),
            installed: vec![],
            environment: vec![("SOURCE_DATE_EPOCH".into(), "1795255200".into())],
            debfleet_version: "0.1.0".into(),
            commit: Some(Commit { id: "ab".repeat(20), is_clean: false }),
            inputs: vec![Input { path: "a b".into(), size: 3, sha256: "00".into() }],
        }
    }

    #[test]
    fn the_fields_are_those_of_the_manual_page_and_ours() {
        let expected = "Format: 1.0\nSource: hi-source (0.9)\nBinary: hi\nArchitecture: all\nVersion: 2:0.1.0-1\n\
             Checksums-Md5:\n 900150983cd24fb0d6963f7d28e17f72 3 hi_0.1.0-1_all.deb\n\
             Checksums-Sha1:\n a9993e364706816aba3e25717850c26c9cd0d89d 3 hi_0.1.0-1_all.deb\n\
             Checksums-Sha256:\n ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 3 hi_0.1.0-1_all.deb\n\
             Build-Origin: debian\nBuild-Architecture: amd64\nBuild-Date: Sat, 21 Nov 2026 10:00:00 +0000\n\
             Installed-Build-Depends:\nEnvironment:\n SOURCE_DATE_EPOCH=\"1795255200\"\nDebfleet-Version: 0.1.0\n\
             Git-Commit: abababababababababababababababababababab\nGit-Tree: dirty\nInputs-Sha256:\n 00 3 a b\n";
        assert_eq!(build().to_stanza().to_string(), expected);
        assert_eq!(build().file_name(), "hi_0.1.0-1_all.buildinfo");
    }

    #[test]
    fn tools_of_the_system_stand_as_relations() {
        let package = |name: &str, version: &str| Installed {
            name: name.parse().unwrap(),
            foreign: None,
            version: version.parse().unwrap(),
        };
        let installed = vec![package("dpkg-dev", "1.21.22"), package("libc6", "2.36-9")];
        let stanza = BuildInfo { installed, ..build() }.to_stanza();
        assert_eq!(stanza.get("Installed-Build-Depends"), Some("\ndpkg-dev (= 1.21.22),\nlibc6 (= 2.36-9)"));
    }

    #[test]
    fn no_name_of_a_file_can_write_a_line_of_its_own() {
        let input = Input { path: "a\n00 1 b\\\u{7}".into(), size: 3, sha256: "11".into() };
        let stanza = BuildInfo { inputs: vec![input], ..build() }.to_stanza();
        assert_eq!(stanza.get("Inputs-Sha256"), Some("\n11 3 a\\n00 1 b\\\\\\u{7}"));
    }
}
