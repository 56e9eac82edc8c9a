//! Maintainer scripts: what dpkg can run, and what it cannot.

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
