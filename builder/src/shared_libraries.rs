//! `${auto}`: the packages of the shared libraries that a package's ELF files need, found by the real dpkg-shlibdeps.

use crate::entries::{Content, Entries, EntryKind};
use debian_formats::Architecture;
use debian_formats::control::Stanza;
use debian_formats::relation;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What stands for them in a list of relations.
pub const AUTO: &str = "${auto}";

/// Shared libraries whose packages were not found.
#[derive(Debug, thiserror::Error)]
pub enum SharedLibraryError {
    /// A file cannot be read.
    #[error("${{auto}}: could not look into {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The files cannot be laid out for dpkg-shlibdeps.
    #[error(
        "${{auto}}: could not copy {path} to look for its libraries: {cause}; free some space in the folder for temporary files, or set TMPDIR"
    )]
    Stage {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The tool is not there.
    #[error(
        "${{auto}}: could not run dpkg-shlibdeps: {cause}; install it by `apt install dpkg-dev`, or list the packages \
         by hand"
    )]
    NoTool {
        /// Why.
        cause: io::Error,
    },
    /// The tool gave up.
    #[error(
        "${{auto}}: dpkg-shlibdeps failed; install the packages of the libraries that it names (for {architecture}), or \
         list them by hand. It said:\n{output}"
    )]
    Tool {
        /// For which it looked.
        architecture: Architecture,
        /// Its own words, cut if long.
        output: String,
    },
}

/// The tool's own package.
const TOOL: &str = "dpkg-dev";

/// A stanza without [`AUTO`].
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) stanza: Stanza,
    /// The packages that had a part in it, as they are installed: the tool's, and those of the libraries.
    pub(crate) installed: Vec<String>,
}

/// Puts the packages found in the place of every `${auto}`.
pub(crate) fn resolve(
    stanza: Stanza,
    entries: &Entries,
    architecture: &Architecture,
) -> Result<Resolved, SharedLibraryError> {
    if !stanza.iter().any(|(field, value)| is_relation(field) && value.contains(AUTO)) {
        return Ok(Resolved { stanza, installed: Vec::new() });
    }
    let found = find(&stanza, entries, architecture)?;
    let mut resolved = Stanza::new();
    for (field, value) in stanza.iter() {
        if is_relation(field) && value.contains(AUTO) {
            let value = replace(value, &found);
            if !value.is_empty() {
                resolved.set(field, &value);
            }
        } else {
            resolved.set(field, value);
        }
    }
    let names = found.iter().filter_map(|relation| relation.split([' ', ':']).next());
    let tool = [TOOL].into_iter().filter(|_| !found.is_empty());
    Ok(Resolved { stanza: resolved, installed: tool.chain(names).map(str::to_owned).collect() })
}

fn is_relation(field: &str) -> bool {
    relation::FIELDS.contains(&field)
}

