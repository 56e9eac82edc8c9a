//! nfpm's version in its five parts.

use super::Reader;
use crate::starter::draft::Draft;
use crate::starter::words;
use crate::starter::yaml::Problem;

/// nfpm's version, prerelease, version_metadata, release and epoch.
pub(super) fn carry(draft: &mut Draft, reader: &Reader) -> Result<(), Problem> {
    let before = draft.dropped.len();
    let written = reader.text(draft, "version")?;
    let Some(written) = written else {
        // The note of the variable says it better, if there is one.
        if draft.dropped.len() == before {
            draft.drop_key("version", "there is none; the manifest begins with 0.1.0, so correct it");
        } else {
            draft.change("version", "the manifest begins with 0.1.0; correct it, and let `debfleet bump` raise it");
        }
        "0.1.0".clone_into(&mut draft.version);
        return set_release(draft, reader);
    };
    let Some((mut version, _)) = words::semver(&written) else {
        let why = format!(
            "{:?} is not three numbers (semver); the manifest begins with 0.1.0, so correct it",
            words::cut(&written)
        );
        draft.drop_key("version", why);
        "0.1.0".clone_into(&mut draft.version);
        return set_release(draft, reader);
    };
    if let Some(prerelease) = reader.text(draft, "prerelease")? {
        match semver::Prerelease::new(prerelease.trim()) {
            Ok(prerelease) => version.pre = prerelease,
            Err(_) => {
                draft.drop_key("prerelease", format!("{:?} is none of semver, such as rc.1", words::cut(&prerelease)));
            }
        }
    }
    if let Some(metadata) = reader.text(draft, "version_metadata")? {
        match semver::BuildMetadata::new(metadata.trim()) {
            Ok(metadata) => version.build = metadata,
            Err(_) => draft.drop_key(
                "version_metadata",
                format!("{:?} is none of semver, such as git.abc1234", words::cut(&metadata)),
            ),
        }
    }
    draft.version = version.to_string();
    if draft.version != written {
        draft.change("version", format!("{:?} is written {}", words::cut(&written), draft.version));
    }
    set_release(draft, reader)
}

fn set_release(draft: &mut Draft, reader: &Reader) -> Result<(), Problem> {
    match reader.text(draft, "release")? {
        None => draft.change("release", "there is none; the package's version ends with revision 1, as Debian's do"),
        Some(release) => match release.trim().parse::<u32>() {
            Ok(number) if number > 0 => draft.revision = Some(number).filter(|number| *number != 1),
            _ => draft.drop_key(
                "release",
                format!("{:?} is no number from 1; a revision of Debian counts from 1", words::cut(&release)),
            ),
        },
    }
    if let Some(epoch) = reader.text(draft, "epoch")? {
        match epoch.trim().parse::<u32>() {
            Ok(number) => draft.epoch = Some(number).filter(|number| *number != 0),
            Err(_) => draft.drop_key("epoch", format!("{:?} is no number", words::cut(&epoch))),
        }
    }
    Ok(())
}
