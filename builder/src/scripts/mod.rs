//! Maintainer scripts: what dpkg can run, and what it cannot.

mod parts;
mod template;

pub use parts::Parts;
pub use template::{TemplateError, Values};

use std::io;
use std::path::{Path, PathBuf};

/// The scripts that dpkg runs (Policy 6.1), and debconf's.
pub const NAMES: [&str; 5] = ["preinst", "postinst", "prerm", "postrm", "config"];

/// A script that dpkg could not run.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It cannot be read.
    #[error("could not read the script {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No interpreter is named.
    #[error("the script {path} does not begin with `#!`; let its first line name the interpreter, as `#!/bin/sh` does")]
    NoInterpreter {
        /// The file.
        path: PathBuf,
    },
    /// Windows line ends: the kernel would look for `/bin/sh\r`.
    #[error("the first line of the script {path} ends with a carriage return; save it with Unix line ends")]
    CarriageReturn {
        /// The file.
        path: PathBuf,
    },
    /// Its `#NAME#` marks cannot be filled in.
    #[error("{path}:{line}: {cause}")]
    Template {
        /// The file.
        path: PathBuf,
        /// The line in it.
        line: usize,
        /// What is wrong.
        cause: TemplateError,
    },
}

/// Reads a script and checks its first line.
pub fn read(path: &Path) -> Result<Vec<u8>, ScriptError> {
    let bytes = std::fs::read(path).map_err(|source| ScriptError::Read { path: path.to_owned(), source })?;
    let first_line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if !first_line.starts_with(b"#!") {
        return Err(ScriptError::NoInterpreter { path: path.to_owned() });
    }
    if first_line.ends_with(b"\r") {
        return Err(ScriptError::CarriageReturn { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Reads a script in which `#NAME#` stands for a value, and `#DEBHELPER#` for the part generated for the script of
/// this name.
pub fn read_template(path: &Path, name: &str, values: &Values, part: Option<&str>) -> Result<Vec<u8>, ScriptError> {
    let text = read(path)?;
    let filled = template::fill(&text, name, values, part);
    filled.map_err(|(line, cause)| ScriptError::Template { path: path.to_owned(), line, cause })
}

/// A script that is nothing but its generated part.
#[must_use]
pub fn of_part(part: &str) -> Vec<u8> {
    format!("#!/bin/sh\nset -e\n\n{part}").into_bytes()
}
