//! A keyring becomes a package: the way by which devices get new keys and lose old ones.

use crate::entries::{Entries, EntryError, generated};
use crate::gathered::{Documents, Gathered};
use crate::manifest::check_maintainer;
use crate::plan::{Plan, PlanError};
use debian_formats::control::Stanza;
use debian_formats::openpgp::{Keyring, OpenPgpError};
use debian_formats::{PackageName, Version};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What the package is to be.
pub struct KeyringPackage<'a> {
    /// Such as `acme-archive-keyring`; the keyring is named after it.
    pub name: &'a PackageName,
    /// Its version.
    pub version: &'a Version,
    /// `Name <mail>`.
    pub maintainer: &'a str,
    /// The public keys.
    pub keyring: &'a Keyring,
}

/// A keyring that gives no package.
#[derive(Debug, thiserror::Error)]
pub enum KeyringPackageError {
    /// The maintainer's form.
    #[error("{0:?} is no maintainer; write it as \"Name <mail@example.org>\" (Policy 5.6.2)")]
    Maintainer(String),
    /// The keys.
    #[error(transparent)]
    Keyring(#[from] OpenPgpError),
    /// The name of an entry.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The rest.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl KeyringPackage<'_> {
    /// Where the keyring will be on the device, for `package-keyring` of the updater and apt's Signed-By.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/usr/share/keyrings/{}.gpg", self.name)
    }

    /// Everything that the package will hold.
    pub fn plan(&self, time: Timestamp) -> Result<Plan, KeyringPackageError> {
        if check_maintainer(self.maintainer).is_err() {
            return Err(KeyringPackageError::Maintainer(self.maintainer.chars().take(80).collect()));
        }
        let mut entries = Entries::default();
        entries.add(self.path().trim_start_matches('/'), generated(self.keyring.to_bytes()?))?;
        let copyright = format!("usr/share/doc/{}/copyright", self.name);
        entries.add(&copyright, generated(self.copyright(time).into_bytes()))?;
        let gathered = Gathered {
            stanza: self.stanza()?,
            entries,
            control_files: BTreeMap::new(),
            conffiles: Vec::new(),
            documents: Some(Documents {
                maintainer: self.maintainer.to_owned(),
                license: None,
                homepage: None,
                changelog: None,
            }),
            newest: time.as_second(),
            folders: Vec::new(),
            read: Vec::new(),
            installed: Vec::new(),
        };
        Ok(Plan::new(gathered, time)?)
    }

    fn stanza(&self) -> Result<Stanza, OpenPgpError> {
        let who = self.maintainer.split(" <").next().unwrap_or(self.maintainer);
        let mut description = format!(
            "public keys of {who}\nPackages that one of these keys signed are taken for genuine. This\npackage brings \
             new keys, and takes old ones away:\n."
        );
        for fingerprint in self.keyring.fingerprints()? {
            description += &format!("\n {fingerprint}");
        }
        let mut stanza = Stanza::new();
        for (name, value) in [
            ("Package", self.name.as_str()),
            ("Version", self.version.as_str()),
            ("Architecture", "all"),
            ("Maintainer", self.maintainer),
            ("Section", "misc"),
            ("Priority", "optional"),
            ("Multi-Arch", "foreign"),
            ("Description", &description),
        ] {
            stanza.set(name, value);
        }
        Ok(stanza)
    }

    /// Keys are facts, so no licence is needed, and none is made up.
    fn copyright(&self, time: Timestamp) -> String {
        format!(
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: {}\n\n\
             Files: *\nCopyright: {} {}\nLicense: public-keys\n Public keys are facts, which no copyright covers. \
             Whoever likes may copy them.\n",
            self.name,
            time.strftime("%Y"),
            self.maintainer
        )
    }
}
