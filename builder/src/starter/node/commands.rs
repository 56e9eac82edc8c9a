//! The commands in `bin`.

use super::package_json::Bin;
use crate::starter::draft::Draft;
use crate::starter::project_folder::ProjectFolder;
use crate::starter::words;

/// Command and file, in a plain path.
pub(super) fn read(draft: &mut Draft, bin: Option<Bin>, package: &str) -> Vec<(String, String)> {
    let all = match bin {
        None => Vec::new(),
        // A single command has the package's name, without its scope.
        Some(Bin::One(path)) => vec![(package.rsplit('/').next().unwrap_or_default().to_owned(), path)],
        Some(Bin::Many(map)) => map.into_iter().collect(),
    };
    let mut good = Vec::new();
    for (name, path) in all {
        match ProjectFolder::inside(&path).filter(|_| words::is_file_name(&name)) {
            Some(path) => good.push((name, path)),
            None => draft.drop_key(
                "bin",
                format!("{:?}: {:?} is no command of a file below this folder", words::cut(&name), words::cut(&path)),
            ),
        }
    }
    good
}
