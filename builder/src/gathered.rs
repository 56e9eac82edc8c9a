//! What either form of source gives to the plan.

use crate::entries::Entries;
use debian_formats::control::Stanza;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a source gives, found on disk; the rest of the plan is made from it alone.
#[derive(Debug)]
pub struct Gathered {
    /// The control file without Installed-Size.
    pub stanza: Stanza,
    /// The payload.
    pub entries: Entries,
    /// Of control.tar, without `control`, `md5sums` and `conffiles`.
    pub control_files: BTreeMap<String, Vec<u8>>,
    /// Lines of the file conffiles.
    pub conffiles: Vec<String>,
    /// The copyright and changelog to write if the payload has none; none for a tree, which says all itself.
    pub documents: Option<Documents>,
    /// When the youngest of the source files was changed, in seconds since 1970.
    pub newest: i64,
    /// The source files that say something of the package and are not packed as they are: the manifest, scripts.
    pub read: Vec<PathBuf>,
    /// Packages of this system that had a part in what the stanza says, by name.
    pub installed: Vec<String>,
    /// The folders that are packed with all that is in them.
    pub folders: Vec<PathBuf>,
}

/// What the generated documents say.
#[derive(Debug, Clone)]
pub struct Documents {
    /// `Name <mail>`.
    pub maintainer: String,
    /// A short name such as `MIT`.
    pub license: Option<String>,
    /// A page on the web.
    pub homepage: Option<String>,
    /// The changelog's text; absent: one entry is written.
    pub changelog: Option<String>,
}
