//! The .deb: an ar archive of `debian-binary`, `control.tar*`, `data.tar*` and signatures (deb(5), debsigs).
//!
//! Reading is stricter than dpkg on purpose: only forms that every tool understands alike pass, so what was
//! verified here is what dpkg will install.

mod append;
mod compression;
mod compressor;
mod examine;
mod framing;
mod harvest;
mod members;
mod read;
mod role;
mod signature;
mod tar_walk;
mod tar_write;
mod unpack;
mod write;

pub use compression::Compression;
pub use compressor::Compressor;
pub use examine::{SignatureReport, SignedMember};
pub use harvest::{Harvest, Uncompressed};
pub use read::Deb;
pub use role::SignatureRole;
pub use signature::{Signer, VerifiedDeb};
pub use tar_walk::{EntryKind, TarEntry};
pub use tar_write::{TarWriteError, TarWriter, tar_contents, tar_size};
pub use write::{DebParts, Signature};

use crate::control::ControlError;
use crate::openpgp::OpenPgpError;
use std::path::PathBuf;

/// A .deb that could not be read or written, and why.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct DebError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: DebProblem,
}

/// What may be wrong with a .deb.
#[derive(Debug, thiserror::Error)]
pub enum DebProblem {
    /// Reading or writing failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Not an ar archive of the form that dpkg writes.
    #[error("not a Debian package: {0}")]
    Archive(String),
    /// A tar inside it that is broken or plays tricks.
    #[error("{member}: {problem}")]
    Tar {
        /// control.tar* or data.tar*.
        member: String,
        /// What is wrong.
        problem: String,
    },
    /// More than [`crate::limits::Limits`] allows.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What exceeds the bound.
        what: String,
        /// The bound.
        limit: u64,
    },
    /// The control file is missing or wrong.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A required signature is absent.
    #[error("the package carries no {0} signature; sign it with `debfleet sign --key`")]
    Unsigned(SignatureRole),
    /// No room for another signature.
    #[error("it carries {0} signatures already, and no tool reads more")]
    TooManySignatures(usize),
    /// A required signature is there and cannot be trusted.
    #[error("{role} signature: {cause}")]
    Signature {
        /// Whose.
        role: SignatureRole,
        /// Why.
        cause: OpenPgpError,
    },
}
