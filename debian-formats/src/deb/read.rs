//! Reading a .deb: its control files and the entries of its data.tar.

use super::framing;
use super::members::{Member, Members};
use super::signature::SignatureRole;
use super::{DebError, DebProblem};
use crate::control::Control;
use crate::limits::Limits;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A .deb whose members, control files and data.tar were read once from end to end and found well-formed. Its
/// signatures are not checked yet: see [`Deb::verify`].
#[derive(Debug)]
pub struct Deb {
    path: PathBuf,
    limits: Limits,
    members: Members,
    control: Control,
    control_files: BTreeMap<String, Vec<u8>>,
}

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

impl Deb {
    /// Opens a file and reads it through, within the limits.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, DebError> {
        Self::read(path, limits).map_err(|problem| DebError { path: path.to_owned(), problem })
    }

    fn read(path: &Path, limits: Limits) -> Result<Self, DebProblem> {
        let mut file = File::open(path)?;
        if file.metadata()?.len() > limits.deb_bytes {
            return Err(DebProblem::TooLarge { what: "the package".into(), limit: limits.deb_bytes });
        }
        let members = Members::scan(&mut file)?;
        framing::check(path, &members.control, limits.control_tar_bytes, &limits)?;
        framing::check(path, &members.data, limits.data_tar_bytes, &limits)?;
        let control_files = read_control_tar(path, &members.control.name, &limits)?;
        let text = control_files
            .get("control")
            .ok_or_else(|| tar_problem(&members.control.name, "it holds no file `control`"))?;
        let text = std::str::from_utf8(text)
            .map_err(|_| tar_problem(&members.control.name, "the control file is not UTF-8"))?;
        check_control_text(text).map_err(|problem| tar_problem(&members.control.name, problem))?;
        let control = text.parse()?;
        let deb = Self { path: path.to_owned(), limits, members, control, control_files };
        let mut entries = 0;
        deb.walk_data(&mut |_, _| {
            entries += 1;
            Ok(())
        })?;
        // dpkg-deb writes at least the root. Without any entry, zeros at the end of an uncompressed control.tar could
        // be moved here, and the package would install nothing.
        if entries == 0 {
            return Err(tar_problem(&deb.members.data.name, "it is empty; even a package without files holds `./`"));
        }
        Ok(deb)
    }

    /// Where it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The control file.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// A file of control.tar, such as `postinst` or `conffiles`.
    #[must_use]
    pub fn control_file(&self, name: &str) -> Option<&[u8]> {
        self.control_files.get(name).map(Vec::as_slice)
    }

    /// The roles of the signatures it carries, checked or not.
    pub fn signature_roles(&self) -> impl Iterator<Item = &SignatureRole> {
        self.members.signatures.iter().map(|(role, _)| role)
    }

    /// Visits every entry of data.tar with a reader of its content, after checking its path.
    pub fn for_each_entry(
        &self,
        mut visit: impl FnMut(&TarEntry, &mut dyn Read) -> std::io::Result<()>,
    ) -> Result<(), DebError> {
        let name = &self.members.data.name;
        let outcome = self.walk_data(&mut |entry, content| visit(entry, content).map_err(|error| broken(name, &error)));
        outcome.map_err(|problem| self.error(problem))
    }

    /// The content of one regular file in data.tar, if it is there; refused above `policy_file_bytes`.
    pub fn read_file(&self, wanted: &str) -> Result<Option<Vec<u8>>, DebError> {
        let limit = self.limits.policy_file_bytes;
        let mut found = None;
        self.for_each_entry(|entry, content| {
            if entry.path == wanted && entry.kind == EntryKind::File {
                if entry.size > limit {
                    return Err(std::io::Error::other(format!("{wanted} is larger than {limit} bytes")));
                }
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes)?;
                found = Some(bytes);
            }
            Ok(())
        })?;
        Ok(found)
    }

    pub(super) fn error(&self, problem: DebProblem) -> DebError {
        DebError { path: self.path.clone(), problem }
    }

    /// What debsigs signs: the contents of the first three members.
    pub(super) fn payload(&self) -> Result<impl Read, DebProblem> {
        let part = |member: &Member| -> std::io::Result<std::io::Take<File>> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(member.offset))?;
            Ok(file.take(member.size))
        };
        let Members { debian_binary, control, data, .. } = &self.members;
        Ok(BufReader::new(part(debian_binary)?.chain(part(control)?).chain(part(data)?)))
    }

    pub(super) fn signature(&self, role: &SignatureRole) -> Result<Option<Vec<u8>>, DebProblem> {
        let Some((_, member)) = self.members.signatures.iter().find(|(other, _)| other == role) else {
            return Ok(None);
        };
        let limit = self.limits.signature_bytes;
        if member.size > limit {
            return Err(DebProblem::TooLarge { what: format!("the member {}", member.name), limit });
        }
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(member.offset))?;
        let mut bytes = Vec::new();
        file.take(member.size).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn walk_data(&self, visit: Visit<'_>) -> Result<(), DebProblem> {
        let mut package = open_debpkg(&self.path)?;
        let data = package.data().map_err(|error| tar_problem(&self.members.data.name, &error.to_string()))?;
        let name = &self.members.data.name;
        walk_tar(data.into_inner(), name, self.limits.data_tar_bytes, &self.limits, visit)
    }
}

