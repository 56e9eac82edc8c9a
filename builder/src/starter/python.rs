//! A pyproject.toml: the code lies in /usr/lib/NAME, and each command is a launcher in /usr/bin.
//!
//! Not in dist-packages: an application's modules are nobody else's, and cannot clash there.

use super::draft::{Draft, FileRule};
use super::error::StarterError;
use super::project_folder::ProjectFolder;
use super::{StarterFile, Surroundings, words};
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
struct Project {
    name: Option<String>,
    version: Option<String>,
    description: Option<String>,
    license: Option<License>,
    requires_python: Option<String>,
    #[serde(default)]
    authors: Vec<Person>,
    #[serde(default)]
    maintainers: Vec<Person>,
    #[serde(default)]
    urls: BTreeMap<String, String>,
    #[serde(default)]
    scripts: BTreeMap<String, String>,
    #[serde(default)]
    gui_scripts: BTreeMap<String, String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum License {
    Name(String),
    Table { text: Option<String> },
}

#[derive(Deserialize, Default)]
struct Person {
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
struct Said {
    project: Project,
    authors: Vec<String>,
    /// Folders that the project names as its packages.
    packages: Vec<String>,
}

/// Where the launchers lie in the project.
const LAUNCHERS: &str = "packaging/bin";

pub(super) fn draft(
    file: &Path,
    text: &str,
    folder: &ProjectFolder,
    surroundings: &Surroundings,
) -> Result<Draft, StarterError> {
    let py: PyProject = toml::from_str(text).map_err(|error| StarterError::toml(file, text, &error))?;
    let Said { project, authors, packages } = said(py, file)?;
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

    let code = code(written, &packages, folder);
    if code.is_empty() {
        let module = module_name(written);
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
    set_version(&mut draft, project.version.as_deref(), &code, text, folder, file)?;
    let commands: Vec<(String, String)> = project.scripts.into_iter().chain(project.gui_scripts).collect();
    let names: Vec<String> = commands
        .iter()
        .filter(|(name, entry)| launcher(&mut draft, name, entry))
        .map(|(name, _)| name.clone())
        .collect();
    let python = python_relation(&mut draft, project.requires_python.as_deref());
    draft.relate("depends", "requires-python", [python]);
    name_dependencies(&mut draft, &project.dependencies);
    let otherwise = match &names[..] {
        [] => format!("Its modules are in {home}."),
        [one] => format!("The package has the command {one}."),
        many => format!("The package has the commands {}.", many.join(", ")),
    };
    words::describe(&mut draft, project.description.as_deref(), &otherwise);
    draft.head.push("Made by `debfleet new` from pyproject.toml.".to_owned());
    Ok(draft)
}

/// `[project]`, filled up from `[tool.poetry]`.
fn said(py: PyProject, file: &Path) -> Result<Said, StarterError> {
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

fn module_name(project: &str) -> String {
    project.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).take(100).collect()
}

/// The folders and files of the project's own modules.
fn code(project: &str, packages: &[String], folder: &ProjectFolder) -> Vec<String> {
    let named: Vec<String> = packages
        .iter()
        .filter_map(|path| ProjectFolder::inside(path))
        .filter(|path| folder.exists(path) && !path.contains(['*', '?', '[']))
        .collect();
    if !named.is_empty() {
        return named;
    }
    let module = module_name(project);
    let usual = [format!("src/{module}"), module.clone()].into_iter().find(|path| folder.is_dir(path));
    let usual = usual
        .or_else(|| [format!("src/{module}.py"), format!("{module}.py")].into_iter().find(|path| folder.is_file(path)));
    if let Some(usual) = usual {
        return vec![usual];
    }
    // A project of another name than its only package.
    let below = |name: &String| folder.is_file(&format!("src/{name}/__init__.py"));
    folder.names("src").into_iter().filter(below).map(|name| format!("src/{name}")).collect()
}

/// From `[project]`, or where tools of the time find a dynamic one: `__version__` of the package.
fn set_version(
    draft: &mut Draft,
    version: Option<&str>,
    code: &[String],
    text: &str,
    folder: &ProjectFolder,
    file: &Path,
) -> Result<(), StarterError> {
    let mut of_module = None;
    for path in code {
        let path = if path.ends_with(".py") { path.clone() } else { format!("{path}/__init__.py") };
        let Some(module) = folder.text(&path) else { continue };
        let found = module.lines().find_map(|line| line.strip_prefix("__version__ = \"")?.split_once('"'));
        of_module = found.map(|(version, _)| (path, version.to_owned()));
        if of_module.is_some() {
            break;
        }
    }
    let written = version.or(of_module.as_ref().map(|(_, version)| &**version));
    let Some(written) = written else {
        draft.change(
            "version",
            "it is dynamic and stands in no `__version__`; the manifest begins with 0.1.0, so correct it",
        );
        "0.1.0".clone_into(&mut draft.version);
        return Ok(());
    };
    let semver = from_pep440(written).ok_or_else(|| {
        let what = format!("version {:?} cannot be written as three numbers (semver); correct it", words::cut(written));
        StarterError::syntax(file, None, what)
    })?;
    let same = semver == written;
    if !same {
        draft.change(
            "version",
            format!(
                "{:?} is written {semver}; write it so in pyproject.toml, and `debfleet bump` can raise it there",
                words::cut(written)
            ),
        );
    }
    draft.version = semver;
    if same {
        let pattern = "version = \"{version}\"";
        if text.matches(&pattern.replace("{version}", written)).count() == 1 {
            draft.bump.push(("pyproject.toml".to_owned(), pattern.to_owned()));
        } else if version.is_some() {
            draft.drop_key("version", "its line is not found in one place of pyproject.toml; add it to [bump]");
        }
        if let Some((path, _)) = of_module.as_ref().filter(|(_, there)| there == written) {
            draft.bump.push((path.clone(), "__version__ = \"{version}\"".to_owned()));
        }
    }
    Ok(())
}

/// PEP 440's `1.2rc1`, `1.2.dev3`, `1.2.post1` as semver, in the same order.
fn from_pep440(text: &str) -> Option<String> {
    if let Ok(version) = text.parse::<semver::Version>() {
        return Some(version.to_string());
    }
    let text = text.trim().to_ascii_lowercase();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (numbers, tail) = text.split_at(end);
    let (version, _) = words::semver(numbers.trim_end_matches('.'))?;
    let tail = tail.trim_start_matches(['.', '-', '_']);
    let split = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
    let (word, number) = tail.split_at(split);
    let number: u64 = if number.is_empty() { 0 } else { number.parse().ok()? };
    let suffix = match word {
        "" if tail.is_empty() => String::new(),
        "a" | "alpha" => format!("-alpha.{number}"),
        "b" | "beta" => format!("-beta.{number}"),
        "rc" | "c" => format!("-rc.{number}"),
        // Before alpha in PEP 440; `a` follows it in ASCII only behind a digit or upper case.
        "dev" => format!("-0.dev.{number}"),
        "post" => format!("+post.{number}"),
        _ => return None,
    };
    Some(format!("{version}{suffix}"))
}

/// A launcher for an entry point `module:function`; false if it is not one.
fn launcher(draft: &mut Draft, name: &str, entry: &str) -> bool {
    let is_dotted = |text: &str| {
        text.split('.').all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
    };
    let target = entry.split_whitespace().next().unwrap_or_default().split_once(':');
    // What stands here is written into a program.
    let Some((module, function)) = target.filter(|(module, function)| is_dotted(module) && is_dotted(function)) else {
        draft.drop_key("scripts", format!("{:?} = {:?} is no `module:function`", words::cut(name), words::cut(entry)));
        return false;
    };
    if !words::is_file_name(name) {
        draft.drop_key("scripts", format!("{:?} is no name of a command", words::cut(name)));
        return false;
    }
    let object = function.split('.').next().unwrap_or_default();
    // -B: no byte code is written below /usr, where nobody would remove it.
    let content = format!(
        "#!/usr/bin/python3 -B\nimport sys\n\nsys.path.insert(0, \"/usr/lib/{}\")\n\n\
         from {module} import {object}\n\nsys.exit({function}())\n",
        draft.name
    );
    let path = format!("{LAUNCHERS}/{name}");
    draft.files.push(FileRule { mode: Some(0o755), ..FileRule::path(&path, format!("/usr/bin/{name}")) });
    draft.extra_files.push(StarterFile { path, content, executable: true });
    true
}

/// `>=3.9,<4`: the lowest version is carried.
fn python_relation(draft: &mut Draft, wanted: Option<&str>) -> String {
    let Some(wanted) = wanted else { return "python3".to_owned() };
    let lowest = wanted.split(',').map(str::trim).find_map(|part| part.strip_prefix(">=").or(part.strip_prefix("~=")));
    let lowest = lowest.map(|text| text.trim().trim_end_matches(".*"));
    match lowest.filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')) {
        Some(lowest) => {
            if wanted.contains(['<', '!', '~']) {
                draft.change(
                    "requires-python",
                    format!(
                        "{:?} becomes python3 (>= {lowest}); Debian has one version of it at a time",
                        words::cut(wanted)
                    ),
                );
            }
            format!("python3 (>= {lowest})")
        }
        None => {
            draft.drop_key("requires-python", format!("{:?} names no lowest version", words::cut(wanted)));
            "python3".to_owned()
        }
    }
}

/// Debian's names of them are guesses, so that they are only comments.
fn name_dependencies(draft: &mut Draft, dependencies: &[String]) {
    let name = |text: &String| -> Option<String> {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(text.len());
        words::package_name(&text[..end]).map(String::from)
    };
    let guesses: Vec<String> =
        dependencies.iter().take(100).filter_map(name).map(|name| format!("python3-{name}")).collect();
    if guesses.is_empty() {
        return;
    }
    draft.below_relations.push(format!("Add to depends what Debian calls these: {}", guesses.join(", ")));
    let list: Vec<String> = dependencies.iter().take(20).map(|name| words::cut(name)).collect();
    draft.drop_key(
        "dependencies",
        format!(
            "{}: add Debian's packages of them to depends (perhaps {})",
            list.join("; "),
            guesses.iter().take(20).cloned().collect::<Vec<_>>().join(", ")
        ),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pep_440_becomes_semver_of_the_same_order() {
        let cases = [
            ("1.2.dev3", "1.2.0-0.dev.3"),
            ("1.2a1", "1.2.0-alpha.1"),
            ("1.2b2", "1.2.0-beta.2"),
            ("1.2rc1", "1.2.0-rc.1"),
            ("1.2", "1.2.0"),
            ("1.2.post1", "1.2.0+post.1"),
        ];
        for (text, expected) in cases {
            assert_eq!(from_pep440(text).as_deref(), Some(expected));
        }
        let versions: Vec<semver::Version> = cases.iter().map(|(_, semver)| semver.parse().unwrap()).collect();
        assert!(versions.is_sorted());
        for bad in ["1.2.3.4", "x", "1.2+local.1", "1!2.0"] {
            assert_eq!(from_pep440(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_entry_point_cannot_bring_code_of_its_own() {
        for bad in ["a:b()", "a\nimport os:b", "a:b;c", "a", ":b", "a:", "a.:b", "1a:b"] {
            assert!(!launcher(&mut Draft::default(), "hi", bad), "{bad}");
        }
        assert!(!launcher(&mut Draft::default(), "../hi", "a:b"));
        assert!(launcher(&mut Draft::default(), "hi", "a.b:C.d [extra]"));
    }
}
