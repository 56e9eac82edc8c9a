//! A Cargo.toml: its binaries become programs in /usr/bin.

mod binaries;
mod metadata_deb;

use super::draft::{Draft, FileRule};
use super::error::StarterError;
use super::project_folder::{self, ProjectFolder};
use super::{Surroundings, words};
use binaries::Binary;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Only what is carried over; cargo checks the rest.
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
struct CargoToml {
    package: Option<Package>,
    workspace: Option<Workspace>,
    #[serde(default)]
    bin: Vec<Binary>,
    #[serde(default)]
    profile: toml::Table,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: Option<Field<String>>,
    description: Option<Field<String>>,
    license: Option<Field<String>>,
    homepage: Option<Field<String>>,
    repository: Option<Field<String>>,
    authors: Option<Field<Vec<String>>>,
    autobins: Option<bool>,
    #[serde(default)]
    metadata: toml::Table,
}

#[derive(Deserialize, Default)]
struct Workspace {
    package: Option<WorkspacePackage>,
    members: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
struct WorkspacePackage {
    version: Option<String>,
    description: Option<String>,
    license: Option<String>,
    homepage: Option<String>,
    repository: Option<String>,
    authors: Option<Vec<String>>,
}

/// `version = "1.0.0"`, or `version.workspace = true`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field<T> {
    Here(T),
    There { workspace: bool },
}

/// The workspace that a package belongs to.
struct Root {
    file: PathBuf,
    package: WorkspacePackage,
    strips: bool,
}

pub(super) fn draft(
    file: &Path,
    text: &str,
    folder: &ProjectFolder,
    surroundings: &Surroundings,
) -> Result<Draft, StarterError> {
    let cargo: CargoToml = toml::from_str(text).map_err(|error| StarterError::toml(file, text, &error))?;
    let Some(package) = cargo.package else {
        let members = cargo.workspace.and_then(|workspace| workspace.members).unwrap_or_default();
        let example = members.first().map_or_else(|| "crates/app".to_owned(), |first| words::cut(first));
        let what = format!(
            "it is a workspace without a package of its own; name one of its members, as in `debfleet new --from \
             {example}/Cargo.toml`"
        );
        return Err(StarterError::syntax(file, None, what));
    };
    let root = match cargo.workspace {
        Some(workspace) => Some(Root {
            file: file.to_owned(),
            package: workspace.package.unwrap_or_default(),
            strips: strips(&cargo.profile),
        }),
        None => find_root(file)?,
    };
    let inherited = root.as_ref().map(|root| &root.package);
    let mut draft = Draft::of("Cargo.toml");
    words::set_name(&mut draft, "package.name", &package.name)?;

    let is_here = matches!(package.version, Some(Field::Here(_)));
    let version = resolve(package.version, inherited.and_then(|root| root.version.clone()), "version", file)?;
    let version = version.unwrap_or_else(|| "0.1.0".to_owned());
    let (version, _) = words::semver(&version).ok_or_else(|| {
        StarterError::syntax(file, None, format!("version {:?} is no semver; correct it", words::cut(&version)))
    })?;
    draft.version = version.to_string();

    let authors = resolve(package.authors, inherited.and_then(|root| root.authors.clone()), "authors", file)?;
    draft.license = resolve(package.license, inherited.and_then(|root| root.license.clone()), "license", file)?
        .and_then(|license| words::license(&license));
    let homepage = resolve(package.homepage, inherited.and_then(|root| root.homepage.clone()), "homepage", file)?;
    let repository =
        resolve(package.repository, inherited.and_then(|root| root.repository.clone()), "repository", file)?;
    draft.homepage = homepage.or(repository).and_then(|page| words::web_page(&page));
    draft.architecture = Some("any".to_owned());

    let binaries = binaries::find(&package.name, package.autobins != Some(false), &cargo.bin, folder, &mut draft);
    let programs: Vec<FileRule> = binaries
        .iter()
        .map(|name| FileRule {
            mode: Some(0o755),
            ..FileRule::path(format!("target/release/{name}"), format!("/usr/bin/{name}"))
        })
        .collect();

    let deb = package.metadata.get("deb").and_then(toml::Value::as_table);
    let extended = deb.and_then(|deb| metadata_deb::long_text(deb, folder));
    let description =
        resolve(package.description, inherited.and_then(|root| root.description.clone()), "description", file)?;
    let description = match (description, extended) {
        (Some(short), Some(long)) => Some(format!("{}\n{long}", short.trim().replace('\n', " "))),
        (short, long) => short.or(long),
    };
    let otherwise = match &binaries[..] {
        [] => "It was made from a Rust crate.".to_owned(),
        [one] => format!("The package has the program {one}."),
        many => format!("The package has the programs {}.", many.join(", ")),
    };
    let maintainer_of_deb = deb.and_then(|deb| deb.get("maintainer")?.as_str()).map(str::to_owned);
    let authors: Vec<String> = maintainer_of_deb.into_iter().chain(authors.unwrap_or_default()).collect();
    draft.maintainer = words::maintainer(surroundings, &authors, "Cargo.toml")?;

    match deb {
        Some(deb) => metadata_deb::carry(&mut draft, deb, programs, folder)?,
        None => {
            draft.files = programs;
            draft.relate("depends", "depends", ["${auto}".to_owned()]);
        }
    }
    words::describe(&mut draft, description.as_deref(), &otherwise);
    if draft.files.is_empty() {
        let what = "it has no binary, so there is nothing to install; add a src/main.rs or a [[bin]]";
        return Err(StarterError::syntax(file, None, what));
    }
    say_how_to_build(&mut draft, file, root.as_ref());
    bump(&mut draft, &package.name, is_here, root.as_ref(), file, folder);
    let strips = strips(&cargo.profile) || root.as_ref().is_some_and(|root| root.strips);
    if !strips {
        draft.head.push("A release is smaller with `strip = true` below [profile.release] in Cargo.toml.".to_owned());
        draft.change("profile.release", "lintian wants programs stripped; add `strip = true` to it in Cargo.toml");
    }
    Ok(draft)
}

