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

/// One of the packages that satisfy a relation: `name`, `name:arch`, `name (>= version)`. The architecture is checked and
/// left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// The package, or what it provides.
    pub name: PackageName,
    /// Which versions will do; absent: every one.
    pub version: Option<(Operator, Version)>,
}

/// How versions compare (Policy 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

/// As they are written, each before one that it begins with.
const OPERATORS: [(&str, Operator); 5] = [
    ("<<", Operator::Earlier),
    ("<=", Operator::EarlierOrEqual),
    (">=", Operator::LaterOrEqual),
    (">>", Operator::Later),
    ("=", Operator::Equal),
];

impl Alternative {
    /// Whether this version of the package will do.
    #[must_use]
    pub fn admits(&self, found: &Version) -> bool {
        self.version.as_ref().is_none_or(|(operator, wanted)| match operator {
            Operator::Earlier => found < wanted,
            Operator::EarlierOrEqual => found <= wanted,
            Operator::Equal => found == wanted,
            Operator::LaterOrEqual => found >= wanted,
            Operator::Later => found > wanted,
        })
    }
}

/// Reads a whole field: relations separated by commas, each made of alternatives separated by `|`.
pub fn read_field(text: &str) -> Result<Vec<Vec<Alternative>>, RelationError> {
    text.split(',').map(|relation| relation.split('|').map(|one| read_one(one.trim())).collect()).collect()
}

/// Checks a whole field.
pub fn check_field(text: &str) -> Result<(), RelationError> {
    read_field(text).map(|_| ())
}

/// Checks one alternative.
pub fn check_one(text: &str) -> Result<(), RelationError> {
    read_one(text).map(|_| ())
}

fn read_one(text: &str) -> Result<Alternative, RelationError> {
    parse(text).map_err(|rule| RelationError { text: text.chars().take(80).collect(), rule })
}

fn parse(text: &str) -> Result<Alternative, String> {
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
    let name = name.parse().map_err(|error: NameError| error.to_string())?;
    if let Some(architecture) = architecture {
        architecture.parse::<Architecture>().map_err(|error: NameError| error.to_string())?;
    }
    let version = version.map(|version| {
        let (operator, version) = OPERATORS
            .iter()
            .find_map(|(text, operator)| Some((*operator, version.strip_prefix(text)?)))
            .ok_or("a version begins with one of << <= = >= >> (Policy 7.1)")?;
        let version = version.trim().parse().map_err(|error: VersionError| error.to_string())?;
        Ok::<_, String>((operator, version))
    });
    Ok(Alternative { name, version: version.transpose()? })
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

    #[test]
    fn versions_compare_as_the_operator_says() {
        let field = read_field("a1 (<< 2), b2:any (>= 2) | c3 (= 2)").unwrap();
        assert_eq!(field.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
        let admitted = |operator: &str| {
            let alternative = &read_field(&format!("a1 ({operator} 2)")).unwrap()[0][0];
            ["1", "2", "10"].map(|version| alternative.admits(&version.parse().unwrap()))
        };
        assert_eq!(admitted("<<"), [true, false, false]);
        assert_eq!(admitted("<="), [true, true, false]);
        assert_eq!(admitted("="), [false, true, false]);
        assert_eq!(admitted(">="), [false, true, true]);
        assert_eq!(admitted(">>"), [false, false, true]);
        assert!(read_field("a1").unwrap()[0][0].admits(&"1".parse().unwrap()));
    }
}
