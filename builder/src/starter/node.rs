//! A package.json: the package lies in /usr/lib/NAME, and its commands are links in /usr/bin.

use super::draft::{Draft, FileRule};
use super::error::StarterError;
use super::project_folder::ProjectFolder;
use super::{Surroundings, words};
use debian_formats::Version;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Only what is carried over.
#[derive(Deserialize)]
struct PackageJson {
    name: Option<String>,
    version: Option<String>,
    description: Option<String>,
    license: Option<License>,
    homepage: Option<String>,
    repository: Option<Repository>,
    author: Option<Person>,
    #[serde(default)]
    maintainers: Vec<Person>,
    bin: Option<Bin>,
    main: Option<String>,
    files: Option<Vec<String>>,
    #[serde(default)]
    dependencies: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    engines: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    scripts: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum License {
    Name(String),
    Old {
        #[serde(rename = "type")]
        name: String,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Repository {
    Address(String),
    Table { url: String },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Person {
    Text(String),
    Table { name: String, email: Option<String> },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Bin {
    One(String),
    Many(BTreeMap<String, String>),
}

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

pub(super) fn draft(
    file: &Path,
    text: &str,
    folder: &ProjectFolder,
    surroundings: &Surroundings,
) -> Result<Draft, StarterError> {
    let json: PackageJson = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
        StarterError::syntax(file, Some(error.line()), format!("{}; correct it", line_free(&error.to_string())))
    })?;
    let mut draft = Draft::of("package.json");
    let written = json.name.as_deref().ok_or_else(|| StarterError::syntax(file, None, "it has no name; add one"))?;
    words::set_name(&mut draft, "name", written)?;
    set_version(&mut draft, json.version.as_deref(), file)?;
    let license = json.license.map(|license| match license {
        License::Name(name) | License::Old { name } => name,
    });
    draft.license = license.and_then(|license| words::license(&license));
    let repository = json.repository.map(|repository| match repository {
        Repository::Address(url) | Repository::Table { url } => url,
    });
    draft.homepage = json.homepage.or(repository).and_then(|page| words::web_page(&page));
    let people: Vec<String> = json.author.into_iter().chain(json.maintainers).filter_map(person).collect();
    draft.maintainer = words::maintainer(surroundings, &people, "package.json")?;
    draft.section = Some("javascript".to_owned());

    let commands = commands(&mut draft, json.bin, written);
    let paths = chosen(&mut draft, json.files.as_deref(), json.main.as_deref(), &commands, folder);
    add_files(&mut draft, &paths, &commands, folder);
    if draft.files.is_empty() {
        return Err(StarterError::syntax(file, None, "nothing beside it can be packed; write the program first"));
    }
    add_modules(&mut draft, json.dependencies.keys(), folder);
    let node = node_relation(&mut draft, json.engines.get("node"));
    draft.relate("depends", "engines.node", [node]);
    if folder.is_file("binding.gyp") {
        draft.architecture = Some("any".to_owned());
        draft.relate("depends", "binding.gyp", ["${auto}".to_owned()]);
    }
    if json.scripts.contains_key("build") {
        // What builds it is mostly a development dependency.
        draft.first = ["npm ci", "npm run build", "npm prune --omit=dev"].map(str::to_owned).to_vec();
    }
    let otherwise = match &commands[..] {
        [] => format!("Its files are in /usr/lib/{}.", draft.name),
        [(one, _)] => format!("The package has the command {one}."),
        many => format!(
            "The package has the commands {}.",
            many.iter().map(|(name, _)| &**name).collect::<Vec<_>>().join(", ")
        ),
    };
    words::describe(&mut draft, json.description.as_deref(), &otherwise);
    draft.head.push("Made by `debfleet new` from package.json.".to_owned());
    let first = draft.first.join(" && ");
    if !first.is_empty() {
        draft.head.push(format!("Before each `debfleet build`, in this folder: {first}"));
    }
    bump(&mut draft, folder);
    Ok(draft)
}

fn set_version(draft: &mut Draft, version: Option<&str>, file: &Path) -> Result<(), StarterError> {
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

fn person(person: Person) -> Option<String> {
    match person {
        Person::Text(text) => Some(text),
        Person::Table { name, email } => email.map(|email| format!("{name} <{email}>")),
    }
}

/// Command and file, in a plain path.
fn commands(draft: &mut Draft, bin: Option<Bin>, package: &str) -> Vec<(String, String)> {
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

/// What belongs to the package: what `files` says, as npm reads it, or what lies here and is no tool's.
fn chosen(
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

fn add_files(draft: &mut Draft, paths: &[String], commands: &[(String, String)], folder: &ProjectFolder) {
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

/// node_modules is packed as it lies there: which of it a device needs, npm knows.
fn add_modules<'a>(draft: &mut Draft, dependencies: impl Iterator<Item = &'a String>, folder: &ProjectFolder) {
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
fn node_relation(draft: &mut Draft, range: Option<&serde_json::Value>) -> String {
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

fn bump(draft: &mut Draft, folder: &ProjectFolder) {
    let pattern = "\"version\": \"{version}\"";
    let text = folder.text("package.json").unwrap_or_default();
    if text.matches(&pattern.replace("{version}", &draft.version)).count() == 1 {
        draft.bump.push(("package.json".to_owned(), pattern.to_owned()));
    } else {
        draft.drop_key("version", "its line is not found in one place of package.json; add it to [bump]");
    }
}

/// serde's place is told apart from its words.
fn line_free(error: &str) -> String {
    error.split(" at line ").next().unwrap_or_default().replace('\n', "; ")
}
