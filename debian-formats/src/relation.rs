//! Relationship fields such as Depends (Policy 7.1).
//!
//! One relation that apt cannot parse makes it refuse the whole index that the package stands in, so every relation is
//! checked before a package is built or published.

use crate::names::{Architecture, NameError, PackageName};
use crate::version::{Version, VersionError};

/// The relationship fields of a binary package (Policy 7.1, 7.8).
pub const FIELDS: [&str; 11] = [
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Enhances",
    "Breaks",
    "Conflicts",
    "Replaces",
    "Provides",
    "Built-Using",
    "Static-Built-Using",
];

/// A text that is no relation, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: {rule}")]
pub struct RelationError {
    text: String,
    rule: String,
}

impl RelationError {
    /// The relation, cut if long.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it must be.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

/// Checks a whole field: relations separated by commas, each made of alternatives separated by `|`.
pub fn check_field(text: &str) -> Result<(), RelationError> {
    text.split(',').flat_map(|relation| relation.split('|')).try_for_each(|one| check_one(one.trim()))
}

/// Checks one alternative: `name`, `name:arch`, `name (>= version)`.
pub fn check_one(text: &str) -> Result<(), RelationError> {
    parse(text).map_err(|rule| RelationError { text: text.chars().take(80).collect(), rule })
}

fn parse(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("a package name is missing here; is there a comma or `|` too many?".into());
    }
    let (name, version) = match text.split_once('(') {
        None => (text, None),
        Some((name, rest)) => {
            let version = rest.strip_suffix(')').ok_or("the bracket is not closed")?;
            (name.trim_end(), Some(version.trim()))
        }
    };
    let (name, architecture) = name.split_once(':').map_or((name, None), |(name, arch)| (name, Some(arch)));
    name.parse::<PackageName>().map_err(|error: NameError| error.to_string())?;
    if let Some(architecture) = architecture {
        architecture.parse::<Architecture>().map_err(|error: NameError| error.to_string())?;
    }
    if let Some(version) = version {
        let version = ["<<", "<=", ">=", ">>", "="]
            .iter()
            .find_map(|operator| version.strip_prefix(operator))
            .ok_or("a version begins with one of << <= = >= >> (Policy 7.1)")?;
        version.trim().parse::<Version>().map_err(|error: VersionError| error.to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policys_forms_are_accepted_and_others_named() {
        for good in ["a1(>=1.0),b2:any|c3 (= 2-1)", "a1,\n b2 (<< 2~),\n c3", "a1 ( >= 1 )"] {
            assert_eq!(check_field(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            ",",
            "a1,",
            "a1,,b2",
            "Big",
            "a1 (> 1)",
            "a1 (>= 1",
            "a1 | ",
            "a1 b2",
            "a1 (= x)",
            "a1 (= )",
            "a1\nEvil: yes",
        ] {
            assert!(check_field(bad).is_err(), "{bad}");
        }
    }
}
