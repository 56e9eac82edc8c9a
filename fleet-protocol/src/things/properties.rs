//! What people say of things, groups and types: attributes and descriptions, within AWS's limits.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MOST_ATTRIBUTES: usize = 50;
const LONGEST_ATTRIBUTE_NAME: usize = 128;
const LONGEST_ATTRIBUTE_VALUE: usize = 800;
const LONGEST_DESCRIPTION: usize = 2_028;
const MOST_SEARCHABLE_ATTRIBUTES: usize = 3;

/// Attributes or a description that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// Too many.
    #[error("there are {0} attributes; a thing or group may have {MOST_ATTRIBUTES}")]
    TooMany(usize),
    /// A name.
    #[error(
        "{0:?} is not an attribute's name: 1 to {LONGEST_ATTRIBUTE_NAME} letters, digits and the characters `_.,@/:#-`"
    )]
    Name(String),
    /// A value.
    #[error(
        "the value of the attribute {0} is not up to {LONGEST_ATTRIBUTE_VALUE} letters, digits and the characters \
         `_.,@/:#=[]-`"
    )]
    Value(String),
    /// A description.
    #[error("a description has up to {LONGEST_DESCRIPTION} characters, none of them a control character")]
    Description,
    /// Searchable attributes.
    #[error("a thing type names up to {MOST_SEARCHABLE_ATTRIBUTES} searchable attributes")]
    TooManySearchable,
}

/// Names and values that people give to things and groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Attributes(BTreeMap<String, String>);

impl Attributes {
    /// By name.
    #[must_use]
    pub fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// These, changed: with `merge` those of `change` are added, and those that are empty there are taken away;
    /// otherwise `change` replaces all of them.
    ///
    /// # Errors
    /// There would be too many.
    pub fn changed(&self, change: Self, merge: bool) -> Result<Self, PropertyError> {
        if !merge {
            return Ok(change);
        }
        let mut merged = self.0.clone();
        for (name, value) in change.0 {
            if value.is_empty() {
                merged.remove(&name);
            } else {
                merged.insert(name, value);
            }
        }
        merged.try_into()
    }
}

impl TryFrom<BTreeMap<String, String>> for Attributes {
    type Error = PropertyError;

    fn try_from(map: BTreeMap<String, String>) -> Result<Self, PropertyError> {
        if map.len() > MOST_ATTRIBUTES {
            return Err(PropertyError::TooMany(map.len()));
        }
        for (name, value) in &map {
            check_attribute_name(name)?;
            if !is_plain(value, 0..=LONGEST_ATTRIBUTE_VALUE, b"_.,@/:#=[]-") {
                return Err(PropertyError::Value(name.clone()));
            }
        }
        Ok(Self(map))
    }
}

impl From<Attributes> for BTreeMap<String, String> {
    fn from(attributes: Attributes) -> Self {
        attributes.0
    }
}

fn check_attribute_name(name: &str) -> Result<(), PropertyError> {
    match is_plain(name, 1..=LONGEST_ATTRIBUTE_NAME, b"_.,@/:#-") {
        true => Ok(()),
        false => Err(PropertyError::Name(name.chars().take(80).collect())),
    }
}

fn is_plain(text: &str, length: std::ops::RangeInclusive<usize>, others: &[u8]) -> bool {
    length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

/// What people say about a group or a type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Description(String);

impl Description {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Description {
    type Error = PropertyError;

    fn try_from(text: String) -> Result<Self, PropertyError> {
        match text.chars().count() <= LONGEST_DESCRIPTION && !text.chars().any(char::is_control) {
            true => Ok(Self(text)),
            false => Err(PropertyError::Description),
        }
    }
}

impl From<Description> for String {
    fn from(description: Description) -> Self {
        description.0
    }
}

/// The attributes that things of a type are mostly looked for by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct SearchableAttributes(Vec<String>);

impl TryFrom<Vec<String>> for SearchableAttributes {
    type Error = PropertyError;

    fn try_from(names: Vec<String>) -> Result<Self, PropertyError> {
        if names.len() > MOST_SEARCHABLE_ATTRIBUTES {
            return Err(PropertyError::TooManySearchable);
        }
        names.iter().try_for_each(|name| check_attribute_name(name))?;
        Ok(Self(names))
    }
}

impl From<SearchableAttributes> for Vec<String> {
    fn from(names: SearchableAttributes) -> Self {
        names.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(all: &[(&str, &str)]) -> Result<Attributes, PropertyError> {
        let map: BTreeMap<_, _> = all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        map.try_into()
    }

    #[test]
    fn attributes_are_those_that_aws_takes() {
        assert!(attributes(&[("a.b,@/:#-_", "x=[1]@/:#-,._"), ("empty", "")]).is_ok());
        let long = "a".repeat(801);
        for (name, value) in [("", "x"), ("a b", "x"), ("a", "x y"), ("a", "\u{e9}"), ("a", &long), (&long[..129], "x")]
        {
            assert!(attributes(&[(name, value)]).is_err(), "{name:?} {value:?}");
        }
        let many: BTreeMap<String, String> = (0..51).map(|n| (n.to_string(), String::new())).collect();
        assert!(Attributes::try_from(many).unwrap_err().to_string().contains("51"));
    }

    #[test]
    fn an_empty_value_takes_an_attribute_away_where_others_are_kept() {
        let old = attributes(&[("a", "1"), ("b", "2")]).unwrap();
        let change = attributes(&[("b", ""), ("c", "3")]).unwrap();
        assert_eq!(old.changed(change.clone(), true), attributes(&[("a", "1"), ("c", "3")]));
        assert_eq!(old.changed(change.clone(), false), Ok(change));
    }
}
