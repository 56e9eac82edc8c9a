//! The programs of a crate.

use crate::starter::draft::Draft;
use crate::starter::project_folder::ProjectFolder;
use crate::starter::words;
use serde::Deserialize;

/// One `[[bin]]`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Binary {
    name: Option<String>,
    path: Option<String>,
    #[serde(default)]
    required_features: Vec<String>,
}

/// As cargo finds them: [[bin]], src/main.rs, src/bin/NAME.rs and src/bin/NAME/main.rs.
pub(super) fn find(
    crate_name: &str,
    automatic: bool,
    bins: &[Binary],
    folder: &ProjectFolder,
    draft: &mut Draft,
) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut named_paths: Vec<String> = Vec::new();
    for binary in bins {
        let name = binary.name.clone().unwrap_or_else(|| crate_name.to_owned());
        named_paths.extend(binary.path.as_deref().and_then(ProjectFolder::inside));
        if !binary.required_features.is_empty() {
            let features = words::cut(&binary.required_features.join(","));
            draft.change(
                "bin.required-features",
                format!("{} is built only with `--features {features}`", words::cut(&name)),
            );
        }
        found.push(name);
    }
    if automatic {
        let mut take = |path: String, name: &str| {
            if !named_paths.contains(&path) && folder.is_file(&path) {
                found.push(name.to_owned());
            }
        };
        take("src/main.rs".to_owned(), crate_name);
        for name in folder.names("src/bin") {
            match name.strip_suffix(".rs") {
                Some(stem) => take(format!("src/bin/{name}"), stem),
                None => take(format!("src/bin/{name}/main.rs"), &name),
            }
        }
    }
    let (mut good, bad): (Vec<String>, Vec<String>) = found.into_iter().partition(|name| words::is_file_name(name));
    bad.iter().for_each(|name| draft.drop_key("bin", format!("{:?} is no file name", words::cut(name))));
    good.sort_unstable();
    good.dedup();
    good
}
