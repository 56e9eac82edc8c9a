//! Readers and writers of Debian's file formats.
//!
//! Everything here is a plain value or a stream: no sockets, no clock, no processes. What a stranger can
//! send is bounded by [`limits::Limits`]. The types make the wrong order impossible: a
//! [`release::SignedRelease`] comes only from signing, a [`release::VerifiedRelease`] only from a
//! signature that a known key made.

pub mod buildinfo;
pub mod changelog;
pub mod changes;
pub mod checksums;
pub mod control;
pub mod date;
pub mod deb;
pub mod limits;
pub mod listed_file;
pub mod names;
pub mod openpgp;
pub mod packages;
pub mod packed;
pub mod relation;
pub mod release;
pub mod signed_changes;
pub mod upstream;
pub mod version;
pub mod xz_blocks;

pub use names::{Architecture, PackageName};
pub use version::Version;
