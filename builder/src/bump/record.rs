//! The commit and the tag of a new version.

use super::edits::Edits;
use super::error::BumpError;
use crate::git::{Commit, Repository};
use std::path::Path;

/// What becomes of a bump in git.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// Files change, and nothing else.
    Files,
    /// The files that changed are committed.
    Commit,
    /// And the commit is tagged.
    Tag,
}

/// `v1.3.0`
pub(super) fn tag_name(version: &str) -> String {
    format!("v{version}")
}

/// What will be recorded, checked ahead.
#[derive(Debug)]
pub(super) struct Recording {
    repository: Repository,
    message: String,
    tag: Option<String>,
}

impl Recording {
    /// None if nothing is to be recorded.
    pub(super) fn plan(
        record: Record,
        folder: &Path,
        message: String,
        version: &str,
        edits: &Edits,
    ) -> Result<Option<Self>, BumpError> {
        if record == Record::Files {
            return Ok(None);
        }
        let repository = Repository::open(folder)?;
        // One could not tell later which of a file's changes were the release's.
        let uncommitted = repository.not_committed(&edits.present())?;
        if !uncommitted.is_empty() {
            return Err(BumpError::Uncommitted(uncommitted));
        }
        let tag = (record == Record::Tag).then(|| tag_name(version));
        if let Some(tag) = &tag
            && repository.tagged_commit(tag)?.is_some()
        {
            return Err(BumpError::TagExists(tag.clone()));
        }
        Ok(Some(Self { repository, message, tag }))
    }

    /// Commits the files, which are written already, and tags the commit.
    pub(super) fn perform(&self, edits: &Edits) -> Result<Commit, BumpError> {
        if let Err(error) = self.repository.commit(&self.message, &edits.paths()) {
            edits.put_back()?;
            return Err(error.into());
        }
        if let Some(tag) = &self.tag {
            let tagged = self.repository.tag(tag, &self.message);
            tagged.map_err(|cause| BumpError::NotTagged { tag: tag.clone(), cause })?;
        }
        Ok(self.repository.head()?)
    }

    /// The tag's name, if there will be one.
    pub(super) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }
}
