//! Stanzas of a Packages index: a package's control fields and where its file is.

use crate::checksums::Checksums;
use crate::control::{Control, ControlError, Stanza, StanzaError};

/// One package in an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageEntry {
    control: Control,
    filename: String,
    size: u64,
    sha256: String,
}

/// An index that does not say what it must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The text is not made of stanzas.
    #[error("Packages, {0}")]
    Syntax(#[from] StanzaError),
    /// A stanza's control fields are wrong.
    #[error("Packages, stanza of {package:?}: {cause}")]
    Control {
        /// The Package field, as it stands.
        package: String,
        /// What is wrong.
        cause: ControlError,
    },
    /// A stanza's own fields are wrong.
    #[error("Packages, stanza of {package:?}: the field {field} is missing or wrong")]
    Field {
        /// The Package field, as it stands.
        package: String,
        /// The field.
        field: &'static str,
    },
}

/// The fields that stand in an index but not in a package.
const INDEX_FIELDS: [&str; 6] = ["Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512"];

impl PackageEntry {
    /// All control fields.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Where the .deb is, relative to the repository's root; never absolute, never with `..`.
    #[must_use]
    pub fn filename(&self) -> &str {
        &self.filename
    }

    /// The .deb's length in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The .deb's SHA-256, lower-case hex.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The stanza of a package whose file was stored at `filename`.
    #[must_use]
    pub fn stanza_for(control: &Control, filename: &str, checksums: &Checksums) -> Stanza {
        let mut stanza = control.stanza().clone();
        stanza.set("Filename", filename);
        stanza.set("Size", &checksums.size.to_string());
        stanza.set("MD5sum", &checksums.md5);
        stanza.set("SHA256", &checksums.sha256);
        stanza
    }

    /// Checks a stanza of an index.
    pub fn from_stanza(stanza: &Stanza) -> Result<Self, IndexError> {
        let package = || stanza.get("Package").unwrap_or_default().chars().take(80).collect::<String>();
        let field = |field| stanza.get(field).ok_or_else(|| IndexError::Field { package: package(), field });
        let wrong = |field| IndexError::Field { package: package(), field };
        let filename = field("Filename")?;
        if filename.starts_with('/') || filename.split('/').any(|part| part.is_empty() || part == "..") {
            return Err(wrong("Filename"));
        }
        let size = field("Size")?.parse().map_err(|_| wrong("Size"))?;
        let sha256 = field("SHA256")?.to_ascii_lowercase();
        if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong("SHA256"));
        }
        let mut own = Stanza::new();
        for (name, value) in
            stanza.iter().filter(|(name, _)| !INDEX_FIELDS.iter().any(|f| f.eq_ignore_ascii_case(name)))
        {
            own.set(name, value);
        }
        let control = Control::from_stanza(own).map_err(|cause| IndexError::Control { package: package(), cause })?;
        Ok(Self { control, filename: filename.to_owned(), size, sha256 })
    }

    /// The entries of one package name in an index; other stanzas are not looked into.
    pub fn find_in_index(index: &str, name: &crate::PackageName) -> Result<Vec<Self>, IndexError> {
        Self::find_all_in_index(index, |found| found == name.as_str())
    }

    /// The entries of all packages whose name is wanted; other stanzas are not looked into.
    pub fn find_all_in_index(index: &str, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<Self>, IndexError> {
        let stanzas = Stanza::parse_all(index)?;
        stanzas.iter().filter(|stanza| stanza.get("Package").is_some_and(&is_wanted)).map(Self::from_stanza).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTROL: &str = "Package: hi\nVersion: 0.1.0-1\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: hi\n";

    #[test]
    fn an_index_gives_back_what_was_put_in() {
        let control: Control = CONTROL.parse().unwrap();
        let checksums = Checksums::of_bytes(b"deb");
        let index = PackageEntry::stanza_for(&control, "pool/main/h/hi/hi_0.1.0-1_all.deb", &checksums).to_string();
        let found =
            PackageEntry::find_in_index(&format!("{index}\n{}", index.replace(": hi", ": ho")), &"hi".parse().unwrap())
                .unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].control(), found[0].size(), found[0].sha256()), (&control, 3, checksums.sha256.as_str()));
    }

    #[test]
    fn a_filename_cannot_leave_the_repository() {
        for filename in ["/etc/passwd", "pool/../../x", "pool//x"] {
            let stanza = format!("{CONTROL}Filename: {filename}\nSize: 1\nSHA256: {}\n", "0".repeat(64));
            let error = PackageEntry::find_in_index(&stanza, &"hi".parse().unwrap()).unwrap_err();
            assert!(matches!(error, IndexError::Field { field: "Filename", .. }), "{filename}: {error}");
        }
    }
}
