//! What readers see: one suite at one generation, in memory, never changed. Publishing exchanges the whole.

use super::generation::Generation;
use super::index::{Rope, text};
use super::schedule;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;

/// A file ready to be served.
#[derive(Debug, Clone)]
pub(crate) struct ServedFile {
    /// Its content.
    pub(crate) content: Rope,
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
    generations: Vec<Arc<Generation>>,
    files: HashMap<String, ServedFile>,
}

impl SuiteSnapshot {
    /// Of generations, newest first.
    pub(super) fn new(mut generations: Vec<Arc<Generation>>) -> Self {
        let dates: Vec<Timestamp> = generations.iter().map(|generation| generation.date()).collect();
        generations.truncate(schedule::kept(&dates));
        let mut files = HashMap::new();
        for generation in generations.iter().rev() {
            for file in &generation.files().listed {
                if let Some(content) = generation.files().contents.get(&file.sha256) {
                    files.insert(file.by_hash_path(), served(content.clone(), &file.sha256, generation, true));
                }
            }
        }
        if let Some(newest) = generations.first() {
            for file in &newest.files().listed {
                if let Some(content) = newest.files().contents.get(&file.sha256) {
                    files.insert(file.path.clone(), served(content.clone(), &file.sha256, newest, false));
                }
            }
            for (path, signed) in newest.signed_files() {
                let (content, sha256) = text(signed);
                files.insert(path.to_owned(), served(content, &sha256, newest, false));
            }
        }
        Self { generations, files }
    }

    /// The snapshot after one more generation.
    pub(super) fn successor(&self, generation: Arc<Generation>) -> Self {
        Self::new(std::iter::once(generation).chain(self.generations.iter().cloned()).collect())
    }

    /// Whether there is a generation and all its files are at hand.
    pub(super) fn is_complete(&self) -> bool {
        self.newest().is_some_and(Generation::is_complete)
    }

    /// The newest generation.
    pub(super) fn newest(&self) -> Option<&Generation> {
        self.generations.first().map(AsRef::as_ref)
    }

    /// The number of the oldest generation that is still served.
    pub(super) fn oldest(&self) -> Option<i64> {
        self.generations.last().map(|generation| generation.number())
    }

    /// The file at a path relative to `dists/<suite>/`.
    pub(crate) fn file(&self, path: &str) -> Option<&ServedFile> {
        self.files.get(path)
    }
}

fn served(content: Rope, sha256: &str, generation: &Generation, immutable: bool) -> ServedFile {
    ServedFile { content, sha256: sha256.to_owned(), modified: generation.date(), immutable }
}
