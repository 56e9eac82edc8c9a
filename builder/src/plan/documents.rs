//! The copyright file and the changelog that Policy 12.5 and 12.7 ask of every package, and a word to lintian.

use crate::entries::{Entries, EntryError, EntryKind, generated};
use crate::gathered::Documents;
use debian_formats::changelog::{self, Entry};
use debian_formats::control::Control;
use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::io::Write;

/// Adds those that the source does not bring itself.
pub(super) fn add(
    entries: &mut Entries,
    control: &Control,
    documents: &Documents,
    time: Timestamp,
) -> Result<(), EntryError> {
    let folder = format!("usr/share/doc/{}", control.package());
    // A link to another package's documents says that they count for this one too (Policy 12.5).
    if entries.get(&folder).is_some_and(|entry| entry.kind != EntryKind::Directory) {
        return Ok(());
    }
    let copyright_path = format!("{folder}/copyright");
    if entries.get(&copyright_path).is_none() {
        let text = copyright(control, documents, time);
        entries.add(&copyright_path, generated(text.into_bytes()))?;
    }
    // A version without revision is native: upstream's changelog is Debian's (Policy 12.7).
    let is_native = !control.version().as_str().contains('-');
    let own_name = if is_native { "changelog.gz" } else { "changelog.Debian.gz" };
    let changelog_path = format!("{folder}/{own_name}");
    let mut is_first_upload = false;
    if entries.get(&changelog_path).is_none() {
        let text = documents.changelog.clone().unwrap_or_else(|| changelog(control, documents, time));
        is_first_upload = changelog::entries(&text) == 1;
        entries.add(&changelog_path, generated(gzip(text.as_bytes())))?;
    }
    let overrides_path = format!("usr/share/lintian/overrides/{}", control.package());
    if entries.get(&overrides_path).is_none() {
        let text = overrides(entries, control, is_first_upload);
        entries.add(&overrides_path, generated(text.into_bytes()))?;
    }
    Ok(())
}

/// What lintian holds against packages that are not meant for Debian's own archive: a signature as debsigs puts it, a
/// first upload (one entry, revision 1) that closes no bug by which Debian was asked for it, files in /opt, where the
/// FHS (3.13) wants those of anybody but the distribution, and programs without a manual.
fn overrides(entries: &Entries, control: &Control, is_first_upload: bool) -> String {
    let package = control.package();
    let mut text = "# Signed as debsigs does it, and not meant for the archive of Debian.\n".to_owned();
    if entries.get("opt").is_some() {
        text += &format!("{package}: dir-or-file-in-opt *\n");
    }
    for program in programs_without_manual(entries) {
        text += &format!("{package}: no-manual-page [{program}]\n");
    }
    if is_first_upload && control.version().as_str().ends_with("-1") {
        text += &format!("{package}: initial-upload-closes-no-bugs *\n");
    }
    text + &format!("{package}: misplaced-extra-member-in-deb _gpg*\n")
}

/// The folders whose programs people call by name.
const PROGRAM_FOLDERS: [&str; 5] = ["bin/", "sbin/", "usr/bin/", "usr/sbin/", "usr/games/"];

fn programs_without_manual(entries: &Entries) -> Vec<&str> {
    let manuals: BTreeSet<&str> = entries
        .iter()
        .filter_map(|(path, _)| path.strip_prefix("usr/share/man/"))
        .filter_map(|path| path.rsplit('/').next()?.split_once('.'))
        .map(|(name, _)| name)
        .collect();
    let programs = entries.iter().filter(|(_, entry)| entry.kind != EntryKind::Directory).map(|(path, _)| path);
    programs
        .filter(|path| {
            let name = PROGRAM_FOLDERS.iter().find_map(|folder| path.strip_prefix(folder));
            name.is_some_and(|name| !manuals.contains(name.split_once('.').map_or(name, |(stem, _)| stem)))
        })
        .collect()
}

/// In the machine-readable form (DEP-5).
fn copyright(control: &Control, documents: &Documents, time: Timestamp) -> String {
    let year = time.strftime("%Y");
    let mut text = format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: {}\n",
        control.package()
    );
    if let Some(homepage) = &documents.homepage {
        text += &format!("Source: {homepage}\n");
    }
    text += &format!("\nFiles: *\nCopyright: {year} {}\n", documents.maintainer);
    let Some(license) = &documents.license else {
        return text + "License: unstated\n The package does not state its licence; ask its maintainer.\n";
    };
    text += &format!("License: {license}\n");
    match common_license(license) {
        Some(file) => {
            text += &format!(" On Debian systems the full text is in /usr/share/common-licenses/{file}.\n");
        }
        None => text += " The full text of the licence comes with the source of this package.\n",
    }
    text
}

/// The file in /usr/share/common-licenses for a licence by its SPDX or Debian name.
fn common_license(license: &str) -> Option<&'static str> {
    let name = license.to_ascii_lowercase();
    let name =
        name.trim_end_matches("-only").trim_end_matches("-or-later").trim_end_matches('+').trim_end_matches(".0");
    Some(match name {
        "apache-2" => "Apache-2.0",
        "artistic" => "Artistic",
        "cc0-1" => "CC0-1.0",
        "gfdl-1.2" => "GFDL-1.2",
        "gfdl-1.3" => "GFDL-1.3",
        "gpl-1" => "GPL-1",
        "gpl-2" => "GPL-2",
        "gpl-3" => "GPL-3",
        "lgpl-2" => "LGPL-2",
        "lgpl-2.1" => "LGPL-2.1",
        "lgpl-3" => "LGPL-3",
        "mpl-1.1" => "MPL-1.1",
        "mpl-2" => "MPL-2.0",
        _ => return None,
    })
}

/// One entry (Policy 4.4).
fn changelog(control: &Control, documents: &Documents, time: Timestamp) -> String {
    let entry = Entry {
        package: control.package().clone(),
        version: control.version().clone(),
        distribution: "stable".to_owned(),
        changes: vec!["New release.".to_owned()],
        maintainer: documents.maintainer.clone(),
        date: time,
    };
    entry.to_string()
}

/// As `gzip -9n`: without name and time.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().operating_system(3).write(Vec::new(), Compression::best());
    // Writing to memory does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}
