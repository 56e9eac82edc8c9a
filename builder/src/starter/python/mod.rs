//! A pyproject.toml: the code lies in /usr/lib/NAME, and each command is a launcher in /usr/bin.
//!
//! Not in dist-packages: an application's modules are nobody else's, and cannot clash there.

mod code;
mod dependencies;
mod launcher;
mod pyproject;
mod version;

use super::draft::{Draft, FileRule};
use super::error::StarterError;
use super::project_folder::ProjectFolder;
use super::{Surroundings, words};
use pyproject::{License, Said};
use std::path::Path;

pub(super) fn draft(
    file: &Path,
    text: &str,
    folder: &ProjectFolder,
    surroundings: &Surroundings,
) -> Result<Draft, StarterError> {
    let Said { project, authors, packages } = pyproject::read(file, text)?;
    let mut draft = Draft::of("pyproject.toml");
    let written = project
        .name
        .as_deref()
        .ok_or_else(|| StarterError::syntax(file, None, "it names no project; add [project] with a name"))?;
    words::set_name(&mut draft, "name", written)?;
    let license = project.license.and_then(|license| match license {
        License::Name(name) => Some(name),
        // A whole licence is no name of one.
        License::Table { text } => text.filter(|text| text.len() < 80),
    });
    draft.license = license.and_then(|license| words::license(&license));
    let page = ["homepage", "repository", "source", "documentation"];
    let pages = page.iter().find_map(|wanted| project.urls.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)));
    draft.homepage = pages.and_then(|(_, page)| words::web_page(page));
    draft.maintainer = words::maintainer(surroundings, &authors, "pyproject.toml")?;
    draft.section = Some("python".to_owned());

    let code = code::find(written, &packages, folder);
    if code.is_empty() {
        let module = code::module_name(written);
        let what = format!("no code is found; it is looked for in src/{module}/, {module}/ and {module}.py");
        return Err(StarterError::syntax(file, None, what));
    }
    let home = format!("/usr/lib/{}", draft.name);
    for path in &code {
        let name = path.rsplit('/').next().unwrap_or_default();
        let exclude =
            if folder.is_dir(path) { vec!["**/__pycache__".to_owned(), "**/*.pyc".to_owned()] } else { Vec::new() };
        draft.files.push(FileRule { exclude, ..FileRule::path(path, format!("{home}/{name}")) });
    }
    version::set(&mut draft, project.version.as_deref(), &code, text, folder, file)?;
    let commands: Vec<(String, String)> = project.scripts.into_iter().chain(project.gui_scripts).collect();
    let names: Vec<String> = commands
        .iter()
        .filter(|(name, entry)| launcher::add(&mut draft, name, entry))
        .map(|(name, _)| name.clone())
        .collect();
    let python = dependencies::python_relation(&mut draft, project.requires_python.as_deref());
    draft.relate("depends", "requires-python", [python]);
    dependencies::name_dependencies(&mut draft, &project.dependencies);
    let otherwise = match &names[..] {
        [] => format!("Its modules are in {home}."),
        [one] => format!("The package has the command {one}."),
        many => format!("The package has the commands {}.", many.join(", ")),
    };
    words::describe(&mut draft, project.description.as_deref(), &otherwise);
    draft.head.push("Made by `debfleet new` from pyproject.toml.".to_owned());
    Ok(draft)
}
