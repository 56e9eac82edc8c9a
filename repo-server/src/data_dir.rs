//! Where things lie in the data folder, and whether it is one.

use debian_formats::openpgp::Fingerprint;
use durable_files::DurableError;
use std::io;
use std::path::{Path, PathBuf};

/// The folder that holds everything the server knows.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    root: PathBuf,
}

/// What a folder is, as far as this server is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataDirState {
    /// Nothing is there, or an empty folder.
    Vacant,
    /// `init` began here and did not come to its end.
    Unfinished,
    /// Ready to serve.
    Initialised,
    /// A folder with somebody else's files.
    Foreign,
}

impl DataDir {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Held by the process that uses the folder.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// Present from the beginning of `init`, or of a backup or its restoring, to its end.
    pub(crate) fn unfinished_init(&self) -> PathBuf {
        self.root.join("unfinished-init")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("debfleet.db")
    }

    /// Secrets, mode 0700.
    pub(crate) fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// Those that sign.
    pub(crate) fn repository_key(&self) -> PathBuf {
        self.keys().join("repository.key")
    }

    /// A repository key that signs no more.
    pub(crate) fn retired_key(&self, key: &Fingerprint) -> PathBuf {
        self.keys().join(format!("retired-{key}.key"))
    }

    /// Held by whoever changes the repository keys.
    pub(crate) fn keys_lock(&self) -> PathBuf {
        self.root.join("keys.lock")
    }

    pub(crate) fn fleet_ca_key(&self) -> PathBuf {
        self.keys().join("fleet-ca.key")
    }

    /// What signs for the fleet CA when its key is not here.
    pub(crate) fn fleet_ca_sign_command(&self) -> PathBuf {
        self.keys().join("fleet-ca.sign-command")
    }

    pub(crate) fn repository_keyring(&self) -> PathBuf {
        self.root.join("repository.gpg")
    }

    pub(crate) fn package_keyring(&self) -> PathBuf {
        self.root.join("package-keys.gpg")
    }

    pub(crate) fn fleet_ca_certificate(&self) -> PathBuf {
        self.root.join("fleet-ca.pem")
    }

    pub(crate) fn pool(&self) -> PathBuf {
        self.root.join("pool")
    }

    pub(crate) fn indexes(&self) -> PathBuf {
        self.root.join("indexes")
    }

    /// Uploads on their way in.
    pub(crate) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// Everything that `init` makes, but the lock and its own mark.
    pub(crate) fn made_by_init(&self) -> Vec<PathBuf> {
        let database = self.database();
        let beside = |suffix: &str| {
            let mut name = database.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        vec![
            self.keys(),
            self.repository_keyring(),
            self.package_keyring(),
            self.fleet_ca_certificate(),
            self.pool(),
            self.indexes(),
            self.incoming(),
            beside("-wal"),
            beside("-shm"),
            database,
        ]
    }

    /// Takes all of that away.
    pub(crate) fn remove_parts(&self) -> Result<(), DurableError> {
        for path in self.made_by_init() {
            let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            match removed {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                    return Err(DurableError::Io { action: "remove", path, cause });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Looks, and changes nothing.
    pub(crate) fn state(&self) -> io::Result<DataDirState> {
        let entries = match self.root.read_dir() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(DataDirState::Vacant),
            other => other?,
        };
        let mut vacant = true;
        for entry in entries {
            let name = entry?.file_name();
            // A file system of its own begins with lost+found.
            vacant &= name == "lock" || name == "lost+found";
        }
        Ok(if self.unfinished_init().exists() {
            DataDirState::Unfinished
        } else if self.database().exists() || self.repository_key().exists() {
            DataDirState::Initialised
        } else if vacant {
            DataDirState::Vacant
        } else {
            DataDirState::Foreign
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_told_for_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let dir = DataDir::new(&folder.path().join("data"));
        assert_eq!(dir.state().unwrap(), DataDirState::Vacant);
        durable_files::create_dir(dir.root(), 0o755).unwrap();
        assert_eq!(dir.state().unwrap(), DataDirState::Vacant);
        let other = dir.root().join("photo.jpg");
        durable_files::replace(&other, b"", 0o644).unwrap();
        assert_eq!(dir.state().unwrap(), DataDirState::Foreign);
        durable_files::replace(&dir.database(), b"", 0o644).unwrap();
        assert_eq!(dir.state().unwrap(), DataDirState::Initialised);
        durable_files::replace(&dir.unfinished_init(), b"", 0o644).unwrap();
        assert_eq!(dir.state().unwrap(), DataDirState::Unfinished);
    }
}
