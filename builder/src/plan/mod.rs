//! What the package will hold, decided from what was gathered and a time, without touching a disk.

mod documents;

use crate::entries::{Entries, EntryError};
use crate::gathered::Gathered;
use debian_formats::control::{Control, ControlError, Stanza};
use debian_formats::limits::Limits;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Everything but the bytes of the payload and their md5sums.
#[derive(Debug)]
pub struct Plan {
    control: Control,
    control_files: BTreeMap<String, ControlFile>,
    entries: Entries,
    conffiles: BTreeSet<String>,
    time: Timestamp,
}

/// A file of control.tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlFile {
    /// Its content.
    pub bytes: Vec<u8>,
    /// 0755 for scripts, 0644 for others.
    pub mode: u32,
}

/// A source that gives no package.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The control file would be refused.
    #[error("{0}")]
    Control(#[from] ControlError),
    /// More than a server or a device would unpack.
    #[error(
        "the package would unpack to {found} bytes, and none may unpack to more than {limit}; split it, or leave out \
         what does not belong on a device"
    )]
    TooLarge {
        /// What the files add up to.
        found: u64,
        /// What is allowed.
        limit: u64,
    },
    /// A generated document cannot be placed.
    #[error("{0}")]
    Entry(#[from] EntryError),
}

impl Plan {
    /// Adds what is generated and brings all into its final form.
    pub fn new(gathered: Gathered, time: Timestamp) -> Result<Self, PlanError> {
        let Gathered { stanza, mut entries, control_files, conffiles, documents, .. } = gathered;
        let identity = Control::from_stanza(stanza.clone())?;
        if let Some(documents) = documents {
            documents::add(&mut entries, &identity, &documents, time)?;
        }
        let (found, limit) = (entries.unpacked_size(), Limits::DEFAULT.data_tar_bytes);
        if found > limit {
            return Err(PlanError::TooLarge { found, limit });
        }
        let control = Control::from_stanza(with_installed_size(&stanza, entries.installed_size()))?;
        let mut files: BTreeMap<String, ControlFile> = control_files
            .into_iter()
            .map(|(name, bytes)| {
                let mode = if crate::scripts::NAMES.contains(&name.as_str()) { 0o755 } else { 0o644 };
                (name, ControlFile { bytes, mode })
            })
            .collect();
        files.insert("control".into(), plain(control.stanza().to_string()));
        if !conffiles.is_empty() {
            files.insert("conffiles".into(), plain(conffiles.join("\n") + "\n"));
        }
        let conffiles = conffiles.iter().filter_map(|line| line.strip_prefix('/')).map(str::to_owned).collect();
        Ok(Self { control, control_files: files, entries, conffiles, time })
    }

    /// The final control file.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Of control.tar, sorted; md5sums is added when the payload was read.
    #[must_use]
    pub fn control_files(&self) -> &BTreeMap<String, ControlFile> {
        &self.control_files
    }

    /// The payload.
    #[must_use]
    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    /// The time of every member and entry.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Whether md5sums leaves a path out: the owner may change it (as dh_md5sums does).
    #[must_use]
    pub fn is_conffile(&self, path: &str) -> bool {
        self.conffiles.contains(path)
    }
}

/// A control file of mode 0644.
pub(crate) fn plain(text: String) -> ControlFile {
    ControlFile { bytes: text.into_bytes(), mode: 0o644 }
}

/// The stanza with the size behind Maintainer, where dpkg-gencontrol puts it.
fn with_installed_size(stanza: &Stanza, kib: u64) -> Stanza {
    let mut with_size = Stanza::new();
    for (name, value) in stanza.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("Installed-Size")) {
        with_size.set(name, value);
        if name.eq_ignore_ascii_case("Maintainer") {
            with_size.set("Installed-Size", &kib.to_string());
        }
    }
    with_size
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entries::{Content, Entry, EntryKind, generated};
    use crate::gathered::Documents;

    fn gathered(documents: Option<Documents>) -> Gathered {
        let mut stanza = Stanza::new();
        for (name, value) in [
            ("Package", "hi"),
            ("Version", "0.1.0-1"),
            ("Architecture", "all"),
            ("Maintainer", "A <a@example.org>"),
            ("Description", "says hi"),
        ] {
            stanza.set(name, value);
        }
        let mut entries = Entries::default();
        entries.add("etc/hi", generated(b"x".to_vec())).unwrap();
        let control_files = BTreeMap::from([("postinst".to_owned(), b"#!/bin/sh\n".to_vec())]);
        Gathered {
            stanza,
            entries,
            control_files,
            conffiles: vec!["/etc/hi".into()],
            documents,
            newest: 0,
            read: vec![],
            installed: vec![],
            folders: vec![],
        }
    }

    #[test]
    fn a_tree_gets_nothing_but_its_size() {
        let plan = Plan::new(gathered(None), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(
            plan.control().stanza().to_string(),
            "Package: hi\nVersion: 0.1.0-1\nArchitecture: all\nMaintainer: A <a@example.org>\nInstalled-Size: 3\n\
             Description: says hi\n"
        );
        let paths: Vec<&str> = plan.entries().iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["etc", "etc/hi"]);
        assert_eq!(plan.control_files()["postinst"].mode, 0o755);
        assert_eq!(plan.control_files()["conffiles"].bytes, b"/etc/hi\n");
        assert!(plan.is_conffile("etc/hi"));
    }

    #[test]
    fn a_package_that_nobody_would_unpack_is_not_begun() {
        let mut large = gathered(None);
        for path in ["opt/a", "opt/b"] {
            let kind = EntryKind::File(Content::File { path: path.into(), size: Limits::DEFAULT.data_tar_bytes / 2 });
            large.entries.add(path, Entry { kind, ..generated(vec![]) }).unwrap();
        }
        let error = Plan::new(large, Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(matches!(error, PlanError::TooLarge { .. }), "{error}");
    }

    #[test]
    fn a_manifest_gets_the_documents_that_it_does_not_bring() {
        let documents =
            Documents { maintainer: "A <a@example.org>".into(), license: None, homepage: None, changelog: None };
        let mut own = gathered(Some(documents.clone()));
        own.entries.add("usr/share/doc/hi/copyright", generated(b"mine".to_vec())).unwrap();
        let plan = Plan::new(own, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(plan.entries().get("usr/share/doc/hi/copyright"), Some(&generated(b"mine".to_vec())));
        assert!(plan.entries().is_file("usr/share/doc/hi/changelog.Debian.gz"));
        let plan = Plan::new(gathered(Some(documents)), Timestamp::UNIX_EPOCH).unwrap();
        assert!(plan.entries().is_file("usr/share/doc/hi/copyright"));
    }
}
