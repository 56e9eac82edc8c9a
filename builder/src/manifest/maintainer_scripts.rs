//! `[scripts]`: what dpkg runs.

use super::error::{Found, ManifestProblem, line_of};
use super::values::bad_value;
use crate::scripts::Values;
use debian_formats::PackageName;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScripts {
    preinst: Option<Spanned<String>>,
    postinst: Option<Spanned<String>>,
    prerm: Option<Spanned<String>>,
    postrm: Option<Spanned<String>>,
    config: Option<Spanned<String>>,
    #[serde(default)]
    triggers: Vec<Spanned<String>>,
    #[serde(default)]
    variables: BTreeMap<Spanned<String>, Spanned<String>>,
}

/// A checked `[scripts]`.
#[derive(Debug, Clone, Default)]
pub(super) struct Scripts {
    pub(super) files: Vec<ScriptRule>,
    /// Of the control file triggers.
    pub(super) triggers: Vec<String>,
    pub(super) variables: BTreeMap<String, String>,
}

/// One script.
#[derive(Debug, Clone)]
pub(super) struct ScriptRule {
    pub(super) line: usize,
    pub(super) name: &'static str,
    pub(super) source: String,
}

pub(super) fn check(raw: RawScripts, text: &str) -> Result<Scripts, Found> {
    let named = [
        ("preinst", raw.preinst),
        ("postinst", raw.postinst),
        ("prerm", raw.prerm),
        ("postrm", raw.postrm),
        ("config", raw.config),
    ];
    let rule = |(name, source): (&'static str, Option<Spanned<String>>)| {
        source.map(|source| ScriptRule { line: line_of(text, source.span().start), name, source: source.into_inner() })
    };
    let mut variables = BTreeMap::new();
    for (name, value) in raw.variables {
        check_variable_name(name.get_ref()).map_err(Found::at(name.span().start))?;
        check_variable(value.get_ref()).map_err(Found::at(value.span().start))?;
        variables.insert(name.into_inner(), value.into_inner());
    }
    let trigger = |line: Spanned<String>| {
        let checked = check_trigger(line.get_ref());
        checked.map_err(Found::at(line.span().start))
    };
    Ok(Scripts {
        files: named.into_iter().filter_map(rule).collect(),
        triggers: raw.triggers.into_iter().map(trigger).collect::<Result<_, _>>()?,
        variables,
    })
}

fn check_variable_name(name: &str) -> Result<(), ManifestProblem> {
    if Values::RESERVED.contains(&name) {
        Err(bad_value("variables", name, "the builder fills in this one itself; choose another name"))
    } else if Values::is_name(name) {
        Ok(())
    } else {
        Err(bad_value("variables", name, "a name has capital letters, digits and `_`, and begins with a letter"))
    }
}

/// The text goes into scripts as it is, where a line break would begin a command.
fn check_variable(text: &str) -> Result<(), ManifestProblem> {
    if text.contains(|c: char| c.is_control() && c != '\t') {
        Err(bad_value("variables", text, "it must be one line without control characters"))
    } else {
        Ok(())
    }
}

/// A line of the control file triggers (deb-triggers(5)), with single blanks.
fn check_trigger(line: &str) -> Result<String, ManifestProblem> {
    const DIRECTIVES: [&str; 6] =
        ["interest", "interest-await", "interest-noawait", "activate", "activate-await", "activate-noawait"];
    let words: Vec<&str> = line.split_whitespace().collect();
    let [directive, name] = words[..] else {
        let rule = "write a directive and a name, such as \"interest-noawait /usr/share/hi/plugins\" (deb-triggers(5))";
        return Err(bad_value("triggers", line, rule));
    };
    if !DIRECTIVES.contains(&directive) {
        let rule = format!("begin it with {} (deb-triggers(5))", DIRECTIVES.join(", "));
        return Err(bad_value("triggers", line, rule));
    }
    // A path is compared as dpkg unpacks it, so any other way to write it would never be activated.
    let is_path = name.strip_prefix('/').is_some_and(|path| {
        path.split('/').all(|part| !matches!(part, "" | "." | "..")) && path.bytes().all(|b| b.is_ascii_graphic())
    });
    if is_path || name.parse::<PackageName>().is_ok() {
        Ok(format!("{directive} {name}"))
    } else {
        let rule = "name an absolute path, without a `/` at its end, or a word formed like a package's name";
        Err(bad_value("triggers", line, rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_are_what_dpkg_takes() {
        let check = |line: &str| check_trigger(line).map_err(|error| error.to_string());
        assert_eq!(check(" interest-noawait\t/usr/share/hi ").unwrap(), "interest-noawait /usr/share/hi");
        assert_eq!(check("activate ldconfig").unwrap(), "activate ldconfig");
        for (line, expected) in [
            ("interest", "a directive and a name"),
            ("interests /usr/share/hi", "begin it with interest,"),
            ("interest usr/share/hi", "an absolute path"),
            ("interest /usr/share/hi/", "without a `/` at its end"),
            ("interest /usr/../hi", "an absolute path"),
            ("interest /", "an absolute path"),
            ("interest Hi", "formed like a package's name"),
            ("interest a b", "a directive and a name"),
        ] {
            let error = check(line).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
