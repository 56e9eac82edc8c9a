//! Where the project's own modules lie.

use crate::starter::project_folder::ProjectFolder;

pub(super) fn module_name(project: &str) -> String {
    project.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).take(100).collect()
}

/// The folders and files of the project's own modules.
pub(super) fn find(project: &str, packages: &[String], folder: &ProjectFolder) -> Vec<String> {
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