/// What our own reader would pass over, and dpkg refuses to install.
fn check_control_text(text: &str) -> Result<(), &'static str> {
    if !text.ends_with('\n') {
        return Err("the control file does not end with a line break");
    }
    for line in text.lines() {
        if line.starts_with('#') {
            return Err("the control file holds a comment, which only the control file of a source may");
        }
        if !line.is_empty() && line.trim_ascii().is_empty() {
            return Err("a line of the control file holds only blanks; write ` .` for an empty line in a value");
        }
    }
    Ok(())
}

type Visit<'a> = &'a mut dyn FnMut(&TarEntry, &mut dyn Read) -> Result<(), DebProblem>;

fn broken(member: &str, error: &std::io::Error) -> DebProblem {
    tar_problem(member, &format!("it is damaged or truncated: {error}"))
}

fn tar_problem(member: &str, problem: &str) -> DebProblem {
    DebProblem::Tar { member: member.to_owned(), problem: problem.to_owned() }
}

fn open_debpkg(path: &Path) -> Result<debpkg::DebPkg<BufReader<File>>, DebProblem> {
    debpkg::DebPkg::parse(BufReader::with_capacity(1 << 18, File::open(path)?))
        .map_err(|error| DebProblem::Archive(error.to_string()))
}

fn read_control_tar(path: &Path, member: &str, limits: &Limits) -> Result<BTreeMap<String, Vec<u8>>, DebProblem> {
    let mut package = open_debpkg(path)?;
    let control = package.control().map_err(|error| tar_problem(member, &error.to_string()))?;
    let mut files = BTreeMap::new();
    let limit = limits.control_file_bytes;
    walk_tar(control.into_inner(), member, limits.control_tar_bytes, limits, &mut |entry, content| {
        match entry.kind {
            EntryKind::Directory if entry.path.is_empty() => return Ok(()),
            EntryKind::File if !entry.path.contains('/') => {}
            // dpkg refuses to install what holds more than plain files here, and unpacks it by another program.
            _ => return Err(tar_problem(member, &format!("{:?} is not a plain file at its top", entry.path))),
        }
        if entry.size > limit {
            return Err(DebProblem::TooLarge { what: format!("the file {} of {member}", entry.path), limit });
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|error| broken(member, &error))?;
        files.insert(entry.path.clone(), bytes);
        Ok(())
    })?;
    Ok(files)
}

/// Longest path or link target, in bytes: PATH_MAX.
const MAX_NAME: u64 = 4096;
const BLOCK: usize = 512;

/// Walks a tar, refusing what dpkg would read differently or Policy forbids: paths that leave the root, entries
/// below what is no folder, a path twice, devices, pax headers, anything behind the end, and more than the bounds.
fn walk_tar(
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
