//! A manifest, or a tree with a `DEBIAN/` folder, becomes a signed .deb; and the version bump.
//!
//! The way of a build, one module each:
//! [`source`] (which form a folder has) → [`manifest`] or [`tree`] (checked, its files found) → [`time`] (the one
//! time of everything) → [`plan`] (what the package will hold, decided without touching a disk) → [`write`]
//! (the bytes, whole or not at all). [`bump`] stands beside them, and [`git`] knows the source's
//! history.

mod build;
pub mod bump;
pub mod confine;
pub mod entries;
pub mod gathered;
pub mod git;
pub mod installed;
pub mod keyring_package;
pub mod machine;
pub mod manifest;
mod nearest;
pub mod pattern;
pub mod plan;
pub mod policies;
pub mod provenance;
pub mod scripts;
pub mod shared_libraries;
pub mod signed_text;
pub mod source;
pub mod starter;
pub mod systemd;
pub mod time;
pub mod tree;
pub mod upload_set;
pub mod walk;
pub mod write;

pub use build::{BuildError, Built, Options, build, check};
pub use source::{Source, SourceError};
