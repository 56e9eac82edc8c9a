//! A package.json: the package lies in /usr/lib/NAME, and its commands are links in /usr/bin.

mod commands;
mod dependencies;
mod files;
mod package_json;
mod version;

use super::draft::Draft;
use super::error::StarterError;
use super::project_folder::ProjectFolder;
use super::{Surroundings, words};
use package_json::{License, Person, Repository};
use std::path::Path;

pub(super) fn draft(
    file: &Path,
    text: &str,
    folder: &ProjectFolder,
    surroundings: &Surroundings,
) -> Result<Draft, StarterError> {
    let json = package_json::read(file, text)?;
    let mut draft = Draft::of("package.json");
    let written = json.name.as_deref().ok_or_else(|| StarterError::syntax(file, None, "it has no name; add one"))?;
    words::set_name(&mut draft, "name", written)?;
    version::set(&mut draft, json.version.as_deref(), file)?;
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

    let commands = commands::read(&mut draft, json.bin, written);
    let paths = files::chosen(&mut draft, json.files.as_deref(), json.main.as_deref(), &commands, folder);
    files::add(&mut draft, &paths, &commands, folder);
    if draft.files.is_empty() {
        return Err(StarterError::syntax(file, None, "nothing beside it can be packed; write the program first"));
    }
    dependencies::add_modules(&mut draft, json.dependencies.keys(), folder);
    let node = dependencies::node_relation(&mut draft, json.engines.get("node"));
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
    version::bump(&mut draft, folder);
    Ok(draft)
}

fn person(person: Person) -> Option<String> {
    match person {
        Person::Text(text) => Some(text),
        Person::Table { name, email } => email.map(|email| format!("{name} <{email}>")),
    }
}
