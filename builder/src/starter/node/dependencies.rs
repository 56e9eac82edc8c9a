//! What the package needs: the interpreter, and other packages.

use crate::starter::draft::{Draft, FileRule};
use crate::starter::project_folder::ProjectFolder;
use crate::starter::words;
use debian_formats::Version;

/// node_modules is packed as it lies there: which of it a device needs, npm knows.
pub(super) fn add_modules<'a>(
    draft: &mut Draft,
    dependencies: impl Iterator<Item = &'a String>,
    folder: &ProjectFolder,
) {
    let names: Vec<String> = dependencies.map(|name| words::cut(name)).collect();
    let there = folder.is_dir("node_modules");
    if names.is_empty() && !there {
        return;
    }
    draft.first.push("npm ci --omit=dev".to_owned());
    let exclude = vec![".bin".to_owned(), ".cache".to_owned(), ".package-lock.json".to_owned()];
    let destination = format!("/usr/lib/{}/node_modules", draft.name);
    draft.files.push(FileRule { exclude, ..FileRule::path("node_modules", destination) });
    let list = if names.is_empty() {
        "it has none".to_owned()
    } else {
        names.into_iter().take(20).collect::<Vec<_>>().join(", ")
    };
    let why = format!(
        "they are packed from node_modules as it lies there ({list}); `npm ci --omit=dev` leaves out what only \
         development needs"
    );
    draft.change("dependencies", why);
}

/// `>=18`, `^18.2`, `18.x`: the lowest version is carried.
pub(super) fn node_relation(draft: &mut Draft, range: Option<&serde_json::Value>) -> String {
    let Some(range) = range.and_then(serde_json::Value::as_str).map(str::trim) else { return "nodejs".to_owned() };
    let first = range.split("||").next().unwrap_or_default().trim();
    let comparator = first.split_whitespace().next().unwrap_or_default();
    let bare = comparator.trim_start_matches([' ', '>', '=', '^', '~', 'v']);
    // `>= 18` has a blank.
    let bare = if bare.is_empty() { first.split_whitespace().nth(1).unwrap_or_default() } else { bare };
    let numbers: Vec<&str> =
        bare.split('.').take_while(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())).collect();
    let lowest = numbers.join(".");
    let upper =
        first.starts_with('<') || range.contains('<') || range.contains("||") || comparator.starts_with(['^', '~']);
    if lowest.is_empty() || first.starts_with('<') || lowest.parse::<Version>().is_err() {
        if range != "*" {
            draft.drop_key("engines.node", format!("{:?} names no lowest version", words::cut(range)));
        }
        return "nodejs".to_owned();
    }
    if upper {
        draft.change(
            "engines.node",
            format!("{:?} becomes nodejs (>= {lowest}); Debian has one version of it at a time", words::cut(range)),
        );
    }
    format!("nodejs (>= {lowest})")
}
