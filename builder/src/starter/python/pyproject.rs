//! What a pyproject.toml says, in its form of today or in poetry's.

use crate::starter::error::StarterError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Deserialize)]
struct PyProject {
    project: Option<Project>,
    #[serde(default)]
    tool: toml::Table,
}

/// Only what is carried over (PEP 621).
#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Project {
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    pub(super) description: Option<String>,
    pub(super) license: Option<License>,
    pub(super) requires_python: Option<String>,
    #[serde(default)]
    pub(super) authors: Vec<Person>,
    #[serde(default)]
    pub(super) maintainers: Vec<Person>,
    #[serde(default)]
    pub(super) urls: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) scripts: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) gui_scripts: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) dependencies: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum License {
    Name(String),
    Table { text: Option<String> },
}

#[derive(Deserialize, Default)]
pub(super) struct Person {
    name: Option<String>,
    email: Option<String>,
}

/// `[tool.poetry]` of the time before `[project]`.
#[derive(Deserialize)]
struct Poetry {
    name: Option<String>,
    version: Option<String>,
    description: Option<String>,
    license: Option<String>,
    homepage: Option<String>,
    repository: Option<String>,
    #[serde(default)]
    authors: Vec<String>,
    #[serde(default)]
    scripts: BTreeMap<String, toml::Value>,
    #[serde(default)]
    dependencies: BTreeMap<String, toml::Value>,
    #[serde(default)]
    packages: Vec<toml::Table>,
}

/// What both forms say.
pub(super) struct Said {
    pub(super) project: Project,
    pub(super) authors: Vec<String>,
    /// Folders that the project names as its packages.
    pub(super) packages: Vec<String>,
}

/// `[project]`, filled up from `[tool.poetry]`.
pub(super) fn read(file: &Path, text: &str) -> Result<Said, StarterError> {
    let py: PyProject = toml::from_str(text).map_err(|error| StarterError::toml(file, text, &error))?;
    let mut project = py.project.unwrap_or_default();
    let table = |person: &Person| Some(format!("{} <{}>", person.name.as_deref()?, person.email.as_deref()?));
    let mut authors: Vec<String> = project.maintainers.iter().chain(&project.authors).filter_map(table).collect();
    let mut packages = Vec::new();
    if let Some(poetry) = py.tool.get("poetry") {
        let poetry: Poetry = poetry.clone().try_into().map_err(|error: toml::de::Error| {
            StarterError::syntax(file, None, format!("[tool.poetry]: {}; correct it", error.message()))
        })?;
        project.name = project.name.or(poetry.name);
        project.version = project.version.or(poetry.version);
        project.description = project.description.or(poetry.description);
        project.license = project.license.or(poetry.license.map(License::Name));
        if let Some(page) = poetry.homepage.or(poetry.repository) {
            project.urls.entry("homepage".to_owned()).or_insert(page);
        }
        authors.extend(poetry.authors);
        for (name, entry) in poetry.scripts {
            if let Some(entry) = entry.as_str() {
                project.scripts.entry(name).or_insert_with(|| entry.to_owned());
            }
        }
        for (name, wanted) in poetry.dependencies {
            let wanted = wanted.as_str().unwrap_or_default().trim_start_matches('^').to_owned();
            match &*name {
                "python" => project.requires_python = project.requires_python.or(Some(format!(">={wanted}"))),
                _ => project.dependencies.push(name),
            }
        }
        for package in poetry.packages {
            let text = |key: &str| package.get(key).and_then(toml::Value::as_str);
            if let Some(include) = text("include") {
                packages.push(text("from").map_or_else(|| include.to_owned(), |from| format!("{from}/{include}")));
            }
        }
    }
    Ok(Said { project, authors, packages })
}
