//! What readers see: one suite at one generation, in memory, never changed. Publishing exchanges the whole.

use super::generation::Generation;
use super::schedule;
use bytes::Bytes;
use debian_formats::checksums::sha256_hex;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A file ready to be served.
#[derive(Debug, Clone)]
pub(crate) struct ServedFile {
    /// Its content.
    pub(crate) content: Bytes,
    /// Of the content.
    pub(crate) sha256: String,
    /// When the generation that it belongs to was made.
    pub(crate) modified: Timestamp,
    /// Whether this path always has this content.
    pub(crate) immutable: bool,
}

/// A suite as it is served.
#[derive(Debug)]
pub(crate) struct SuiteSnapshot {
    /// Newest first.
    generations: Vec<Generation>,
    blobs: BTreeMap<String, Bytes>,
    files: HashMap<String, ServedFile>,
}

impl SuiteSnapshot {
    /// Of generations, newest first. Files whose content is not in `blobs` are not served.
    pub(super) fn new(mut generations: Vec<Generation>, mut blobs: BTreeMap<String, Bytes>) -> Self {
        let dates: Vec<Timestamp> = generations.iter().map(Generation::date).collect();
        generations.truncate(schedule::kept(&dates));
        let mut files = HashMap::new();
        for generation in generations.iter().rev() {
            for file in generation.files() {
                if let Some(content) = blobs.get(&file.sha256) {
                    files.insert(file.by_hash_path(), served(content.clone(), &file.sha256, generation, true));
                }
            }
        }
        if let Some(newest) = generations.first() {
            for file in newest.files() {
                if let Some(content) = blobs.get(&file.sha256) {
                    files.insert(file.path.clone(), served(content.clone(), &file.sha256, newest, false));
                }
            }
            for (path, text) in newest.signed_files() {
                let content = Bytes::copy_from_slice(text.as_bytes());
                let sha256 = sha256_hex(&content);
                files.insert(path.to_owned(), served(content, &sha256, newest, false));
            }
        }
        let needed: BTreeSet<&String> =
            generations.iter().flat_map(Generation::files).map(|file| &file.sha256).collect();
        blobs.retain(|sha256, _| needed.contains(sha256));
        Self { generations, blobs, files }
    }

    /// The snapshot after one more generation.
    pub(super) fn successor(&self, generation: Generation, new_blobs: BTreeMap<String, Bytes>) -> Self {
        let generations = std::iter::once(generation).chain(self.generations.iter().cloned()).collect();
        let mut blobs = self.blobs.clone();
        blobs.extend(new_blobs);
        Self::new(generations, blobs)
    }

    /// Whether there is a generation and all its files are at hand.
    pub(super) fn is_complete(&self) -> bool {
        self.newest().is_some_and(|newest| newest.files().iter().all(|file| self.blobs.contains_key(&file.sha256)))
    }

    /// The newest generation.
    pub(super) fn newest(&self) -> Option<&Generation> {
        self.generations.first()
    }

    /// The number of the oldest generation that is still served.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.generations.last().map(Generation::number)
    }

    /// The file at a path relative to `dists/<suite>/`.
    pub(crate) fn file(&self, path: &str) -> Option<&ServedFile> {
        self.files.get(path)
    }
}

fn served(content: Bytes, sha256: &str, generation: &Generation, immutable: bool) -> ServedFile {
    ServedFile { content, sha256: sha256.to_owned(), modified: generation.date(), immutable }
}
