//! A control file that is signed within itself, as Debian's uploads are, so that gpgv and dscverify read it with the
//! keyring that also checks the package.

use debian_formats::control::Stanza;
use debian_formats::openpgp::{OpenPgpError, SigningKey};
use durable_files::DurableError;
use jiff::Timestamp;
use std::path::Path;

/// A text that was not written.
#[derive(Debug, thiserror::Error)]
pub enum SignedTextError {
    /// The key failed.
    #[error("could not sign {name}: {cause}")]
    Sign {
        /// The file's name.
        name: String,
        /// Why.
        cause: OpenPgpError,
    },
    /// The disk failed.
    #[error(transparent)]
    Write(#[from] DurableError),
}

/// Writes a stanza durably; signed by the key if there is one, at the given time, so that the same source gives the
/// same bytes.
pub(crate) fn write(
    path: &Path,
    stanza: &Stanza,
    key: Option<&SigningKey>,
    time: Timestamp,
) -> Result<(), SignedTextError> {
    let mut text = stanza.to_string();
    if let Some(key) = key {
        let name = || path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        text = key.sign_cleartext(&text, time).map_err(|cause| SignedTextError::Sign { name: name(), cause })?;
        // Read line by line, as by `cat` and by editors.
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    Ok(durable_files::replace(path, text.as_bytes(), 0o644)?)
}
