//! Walking a tar, more strictly than dpkg does.

use super::DebProblem;
use crate::limits::Limits;
use std::collections::BTreeMap;
use std::io::Read;

/// One entry of a tar, its path relative to the root without `./` (empty for the root itself).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// For example `opt/hi/hi`.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Length of a file's content in bytes.
    pub size: u64,
    /// Seconds since 1970.
    pub mtime: u64,
}

/// The kinds of entries that Policy allows in a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link and where it points.
    Symlink(String),
    /// A hard link to an earlier entry.
    HardLink(String),
}

/// Is given each entry with a reader of its content.
pub(super) type Visit<'a> = &'a mut dyn FnMut(&TarEntry, &mut dyn Read) -> Result<(), DebProblem>;

/// Longest path or link target, in bytes: PATH_MAX.
const MAX_NAME: u64 = 4096;
const BLOCK: usize = 512;

/// Walks a tar, refusing what dpkg would read differently or Policy forbids: paths that leave the root, entries
/// below what is no folder, a path twice, devices, pax headers, anything behind the end, and more than the bounds.
pub(super) fn walk_tar(
    reader: impl Read,
    member: &str,
    max_bytes: u64,
    limits: &Limits,
    visit: Visit<'_>,
) -> Result<(), DebProblem> {
    let bad = |problem: String| tar_problem(member, &problem);
    let broken = |error: std::io::Error| broken(member, &error);
    let too_large = || DebProblem::TooLarge { what: format!("{member}, uncompressed,"), limit: max_bytes };
    // One byte above the bound, so that reaching it is noticed.
    let mut archive = tar::Archive::new(reader.take(max_bytes.saturating_add(1)));
    let (mut count, mut total, mut names) = (0u64, 0u64, 0u64);
    // Every path, and whether it is a folder.
    let mut seen: BTreeMap<String, bool> = BTreeMap::new();
    let (mut long_name, mut long_link) = (None, None);
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        check_header(entry.header()).map_err(bad)?;
        count += 1;
        total = total.saturating_add(entry.size()).saturating_add(BLOCK as u64);
        if count > limits.tar_entries {
            return Err(bad(format!("it has more than {} entries", limits.tar_entries)));
        }
        if total > max_bytes {
            return Err(too_large());
        }
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() || kind.is_gnu_longlink() {
            if entry.size() > MAX_NAME {
                return Err(bad("a name in it is longer than 4096 bytes".into()));
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(broken)?;
            let slot = if kind.is_gnu_longname() { &mut long_name } else { &mut long_link };
            if slot.replace(bytes).is_some() {
                return Err(bad("an entry in it has two long names".into()));
            }
            continue;
        }
        let name = long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let path = safe_path(&name).map_err(bad)?;
        let link = long_link.take().or_else(|| entry.link_name_bytes().map(std::borrow::Cow::into_owned));
        let link = || -> Result<String, DebProblem> {
            let bytes = link.clone().unwrap_or_default();
            text_of(&bytes)
                .filter(|text| !text.is_empty())
                .ok_or_else(|| bad(format!("the link {path:?} has no readable target")))
        };
        let kind = match kind {
            tar::EntryType::Regular => EntryKind::File,
            tar::EntryType::Directory => EntryKind::Directory,
            tar::EntryType::Symlink => EntryKind::Symlink(link()?),
            tar::EntryType::Link => EntryKind::HardLink(safe_path(link()?.as_bytes()).map_err(bad)?),
            other => {
                return Err(bad(format!(
                    "the entry {path:?} is of kind {:?}; a package holds only files, folders and links (Policy 10.6)",
                    other.as_byte() as char
                )));
            }
        };
        let is_folder = kind == EntryKind::Directory;
        // dpkg takes such a file for a folder, and does not skip the content of what is no file.
        if !is_folder && text_of(&name).is_none_or(|name| name.is_empty() || name.ends_with('/')) {
            return Err(bad(format!("{path:?} has the name of a folder and is none")));
        }
        if kind != EntryKind::File && entry.size() > 0 {
            return Err(bad(format!("{path:?} is no file and has content")));
        }
        if let Some(above) = ancestors(&path).find(|above| seen.get(*above).is_some_and(|is_folder| !is_folder)) {
            return Err(bad(format!("{path:?} would be written through {above:?}, which is no folder")));
        }
        let below = format!("{path}/");
        if !is_folder && seen.range(below.clone()..).next().is_some_and(|(other, _)| other.starts_with(&below)) {
            return Err(bad(format!("{path:?} is no folder, and entries before it lie below it")));
        }
        if let EntryKind::HardLink(target) = &kind
            && seen.get(target).is_none_or(|is_folder| *is_folder)
        {
            return Err(bad(format!(
                "the hard link {path:?} points at {target:?}, which is no file of the package before it"
            )));
        }
        names += path.len() as u64;
        if names > limits.tar_name_bytes {
            return Err(DebProblem::TooLarge {
                what: format!("the list of names in {member}"),
                limit: limits.tar_name_bytes,
            });
        }
        if seen.insert(path.clone(), is_folder).is_some() {
            return Err(bad(format!("{path:?} stands in it twice")));
        }
        let header = entry.header();
        let mode = header.mode().map_err(broken)? & 0o7777;
        let mtime = header.mtime().map_err(broken)?;
        let found = TarEntry { path, kind, mode, size: entry.size(), mtime };
        visit(&found, &mut entry)?;
    }
    if long_name.is_some() || long_link.is_some() {
        return Err(bad("it ends with a long name that belongs to no entry".into()));
    }
    let mut rest = archive.into_inner();
    match check_end(&mut rest).map_err(broken)? {
        _ if rest.limit() == 0 => Err(too_large()),
        End::Good => Ok(()),
        End::Missing => Err(bad("it is truncated: the two blocks of zeros that end a tar are missing".into())),
        End::More => Err(bad("something stands behind its end, where dpkg does not look".into())),
    }
}

