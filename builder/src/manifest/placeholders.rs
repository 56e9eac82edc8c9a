//! `{name}`, `{version}`, `{architecture}` and `{multiarch}` in paths.

use super::error::ManifestProblem;
use super::package::Package;
use super::values::bad_value;
use crate::nearest::nearest;
use debian_formats::Architecture;

const KNOWN: [&str; 4] = ["name", "version", "architecture", "multiarch"];

/// The words in braces that a text holds; other braces stand for themselves.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| {
        let word = rest.split_once('}')?.0;
        let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        is_word.then_some(word)
    })
}

/// Refuses a word that stands for nothing: it would end up in a path on the device.
pub(super) fn check(key: &'static str, text: &str) -> Result<(), ManifestProblem> {
    let Some(unknown) = words(text).find(|word| !KNOWN.contains(word)) else { return Ok(()) };
    let next = match nearest(unknown, &KNOWN) {
        Some(near) => format!("did you mean {{{near}}}?"),
        None => "use {name}, {version}, {architecture} or {multiarch}".to_owned(),
    };
    Err(bad_value(key, text, format!("{{{unknown}}} stands for nothing; {next}")))
}

/// The text with everything put in.
pub(super) fn fill(
    key: &'static str,
    text: &str,
    package: &Package,
    architecture: &Architecture,
) -> Result<String, ManifestProblem> {
    let multiarch = match architecture.multiarch() {
        Some(multiarch) => multiarch,
        None if words(text).any(|word| word == "multiarch") => {
            let rule = format!("Debian has no {{multiarch}} for {architecture}; write the folder's own name");
            return Err(bad_value(key, text, rule));
        }
        None => "",
    };
    Ok(text
        .replace("{name}", package.name().as_str())
        .replace("{version}", &package.version().to_string())
        .replace("{architecture}", architecture.as_str())
        .replace("{multiarch}", multiarch))
}
