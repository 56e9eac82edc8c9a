//! A `.changes` that somebody uploads: believed only when a known key signed it (deb-changes(5)).

use crate::control::{Stanza, StanzaError};
use crate::names::{ComponentName, NameError, SuiteName};
use crate::openpgp::{Fingerprint, Keyring, OpenPgpError};
use std::collections::BTreeMap;

/// An upload whose signature was checked. Only [`VerifiedChanges::verify`] makes one.
#[derive(Debug, Clone)]
pub struct VerifiedChanges {
    signers: Vec<Fingerprint>,
    source: String,
    version: String,
    distribution: SuiteName,
    files: Vec<ChangesFile>,
}

/// A file of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesFile {
    /// Without a folder.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
    /// What stands before the slash of its section (Policy 2.4), else `main`.
    pub component: ComponentName,
}

/// A `.changes` that is not believed, or that does not say what it must.
#[derive(Debug, thiserror::Error)]
pub enum ChangesError {
    /// The signature is missing, wrong, or a stranger's.
    #[error(transparent)]
    Signature(#[from] OpenPgpError),
    /// The text is not made of fields.
    #[error(transparent)]
    Syntax(#[from] StanzaError),
    /// A field is absent or empty.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// A line that lists a file, and cannot be read.
    #[error("{field}: {line:?} does not list a file")]
    Line {
        /// Where it stands.
        field: &'static str,
        /// The line, cut if long.
        line: String,
    },
    /// The Distribution is not the name of one suite, or a section not in a component.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl VerifiedChanges {
    /// Checks the signature and reads what was signed.
    pub fn verify(message: &str, trusted: &Keyring) -> Result<Self, ChangesError> {
        let verified = trusted.verify_cleartext(message)?;
        let stanza = Stanza::parse_all(&verified.text)?.into_iter().next().unwrap_or_default();
        let field =
            |name| stanza.get(name).map(str::trim).filter(|it| !it.is_empty()).ok_or(ChangesError::Missing(name));
        let mut components = BTreeMap::new();
        for line in lines(field("Files")?) {
            let [_, _, section, _, name] = words("Files", line)?;
            let component = section.split_once('/').map_or("main", |(component, _)| component);
            components.insert(name, component.parse::<ComponentName>()?);
        }
        let mut files = Vec::new();
        for line in lines(field("Checksums-Sha256")?) {
            let [sha256, size, name] = words("Checksums-Sha256", line)?;
            let (size, component) = (size.parse().ok(), components.remove(name));
            let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
            let (Some(size), Some(component), true) = (size, component, is_hash && is_plain(name)) else {
                return Err(no_file("Checksums-Sha256", line));
            };
            files.push(ChangesFile { name: name.to_owned(), size, sha256: sha256.to_ascii_lowercase(), component });
        }
        // Both list the same files.
        if let Some(name) = components.into_keys().next() {
            return Err(no_file("Checksums-Sha256", name));
        }
        Ok(Self {
            source: field("Source")?.to_owned(),
            version: field("Version")?.to_owned(),
            distribution: field("Distribution")?.parse()?,
            files,
            signers: verified.signers,
        })
    }

    /// Who signed it, of those that are trusted.
    #[must_use]
    pub fn signers(&self) -> &[Fingerprint] {
        &self.signers
    }

    /// The source and its version, as they stand there.
    #[must_use]
    pub fn source(&self) -> (&str, &str) {
        (&self.source, &self.version)
    }

    /// The suite that it is for.
    #[must_use]
    pub fn distribution(&self) -> &SuiteName {
        &self.distribution
    }

    /// What belongs to it.
    #[must_use]
    pub fn files(&self) -> &[ChangesFile] {
        &self.files
    }
}

/// Whether a text may name a file that lies beside a `.changes`.
#[must_use]
pub fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.~_:%".contains(&byte);
    (1..=255).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
}

fn lines(value: &str) -> impl Iterator<Item = &str> {
    value.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn words<'a, const N: usize>(field: &'static str, line: &'a str) -> Result<[&'a str; N], ChangesError> {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.try_into().map_err(|_| no_file(field, line))
}

fn no_file(field: &'static str, line: &str) -> ChangesError {
    ChangesError::Line { field, line: line.chars().take(120).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openpgp::SigningKey;
    use jiff::Timestamp;

    const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn text() -> String {
        format!(
            "Format: 1.8\nSource: hi\nVersion: 1:2-1\nDistribution: stable\nChecksums-Sha256:\n {SHA256} 3 hi_2-1_all.deb\n \
             {SHA256} 4 hi_2-1.dsc\nFiles:\n x 3 contrib/misc optional hi_2-1_all.deb\n x 4 misc optional hi_2-1.dsc\n"
        )
    }

    fn verify(text: &str) -> Result<VerifiedChanges, ChangesError> {
        let time = Timestamp::from_second(1_800_000_000).unwrap();
        let key = SigningKey::generate("test <t@example.org>", time).unwrap();
        VerifiedChanges::verify(&key.sign_cleartext(text, time).unwrap(), &key.public_keyring())
    }

    #[test]
    fn a_signed_upload_says_what_belongs_to_it() {
        let changes = verify(&text()).unwrap();
        assert_eq!((changes.source(), changes.distribution().as_str()), (("hi", "1:2-1"), "stable"));
        let files: Vec<_> =
            changes.files().iter().map(|file| (file.name.as_str(), file.size, file.component.as_str())).collect();
        assert_eq!(files, [("hi_2-1_all.deb", 3, "contrib"), ("hi_2-1.dsc", 4, "main")]);
        assert_eq!(changes.files()[0].sha256, SHA256);
    }

    #[test]
    fn what_is_unsigned_or_unclear_is_refused() {
        let time = Timestamp::from_second(1_800_000_000).unwrap();
        let keyring = SigningKey::generate("test <t@example.org>", time).unwrap().public_keyring();
        assert!(matches!(VerifiedChanges::verify(&text(), &keyring), Err(ChangesError::Signature(_))));
        for (from, to) in [
            ("Distribution: stable", "Distribution: stable unstable"),
            ("Distribution: stable", "X: y"),
            (" x 4 misc optional hi_2-1.dsc\n", ""),
            ("hi_2-1_all.deb\n", "../hi_2-1_all.deb\n"),
            ("hi_2-1_all.deb", ".hidden"),
            (SHA256, "ba78"),
            (" 3 hi", " many hi"),
            ("contrib/misc", "../misc"),
            ("Checksums-Sha256", "Checksums-Sha1"),
        ] {
            assert!(verify(&text().replace(from, to)).is_err(), "{to:?}");
        }
    }
}