/// What stands behind the first block of zeros, which the walk has read.
enum End {
    Good,
    Missing,
    More,
}

/// Nothing but zeros, at least one block of them.
fn check_end(reader: &mut impl Read) -> std::io::Result<End> {
    let mut buffer = [0; 16 * BLOCK];
    let mut zeros = 0;
    loop {
        match reader.read(&mut buffer)? {
            0 if zeros < BLOCK => return Ok(End::Missing),
            0 => return Ok(End::Good),
            read if buffer[..read].iter().any(|byte| *byte != 0) => return Ok(End::More),
            read => zeros = zeros.saturating_add(read),
        }
    }
}

/// Only headers that every reader takes alike: ustar's or GNU's, the size in plain octal digits.
fn check_header(header: &tar::Header) -> Result<(), String> {
    if header.as_ustar().is_none() && header.as_gnu().is_none() {
        return Err("an entry's header is neither ustar's nor GNU's".into());
    }
    let size = &header.as_old().size;
    let digits = size.iter().skip_while(|byte| **byte == b' ').take_while(|byte| (b'0'..=b'7').contains(*byte)).count();
    let filler = size.iter().rev().take_while(|byte| [b' ', 0].contains(*byte)).count();
    let leading = size.iter().take_while(|byte| **byte == b' ').count();
    if digits == 0 || leading + digits + filler != size.len() {
        return Err("the size of an entry is not an octal number".into());
    }
    Ok(())
}

fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

fn text_of(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    (!text.contains(['\n', '\r'])).then(|| text.to_owned())
}

/// `./a/b/` becomes `a/b`; an absolute path or one with `..` is an error.
fn safe_path(bytes: &[u8]) -> Result<String, String> {
    let text = text_of(bytes).ok_or("a path in it is not UTF-8 or holds a line break")?;
    if text.starts_with('/') {
        return Err(format!("the path {text:?} is absolute"));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(format!("the path {text:?} leaves the package through `..`"));
    }
    if text.len() as u64 > MAX_NAME {
        return Err("a path in it is longer than 4096 bytes".into());
    }
    Ok(parts.join("/"))
}

pub(super) fn broken(member: &str, error: &std::io::Error) -> DebProblem {
    tar_problem(member, &format!("it is damaged or truncated: {error}"))
}

pub(super) fn tar_problem(member: &str, problem: &str) -> DebProblem {
    DebProblem::Tar { member: member.to_owned(), problem: problem.to_owned() }
}
