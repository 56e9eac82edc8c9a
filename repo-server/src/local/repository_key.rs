//! Rotation of the repository key. The new key signs beside the old one until every device knows it; then the old one is
//! retired. All keys that sign stand in one file, so that a change of it is whole or not at all.

use super::{LocalError, data_dir, tables};
use crate::audit::{Actor, Audit, Entry};
use crate::config::Settings;
use crate::data_dir::DataDir;
use debian_formats::openpgp::{Fingerprint, KeyFile, OpenPgpError, SigningKey, SigningKeys};
use durable_files::{DurableError, Lock, Replacement};
use fleet_protocol::audit::Outcome;
use jiff::Timestamp;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

/// What a repository key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// It signs every Release.
    Signs,
    /// It did.
    Retired,
}

/// A repository key.
#[derive(Debug, Clone)]
pub struct ListedKey {
    /// Of the key.
    pub fingerprint: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// What it does.
    pub role: KeyUse,
}

/// Makes a key that from now on signs beside the one there is, and gives its fingerprint.
pub async fn rotate_key(settings: &Settings, now: Timestamp) -> Result<Fingerprint, LocalError> {
    let dir = data_dir(settings)?;
    // A wrong database is found out before anything is changed.
    let (database, audit) = tables(&dir, settings).await?;
    let _lock = lock(&dir)?;
    let keys = read(&dir)?;
    let path = dir.repository_key();
    let wrong = wrong(&path);
    let before = keys.fingerprints().map_err(wrong)?;
    if before.len() > 1 {
        return Err(LocalError::Rotating(before));
    }
    let owner = keys.iter().flat_map(SigningKey::user_ids).next().unwrap_or_default();
    let new = SigningKey::generate(&owner, now).map_err(wrong)?;
    let fingerprint = new.fingerprint().map_err(wrong)?;
    put(&dir, &keys.and(new).map_err(wrong)?)?;
    let beside = before.first().map(ToString::to_string).unwrap_or_default();
    note(&audit, "key.rotate", &fingerprint, format!("signs beside {beside}")).await;
    database.close().await;
    Ok(fingerprint)
}

/// Has a key sign no more, and gives where its secret half is kept, should it be needed again.
pub async fn retire_key(settings: &Settings, asked: &str) -> Result<PathBuf, LocalError> {
    let dir = data_dir(settings)?;
    let (database, audit) = tables(&dir, settings).await?;
    let _lock = lock(&dir)?;
    let mut keys = read(&dir)?;
    let path = dir.repository_key();
    let wrong = wrong(&path);
    let known = keys.fingerprints().map_err(wrong)?;
    let wanted: String = asked.chars().filter(|c| !c.is_whitespace()).collect();
    let found = known.iter().copied().find(|known| known.to_string().eq_ignore_ascii_case(&wanted));
    let fingerprint = found.ok_or_else(|| LocalError::UnknownKey { asked: asked.to_owned(), keys: known })?;
    let retired = keys.take(&fingerprint).map_err(wrong)?.ok_or(LocalError::LastKey(fingerprint))?;
    // Kept before it is taken away.
    let kept = dir.retired_key(&fingerprint);
    write(&kept, retired.to_armor().map_err(wrong)?.as_bytes(), 0o600, &path)?;
    put(&dir, &keys)?;
    note(&audit, "key.retire", &fingerprint, String::new()).await;
    database.close().await;
    Ok(kept)
}

/// Those that sign, the oldest first, and those that did.
pub fn list_keys(settings: &Settings) -> Result<Vec<ListedKey>, LocalError> {
    let dir = data_dir(settings)?;
    let mut listed = described(&dir.repository_key(), KeyUse::Signs)?;
    let fail = |source| LocalError::Read { path: dir.keys(), source };
    let mut retired = Vec::new();
    for entry in dir.keys().read_dir().map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("retired-")) {
            retired.extend(described(&path, KeyUse::Retired)?);
        }
    }
    retired.retain(|key| listed.iter().all(|signs| signs.fingerprint != key.fingerprint));
    retired.sort_by_key(|key| key.created);
    listed.extend(retired);
    Ok(listed)
}

fn described(path: &Path, role: KeyUse) -> Result<Vec<ListedKey>, LocalError> {
    let bytes = std::fs::read(path).map_err(|source| LocalError::Read { path: path.to_owned(), source })?;
    let keys = KeyFile::from_bytes(&bytes).map_err(wrong(path))?.describe();
    Ok(keys.into_iter().map(|key| ListedKey { fingerprint: key.fingerprint, created: key.created, role }).collect())
}

fn read(dir: &DataDir) -> Result<SigningKeys, LocalError> {
    let path = dir.repository_key();
    let text = std::fs::read_to_string(&path).map_err(|source| LocalError::Read { path: path.clone(), source })?;
    SigningKeys::from_armor(&text).map_err(wrong(&path))
}

fn put(dir: &DataDir, keys: &SigningKeys) -> Result<(), LocalError> {
    let path = dir.repository_key();
    let ring = keys.public_keyring().to_bytes().map_err(wrong(&path))?;
    write(&path, keys.to_armor().map_err(wrong(&path))?.as_bytes(), 0o600, &path)?;
    // Should this not come about, the server does it when it reads the keys.
    write(&dir.repository_keyring(), &ring, 0o644, &path)
}

/// A file for the user to whom `owned_as` belongs: the server is not root, and whoever types this command may be.
fn write(path: &Path, content: &[u8], mode: u32, owned_as: &Path) -> Result<(), LocalError> {
    let fail = |cause| DurableError::Io { action: "write", path: path.to_owned(), cause };
    let mut file = Replacement::new(path)?;
    file.write_all(content).map_err(fail)?;
    give_to_owner_of(owned_as, file.path())?;
    Ok(file.commit(mode)?)
}

fn give_to_owner_of(like: &Path, path: &Path) -> Result<(), DurableError> {
    let fail = |cause| DurableError::Io { action: "give its owner", path: path.to_owned(), cause };
    let owner = like.metadata().map_err(fail)?;
    chown(path, Some(owner.uid()), Some(owner.gid())).map_err(fail)
}

/// Of two who change the keys one is told to wait.
fn lock(dir: &DataDir) -> Result<Lock, LocalError> {
    let lock = Lock::acquire(&dir.keys_lock())?;
    give_to_owner_of(&dir.repository_key(), &dir.keys_lock())?;
    Ok(lock)
}

fn wrong(path: &Path) -> impl Fn(OpenPgpError) -> LocalError + Copy + '_ {
    move |source| LocalError::Key { path: path.to_owned(), source }
}

async fn note(audit: &Audit, action: &'static str, key: &Fingerprint, detail: String) {
    let actor = Actor::local(&format!("debfleet-server {}", action.replace('.', " ")));
    let subject = key.to_string();
    audit.record(Entry { actor, action, subject, detail, outcome: Outcome::Done }).await;
}
