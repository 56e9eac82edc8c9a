//! Somebody else's apt archive: reading it, and what of it a suite of ours shall hold.

mod dependencies;
mod download;
mod index;
mod plan;
mod selection;
mod source;

pub(crate) use dependencies::with_dependencies;
pub(crate) use download::{Fetched, fetch_all};
pub(crate) use index::{Wanted, read_keyrings, read_packages, read_release};
pub(crate) use plan::Plan;
pub(crate) use selection::Selection;
pub(crate) use source::Source;
