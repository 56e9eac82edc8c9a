//! The line in which a source says its own version.

use toml_edit::{DocumentMut, Value};

/// The manifest with another version and the first revision, every comment and blank kept; none if there is no such
/// line.
pub(super) fn in_manifest(text: &str, version: &semver::Version, has_revision: bool) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    set(&mut document, "version", Value::from(version.to_string()))?;
    // The revision counts anew for every version.
    if has_revision {
        set(&mut document, "revision", Value::from(1))?;
    }
    Some(document.to_string())
}

/// Sets a value in `[package]`, its comment and blanks kept.
fn set(document: &mut DocumentMut, key: &str, mut value: Value) -> Option<()> {
    let old = document.get_mut("package")?.get_mut(key)?.as_value_mut()?;
    *value.decor_mut() = old.decor().clone();
    *old = value;
    Some(())
}

/// The control file with another Version, every other byte kept.
pub(super) fn in_control_file(text: &str, version: &str) -> Option<String> {
    const FIELD: &str = "Version:";
    let starts = |line: &str| line.get(..FIELD.len()).is_some_and(|name| name.eq_ignore_ascii_case(FIELD));
    let lines = text.split_inclusive('\n');
    let found = lines.clone().any(starts);
    let edit = |line: &str| {
        let end = if line.ends_with('\n') { "\n" } else { "" };
        if starts(line) { format!("{} {version}{end}", &line[..FIELD.len()]) } else { line.to_owned() }
    };
    found.then(|| lines.map(edit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_line_alone_changes() {
        let text = "Package: hi\nversion:  0.1.0-3 \nDescription: x\n Version: no\n";
        let edited = in_control_file(text, "0.2.0-1").unwrap();
        assert_eq!(edited, "Package: hi\nversion: 0.2.0-1\nDescription: x\n Version: no\n");
        assert_eq!(in_control_file("Package: hi\n", "1"), None);
    }
}
