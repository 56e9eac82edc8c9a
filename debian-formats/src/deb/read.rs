//! Reading a .deb: its control files and the entries of its data.tar.

use super::framing;
use super::harvest::{Copy, Harvest, Tee};
use super::members::{Member, Members};
use super::role::SignatureRole;
use super::tar_walk::{EntryKind, TarEntry, Visit, broken, tar_problem, walk_tar};
use super::unpack::unpacked;
use super::{DebError, DebProblem};
use crate::control::Control;
use crate::limits::Limits;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
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
    entries: Vec<TarEntry>,
    /// A file of data.tar that was kept while it was read.
    kept: Option<(String, Vec<u8>)>,
    uncompressed: Option<PathBuf>,
}

impl Deb {
    /// Opens a file and reads it through, within the limits.
    pub fn open(path: &Path, limits: Limits) -> Result<Self, DebError> {
        Self::open_and_take(path, limits, &Harvest::default())
    }

    /// Opens a file and reads it through, within the limits, and takes something along.
    pub fn open_and_take(path: &Path, limits: Limits, harvest: &Harvest<'_>) -> Result<Self, DebError> {
        Self::read(path, limits, harvest).map_err(|problem| DebError { path: path.to_owned(), problem })
    }

    fn read(path: &Path, limits: Limits, harvest: &Harvest<'_>) -> Result<Self, DebProblem> {
        // Opening a named pipe would wait for whoever writes to it.
        if !path.metadata()?.is_file() {
            return Err(DebProblem::Archive("it is no regular file".into()));
        }
        let mut file = File::open(path)?;
        if file.metadata()?.len() > limits.deb_bytes {
            return Err(DebProblem::TooLarge { what: "the package".into(), limit: limits.deb_bytes });
        }
        let members = Members::scan(&mut file)?;
        framing::check(path, &members.control, limits.control_tar_bytes, &limits)?;
        framing::check(path, &members.data, limits.data_tar_bytes, &limits)?;
        let control_files = read_control_tar(path, &members.control, &limits)?;
        let text = control_files
            .get("control")
            .ok_or_else(|| tar_problem(&members.control.name, "it holds no file `control`"))?;
        let text = std::str::from_utf8(text)
            .map_err(|_| tar_problem(&members.control.name, "the control file is not UTF-8"))?;
        check_control_text(text).map_err(|problem| tar_problem(&members.control.name, problem))?;
        let control = text.parse()?;
        let (entries, kept, uncompressed) = (Vec::new(), None, None);
        let path = path.to_owned();
        let mut deb = Self { path, limits, members, control, control_files, entries, kept, uncompressed };
        let wanted = harvest.uncompressed.as_ref();
        let copy = wanted.and_then(|wanted| Copy::begin(&mut file, &deb.members.data, wanted));
        deb.read_data(harvest.file, copy, harvest.memory)?;
        // dpkg-deb writes at least the root. Without any entry, zeros at the end of an uncompressed control.tar could
        // be moved here, and the package would install nothing.
        if deb.entries.is_empty() {
            return Err(tar_problem(&deb.members.data.name, "it is empty; even a package without files holds `./`"));
        }
        Ok(deb)
    }

