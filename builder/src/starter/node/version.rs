//! The version, and where `debfleet bump` finds it.

use crate::starter::draft::Draft;
use crate::starter::error::StarterError;
use crate::starter::project_folder::ProjectFolder;
use crate::starter::words;
use std::path::Path;

pub(super) fn set(draft: &mut Draft, version: Option<&str>, file: &Path) -> Result<(), StarterError> {
    let Some(version) = version else {
        draft.change("version", "there is none; the manifest begins with 0.1.0");
        "0.1.0".clone_into(&mut draft.version);
        return Ok(());
    };
    let (semver, same) = words::semver(version).ok_or_else(|| {
        StarterError::syntax(file, None, format!("version {:?} is no semver; correct it", words::cut(version)))
    })?;
    if !same {
        draft.change("version", format!("{:?} is written {semver}", words::cut(version)));
    }
    draft.version = semver.to_string();
    Ok(())
}

pub(super) fn bump(draft: &mut Draft, folder: &ProjectFolder) {
    let pattern = "\"version\": \"{version}\"";
    let text = folder.text("package.json").unwrap_or_default();
    if text.matches(&pattern.replace("{version}", &draft.version)).count() == 1 {
        draft.bump.push(("package.json".to_owned(), pattern.to_owned()));
    } else {
        draft.drop_key("version", "its line is not found in one place of package.json; add it to [bump]");
    }
}