fn replace(value: &str, found: &[String]) -> String {
    let parts = value.split(", ").flat_map(|part| match part {
        AUTO => found.iter().map(String::as_str).collect(),
        other => vec![other],
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// The relations of all ELF files; none if there is no such file.
fn find(stanza: &Stanza, entries: &Entries, architecture: &Architecture) -> Result<Vec<String>, SharedLibraryError> {
    let mut files = Vec::new();
    for (packed, entry) in entries.iter() {
        let EntryKind::File(Content::File { path, .. }) = &entry.kind else { continue };
        if is_elf_image(path).map_err(|cause| SharedLibraryError::Read { path: path.clone(), cause })? {
            files.push((packed, path));
        }
    }
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let package = stanza.get("Package").unwrap_or_default();
    let stage = Stage::new(package, architecture)?;
    let staged = files.iter().map(|(packed, path)| stage.add(packed, path)).collect::<Result<Vec<_>, _>>()?;
    stage.run(&staged, package, architecture)
}

/// Whether the file is what the loader loads: an executable or a shared object (ELF specification, `e_type`).
fn is_elf_image(path: &Path) -> io::Result<bool> {
    let mut head = Vec::with_capacity(18);
    File::open(path)?.take(18).read_to_end(&mut head)?;
    let Some((ident, kind)) = head.split_first_chunk::<16>() else { return Ok(false) };
    let kind: [u8; 2] = kind.try_into().unwrap_or_default();
    let is_little = ident[5] == 1;
    let kind = if is_little { u16::from_le_bytes(kind) } else { u16::from_be_bytes(kind) };
    Ok(ident.starts_with(b"\x7fELF") && matches!(kind, 2 | 3))
}

/// A folder as dpkg-shlibdeps expects it: debian/control, and the package's own tree in debian/PACKAGE, where it looks
/// first for the libraries that the package brings itself.
struct Stage {
    folder: tempfile::TempDir,
    tree: PathBuf,
}

impl Stage {
    fn new(package: &str, architecture: &Architecture) -> Result<Self, SharedLibraryError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |cause| SharedLibraryError::Stage { path, cause }
        };
        let folder = tempfile::tempdir().map_err(failed(Path::new("the package's files")))?;
        let debian = folder.path().join("debian");
        let tree = debian.join(package);
        std::fs::create_dir_all(tree.join("DEBIAN")).map_err(failed(&tree))?;
        let control = format!("Source: {package}\n\nPackage: {package}\nArchitecture: {architecture}\n");
        for path in [debian.join("control"), tree.join("DEBIAN/control")] {
            let mut file = File::create_new(&path).map_err(failed(&path))?;
            io::Write::write_all(&mut file, control.as_bytes()).map_err(failed(&path))?;
        }
        Ok(Self { folder, tree })
    }

    fn add(&self, packed: &str, path: &Path) -> Result<PathBuf, SharedLibraryError> {
        let staged = self.tree.join(packed);
        let failed = |cause| SharedLibraryError::Stage { path: path.to_owned(), cause };
        if let Some(parent) = staged.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::copy(path, &staged).map_err(failed)?;
        Ok(staged)
    }

    fn run(
        &self,
        staged: &[PathBuf],
        package: &str,
        architecture: &Architecture,
    ) -> Result<Vec<String>, SharedLibraryError> {
        // Libraries in a folder of the package's own are found by the programs beside them.
        let mut folders: Vec<&Path> = staged.iter().filter(|it| is_library(it)).filter_map(|it| it.parent()).collect();
        folders.dedup();
        let mut command = Command::new("dpkg-shlibdeps");
        command.arg("-O").arg(format!("-x{package}")).arg(format!("-S{}", self.tree.display()));
        command.args(folders.iter().map(|folder| format!("-l{}", folder.display())));
        command.args(staged.iter().map(|path| format!("-e{}", path.display())));
        let output = command
            .current_dir(self.folder.path())
            .env("LC_ALL", "C.UTF-8")
            .env("DEB_HOST_ARCH", architecture.as_str())
            .stdin(Stdio::null())
            .output()
            .map_err(|cause| SharedLibraryError::NoTool { cause })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let output = said.replace(&format!("{}/", self.folder.path().display()), "").chars().take(4000).collect();
            return Err(SharedLibraryError::Tool { architecture: architecture.clone(), output });
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let depends = text.lines().filter_map(|line| line.strip_prefix("shlibs:Depends="));
        Ok(depends
            .flat_map(|line| line.split(", "))
            .map(|it| it.trim().to_owned())
            .filter(|it| !it.is_empty())
            .collect())
    }
}

fn is_library(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(".so") || name.contains(".so."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packages_found_stand_in_the_place_of_the_word() {
        let found = ["libc6 (>= 2.36)".to_owned(), "libx1".to_owned()];
        assert_eq!(replace("a1, ${auto}, b1", &found), "a1, libc6 (>= 2.36), libx1, b1");
        assert_eq!(replace("${auto}, b1", &[]), "b1");
        assert_eq!(replace("${auto}", &[]), "");
    }
}