    /// The one walk that everybody pays for.
    fn read_data(&mut self, wanted: Option<&str>, mut copy: Option<Copy>, memory: u64) -> Result<(), DebProblem> {
        let (mut entries, mut kept) = (Vec::new(), None);
        let data = &self.members.data;
        let from = unpacked(&data.name, content(&self.path, data)?, memory)?;
        let visit: Visit<'_> = &mut |entry, content| {
            entries.push(entry.clone());
            if wanted == Some(&entry.path) && entry.kind == EntryKind::File {
                kept = Some((entry.path.clone(), self.small_content(entry, content)?));
            }
            Ok(())
        };
        let tar = Tee { from, copy: &mut copy };
        walk_tar(tar, &data.name, self.limits.data_tar_bytes, &self.limits, visit)?;
        (self.entries, self.kept) = (entries, kept);
        self.uncompressed = copy.and_then(Copy::finish);
        Ok(())
    }

    fn small_content(&self, entry: &TarEntry, content: &mut dyn Read) -> Result<Vec<u8>, DebProblem> {
        let (member, limit) = (&self.members.data.name, self.limits.policy_file_bytes);
        if entry.size > limit {
            return Err(tar_problem(member, &format!("{} is larger than {limit} bytes", entry.path)));
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|error| broken(member, &error))?;
        Ok(bytes)
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

    /// The entries of data.tar, in their order.
    #[must_use]
    pub fn entries(&self) -> &[TarEntry] {
        &self.entries
    }

    /// The copy of it that was asked for and could be made: the same control.tar, and the data.tar that was checked.
    #[must_use]
    pub fn uncompressed(&self) -> Option<&Path> {
        self.uncompressed.as_deref()
    }

    /// The roles of the signatures it carries, checked or not.
    pub fn signature_roles(&self) -> impl Iterator<Item = &SignatureRole> {
        self.members.signatures.iter().map(|(role, _)| role)
    }

    /// Visits every entry of data.tar with a reader of its content, after checking its path.
    pub fn for_each_entry(
        &self,
        mut visit: impl FnMut(&TarEntry, &mut dyn Read) -> io::Result<()>,
    ) -> Result<(), DebError> {
        let name = &self.members.data.name;
        let outcome = self.walk_data(&mut |entry, content| visit(entry, content).map_err(|error| broken(name, &error)));
        outcome.map_err(|problem| self.error(problem))
    }

    /// The content of one regular file in data.tar, if it is there; refused above `policy_file_bytes`.
    pub fn read_file(&self, wanted: &str) -> Result<Option<Vec<u8>>, DebError> {
        if let Some((_, bytes)) = self.kept.as_ref().filter(|(path, _)| path == wanted) {
            return Ok(Some(bytes.clone()));
        }
        // Most packages are asked for a file that they do not hold; unpacking one may take seconds on a device.
        if !self.entries.iter().any(|entry| entry.path == wanted && entry.kind == EntryKind::File) {
            return Ok(None);
        }
        let mut found = None;
        let outcome = self.walk_data(&mut |entry, content| {
            if entry.path == wanted && entry.kind == EntryKind::File {
                found = Some(self.small_content(entry, content)?);
            }
            Ok(())
        });
        outcome.map_err(|problem| self.error(problem))?;
        Ok(found)
    }

    pub(super) fn error(&self, problem: DebProblem) -> DebError {
        DebError { path: self.path.clone(), problem }
    }

    /// What debsigs signs: the contents of the first three members.
    pub(super) fn payload(&self) -> Result<impl Read, DebProblem> {
        let Members { debian_binary, control, data, .. } = &self.members;
        let parts = self.content(debian_binary)?.chain(self.content(control)?).chain(self.content(data)?);
        Ok(BufReader::new(parts))
    }

    /// A member's content.
    pub(super) fn content(&self, member: &Member) -> io::Result<impl Read + use<>> {
        content(&self.path, member)
    }

    pub(super) fn members(&self) -> &Members {
        &self.members
    }

    pub(super) fn signature(&self, role: &SignatureRole) -> Result<Option<Vec<u8>>, DebProblem> {
        let Some((_, member)) = self.members.signatures.iter().find(|(other, _)| other == role) else {
            return Ok(None);
        };
        let limit = self.limits.signature_bytes;
        if member.size > limit {
            return Err(DebProblem::TooLarge { what: format!("the member {}", member.name), limit });
        }
        let mut bytes = Vec::new();
        self.content(member)?.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn walk_data(&self, visit: Visit<'_>) -> Result<(), DebProblem> {
        let data = &self.members.data;
        let tar = unpacked(&data.name, content(&self.path, data)?, 0)?;
        walk_tar(tar, &data.name, self.limits.data_tar_bytes, &self.limits, visit)
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

/// A member's content.
fn content(path: &Path, member: &Member) -> io::Result<impl Read + use<>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(member.offset))?;
    Ok(file.take(member.size))
}

fn read_control_tar(path: &Path, control: &Member, limits: &Limits) -> Result<BTreeMap<String, Vec<u8>>, DebProblem> {
    let member = &control.name;
    let tar = unpacked(member, content(path, control)?, 0)?;
    let mut files = BTreeMap::new();
    let limit = limits.control_file_bytes;
    walk_tar(tar, member, limits.control_tar_bytes, limits, &mut |entry, content| {
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
