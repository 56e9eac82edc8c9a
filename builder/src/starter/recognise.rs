//! Which kind of file it is: by its name, and for YAML by what it says.

use super::error::StarterError;
use super::{project_folder, yaml};
use std::path::{Path, PathBuf};

/// The files that a project may begin from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Cargo.toml
    Cargo,
    /// package.json
    Node,
    /// pyproject.toml
    Python,
    /// A configuration of nfpm.
    Nfpm,
}

/// Looked for in a folder, in this order.
const NAMES: [&str; 7] =
    ["Cargo.toml", "package.json", "pyproject.toml", "nfpm.yaml", "nfpm.yml", ".nfpm.yaml", ".nfpm.yml"];

/// The kind of a file with this text.
pub fn recognise(file: &Path, text: &str) -> Result<Kind, StarterError> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    match &*name {
        "Cargo.toml" => return Ok(Kind::Cargo),
        "package.json" => return Ok(Kind::Node),
        "pyproject.toml" => return Ok(Kind::Python),
        _ => {}
    }
    if !name.ends_with(".yaml") && !name.ends_with(".yml") {
        return Err(StarterError::Unknown(file.to_owned()));
    }
    let root = yaml::parse(text).map_err(|(line, what)| StarterError::syntax(file, Some(line), what))?;
    if root.get("name").is_some() && root.get("arch").is_some() {
        Ok(Kind::Nfpm)
    } else {
        Err(StarterError::Unknown(file.to_owned()))
    }
}

/// The one file of a folder to begin from.
pub fn find_in(folder: &Path) -> Result<PathBuf, StarterError> {
    // As people write it: `Cargo.toml`, not `./Cargo.toml`.
    let base = if folder == Path::new(".") { Path::new("") } else { folder };
    let mut found: Vec<PathBuf> = NAMES.iter().map(|name| base.join(name)).filter(|path| path.is_file()).collect();
    // A Python or JavaScript project often has a file of the other kind only for its tools.
    found.retain(|path| !path.ends_with("pyproject.toml") || says_project(path));
    match found.pop() {
        None => Err(StarterError::Nothing(folder.to_owned())),
        Some(only) if found.is_empty() => Ok(only),
        Some(last) => {
            found.push(last);
            Err(StarterError::Several { folder: folder.to_owned(), found })
        }
    }
}

/// Whether a pyproject.toml names a project, and not only settings of tools.
fn says_project(path: &Path) -> bool {
    // One that cannot be read is an error later, with its reason.
    let Ok(text) = project_folder::read(path) else { return true };
    text.lines().any(|line| matches!(line.trim(), "[project]" | "[tool.poetry]"))
}