fn say_how_to_build(draft: &mut Draft, file: &Path, root: Option<&Root>) {
    // A member's programs would be built outside its folder, where a manifest does not reach.
    let is_member = root.is_some_and(|root| root.file != file);
    let command = if is_member { "cargo build --release --target-dir target" } else { "cargo build --release" };
    draft.head.push("Made by `debfleet new` from Cargo.toml.".to_owned());
    draft.head.push(format!("Before each `debfleet build`, in this folder: {command}"));
    draft.first.push(command.to_owned());
}

/// The version stands in Cargo.toml, and in Cargo.lock in the crate's own entry.
fn bump(draft: &mut Draft, crate_name: &str, is_here: bool, root: Option<&Root>, file: &Path, folder: &ProjectFolder) {
    let own = root.is_none_or(|root| root.file == file);
    if !is_here && !own {
        let root = root.map(|root| root.file.display().to_string()).unwrap_or_default();
        draft.drop_key(
            "version.workspace",
            format!("it stands in {root}, which `debfleet bump` does not reach; raise it there too"),
        );
        return;
    }
    let text = folder.text("Cargo.toml").unwrap_or_default();
    let pattern = "version = \"{version}\"";
    let mine = pattern.replace("{version}", &draft.version);
    match text.matches(&mine).count() {
        1 => draft.bump.push(("Cargo.toml".to_owned(), pattern.to_owned())),
        // With the name before it, the pattern does not fit a dependency of the same version.
        _ => {
            let named = format!("name = \"{crate_name}\"\nversion = \"{{version}}\"");
            if text.contains(&named.replace("{version}", &draft.version)) {
                draft.bump.push(("Cargo.toml".to_owned(), named));
            } else {
                draft.drop_key("version", "its line is not found in one place of Cargo.toml; add it to [bump]");
            }
        }
    }
    let locked = format!("name = \"{crate_name}\"\nversion = \"{{version}}\"");
    let lock = folder.text("Cargo.lock").unwrap_or_default();
    if lock.contains(&locked.replace("{version}", &draft.version)) {
        draft.bump.push(("Cargo.lock".to_owned(), locked));
    }
}

fn resolve<T>(
    field: Option<Field<T>>,
    inherited: Option<T>,
    key: &str,
    file: &Path,
) -> Result<Option<T>, StarterError> {
    match field {
        None => Ok(None),
        Some(Field::Here(value)) => Ok(Some(value)),
        Some(Field::There { workspace: true }) if inherited.is_some() => Ok(inherited),
        Some(Field::There { .. }) => {
            let what = format!("{key}.workspace: no folder above has a workspace that says it; write {key} here");
            Err(StarterError::syntax(file, None, what))
        }
    }
}

/// The next Cargo.toml above with a [workspace].
fn find_root(file: &Path) -> Result<Option<Root>, StarterError> {
    let absolute = std::path::absolute(file).map_err(|cause| StarterError::Read { path: file.to_owned(), cause })?;
    for folder in absolute.ancestors().skip(2).take(16) {
        let candidate = folder.join("Cargo.toml");
        if !candidate.is_file() {
            continue;
        }
        let text = project_folder::read(&candidate)?;
        let cargo: CargoToml = toml::from_str(&text).map_err(|error| StarterError::toml(&candidate, &text, &error))?;
        if let Some(workspace) = cargo.workspace {
            let strips = strips(&cargo.profile);
            return Ok(Some(Root { file: candidate, package: workspace.package.unwrap_or_default(), strips }));
        }
    }
    Ok(None)
}

fn strips(profile: &toml::Table) -> bool {
    let strip = profile.get("release").and_then(|release| release.get("strip"));
    strip.is_some_and(|strip| strip.as_bool() == Some(true) || matches!(strip.as_str(), Some("symbols" | "debuginfo")))
}
