//! Keys that sign together: while one takes the other's place, both vouch for the same text, so that whoever trusts
//! only one of them goes on.

use super::signing::{self, SigningKey};
use super::{Fingerprint, Keyring, OpenPgpError};
use jiff::Timestamp;
use zeroize::Zeroizing;

const BLOCK: &str = "-----BEGIN PGP PRIVATE KEY BLOCK-----";

/// One or more secret keys, each once, the oldest first. Their file form is their armoured forms one behind the other.
pub struct SigningKeys {
    keys: Vec<SigningKey>,
}

impl From<SigningKey> for SigningKeys {
    fn from(key: SigningKey) -> Self {
        Self { keys: vec![key] }
    }
}

impl SigningKeys {
    /// Reads armoured secret keys, none of them locked.
    pub fn from_armor(text: &str) -> Result<Self, OpenPgpError> {
        let starts = text.match_indices(BLOCK).map(|(at, _)| at);
        let ends = starts.clone().skip(1).chain([text.len()]);
        let mut blocks = starts.zip(ends).map(|(begin, end)| &text[begin..end]);
        // Without any, the text itself says best what is wrong with it.
        let first = SigningKey::from_armor(blocks.next().unwrap_or(text))?;
        let mut found = Self::from(first);
        for block in blocks {
            found = found.and(SigningKey::from_armor(block)?)?;
        }
        Ok(found)
    }

    /// The secret keys, armoured. Write them with mode 0600.
    pub fn to_armor(&self) -> Result<Zeroizing<String>, OpenPgpError> {
        let mut text = Zeroizing::new(String::new());
        for key in &self.keys {
            text.push_str(&key.to_armor()?);
        }
        Ok(text)
    }

    /// These and one more; one that is there already changes nothing.
    pub fn and(mut self, key: SigningKey) -> Result<Self, OpenPgpError> {
        let fingerprint = key.fingerprint()?;
        if !self.fingerprints()?.contains(&fingerprint) {
            self.keys.push(key);
        }
        Ok(self)
    }

    /// Takes one of them away and gives it, or nothing where it is the only one or none of them.
    pub fn take(&mut self, fingerprint: &Fingerprint) -> Result<Option<SigningKey>, OpenPgpError> {
        let at = self.fingerprints()?.iter().position(|found| found == fingerprint);
        Ok(at.filter(|_| self.keys.len() > 1).map(|at| self.keys.remove(at)))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter()
    }

    /// Their fingerprints.
    pub fn fingerprints(&self) -> Result<Vec<Fingerprint>, OpenPgpError> {
        self.keys.iter().map(SigningKey::fingerprint).collect()
    }

    /// The public halves.
    #[must_use]
    pub fn public_keyring(&self) -> Keyring {
        Keyring::of_keys(self.keys.iter().map(SigningKey::public_key).collect())
    }

    /// Signs a text within itself (the form of InRelease), all signatures in one block as in Debian's own. Blanks at line
    /// ends are cut first: verifiers do not hash them.
    pub fn sign_cleartext(&self, text: &str, time: Timestamp) -> Result<String, OpenPgpError> {
        signing::sign_cleartext(&self.keys, text, time)
    }

    /// Detached signatures, in one armoured block (the form of Release.gpg).
    pub fn sign_detached_armored(&self, data: &[u8], time: Timestamp) -> Result<String, OpenPgpError> {
        signing::sign_detached_armored(&self.keys, data, time)
    }
}
