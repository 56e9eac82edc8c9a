//! Upper bounds on whatever a stranger sends.

/// Sizes in bytes unless the name says otherwise. The defaults hold for Debian's own archive with room to spare.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A .deb file, whole.
    pub deb_bytes: u64,
    /// control.tar, uncompressed.
    pub control_tar_bytes: u64,
    /// One file inside control.tar.
    pub control_file_bytes: u64,
    /// The control file; apt refuses an index with a stanza of a few megabytes.
    pub control_bytes: u64,
    /// data.tar, uncompressed.
    pub data_tar_bytes: u64,
    /// Entries in control.tar and data.tar each.
    pub tar_entries: u64,
    /// The names of all entries of a tar, together.
    pub tar_name_bytes: u64,
    /// The dictionary that unpacking an xz stream takes; `xz -9` has 64 MiB.
    pub dictionary_bytes: u64,
    /// One signature member of a .deb.
    pub signature_bytes: u64,
    /// InRelease, Release or Release.gpg.
    pub release_bytes: u64,
    /// A Packages index, uncompressed.
    pub packages_index_bytes: u64,
    /// A policy file that the updater reads out of a package.
    pub policy_file_bytes: u64,
}

impl Limits {
    /// The bounds used when no configuration says otherwise.
    pub const DEFAULT: Limits = Limits {
        deb_bytes: 2 << 30,
        control_tar_bytes: 16 << 20,
        control_file_bytes: 8 << 20,
        control_bytes: 512 << 10,
        data_tar_bytes: 8 << 30,
        tar_entries: 1_000_000,
        tar_name_bytes: 128 << 20,
        dictionary_bytes: 64 << 20,
        signature_bytes: 64 << 10,
        release_bytes: 4 << 20,
        packages_index_bytes: 256 << 20,
        policy_file_bytes: 64 << 10,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::DEFAULT
    }
}
