//! The version: PEP 440's form becomes semver's.

use crate::starter::draft::Draft;
use crate::starter::error::StarterError;
use crate::starter::project_folder::ProjectFolder;
use crate::starter::words;
use std::path::Path;

/// From `[project]`, or where tools of the time find a dynamic one: `__version__` of the package.
pub(super) fn set(
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
}
