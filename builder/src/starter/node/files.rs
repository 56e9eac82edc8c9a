//! The files of the package, and the links to its commands.

use crate::starter::draft::{Draft, FileRule};
use crate::starter::project_folder::ProjectFolder;
use crate::starter::words;

/// At the top of a package, and never needed on a device.
const LEFT_OUT: [&str; 15] = [
    "node_modules",
    "test",
    "tests",
    "__tests__",
    "coverage",
    "docs",
    "examples",
    "keys",
    "out",
    "debfleet.toml",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "tsconfig.json",
];

/// What belongs to the package: what `files` says, as npm reads it, or what lies here and is no tool's.
pub(super) fn chosen(
    draft: &mut Draft,
    files: Option<&[String]>,
    main: Option<&str>,
    commands: &[(String, String)],
    folder: &ProjectFolder,
) -> Vec<String> {
    let mut paths = vec!["package.json".to_owned()];
    match files {
        Some(files) => {
            for entry in files {
                let plain = entry.trim_end_matches("/**").trim_end_matches("/**/*").trim_start_matches('/');
                match ProjectFolder::inside(plain) {
                    Some(_) if entry.starts_with('!') => {
                        draft.drop_key(
                            "files",
                            format!("{:?}: write it as `exclude` of a [[files]]", words::cut(entry)),
                        );
                    }
                    Some(path) if path.contains(['*', '?', '[']) || folder.exists(&path) => paths.push(path),
                    Some(path) => draft.drop_key("files", format!("there is no {path:?} now; add it when it is built")),
                    None => draft.drop_key("files", format!("{:?} is no path below this folder", words::cut(entry))),
                }
            }
        }
        None => {
            let is_own = |name: &String| {
                !name.starts_with('.')
                    && !LEFT_OUT.contains(&&**name)
                    && !name.ends_with(".md")
                    && name != "package.json"
            };
            let own: Vec<String> = folder.names("").into_iter().filter(is_own).take(200).collect();
            draft.change(
                "files",
                "there is no such list, so what lies here is packed; take out what a device does not need",
            );
            paths.extend(own);
        }
    }
    let needed = main.and_then(ProjectFolder::inside).into_iter().chain(commands.iter().map(|(_, path)| path.clone()));
    for path in needed {
        let covered = paths.iter().any(|there| path == *there || path.starts_with(&format!("{there}/")));
        if !covered && folder.is_file(&path) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    paths.dedup();
    // A folder brings what is below it.
    let folders = paths.clone();
    paths.retain(|path| !folders.iter().any(|above| path.starts_with(&format!("{above}/"))));
    paths
}

pub(super) fn add(draft: &mut Draft, paths: &[String], commands: &[(String, String)], folder: &ProjectFolder) {
    let home = format!("/usr/lib/{}", draft.name);
    // npm makes a command executable when it installs it; a package must carry it so.
    let plain: Vec<&String> =
        commands.iter().map(|(_, path)| path).filter(|path| !folder.is_executable(path)).collect();
    for path in paths {
        if path.contains(['*', '?', '[']) {
            let fixed: Vec<&str> = path.split('/').take_while(|part| !part.contains(['*', '?', '['])).collect();
            let destination = format!("{home}/{}", fixed.join("/"));
            draft.files.push(FileRule::path(path, format!("{}/", destination.trim_end_matches('/'))));
            continue;
        }
        let mut rule = FileRule::path(path, format!("{home}/{path}"));
        if plain.contains(&path) {
            rule.mode = Some(0o755);
        }
        let below = format!("{path}/");
        rule.exclude.extend(plain.iter().filter_map(|command| command.strip_prefix(&below)).map(str::to_owned));
        rule.exclude.sort_unstable();
        rule.exclude.dedup();
        let apart: Vec<String> = rule.exclude.iter().map(|rest| format!("{below}{rest}")).collect();
        draft.files.push(rule);
        for path in apart {
            draft.files.push(FileRule { mode: Some(0o755), ..FileRule::path(&path, format!("{home}/{path}")) });
        }
    }
    for (name, path) in commands {
        draft.files.push(FileRule::symlink(format!("../lib/{}/{path}", draft.name), format!("/usr/bin/{name}")));
        if !folder.is_file(path) {
            draft.change("bin", format!("there is no {path} now; it must be there before `debfleet build`"));
        }
    }
}
