//! Relationship fields such as Depends (Policy 7.1).

use super::error::ManifestProblem;
use super::values::bad_value;
use debian_formats::relation;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;

/// `"a (>= 1), b | c"` or a list of such texts, as written.
#[derive(Default)]
pub(super) struct RawRelations(Vec<String>);

impl<'de> Deserialize<'de> for RawRelations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RelationsVisitor;
        impl<'de> Visitor<'de> for RelationsVisitor {
            type Value = RawRelations;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text such as \"libc6 (>= 2.36), adduser\", or a list of such texts")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<RawRelations, E> {
                Ok(RawRelations(vec![text.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<RawRelations, A::Error> {
                let mut all = Vec::new();
                while let Some(text) = texts.next_element()? {
                    all.push(text);
                }
                Ok(RawRelations(all))
            }
        }
        deserializer.deserialize_any(RelationsVisitor)
    }
}

impl RawRelations {
    /// The field's text, each relation checked; none if there is nothing in it.
    pub(super) fn check(&self, key: &'static str) -> Result<Option<String>, ManifestProblem> {
        let mut relations = Vec::new();
        for relation in self.0.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty()) {
            let alternatives: Vec<&str> = relation.split('|').map(str::trim).collect();
            for alternative in &alternatives {
                relation::check_one(alternative)
                    .map_err(|error| bad_value(key, alternative, error.rule().to_owned()))?;
            }
            relations.push(alternatives.join(" | "));
        }
        Ok((!relations.is_empty()).then(|| relations.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policys_forms_are_accepted_and_others_named() {
        let check = |text: &str| RawRelations(vec![text.to_owned()]).check("depends").map_err(|e| e.to_string());
        assert_eq!(check("a1(>=1.0),b2:any|c3 (= 2-1)").unwrap().unwrap(), "a1(>=1.0), b2:any | c3 (= 2-1)");
        assert_eq!(check(" ,").unwrap(), None);
        for bad in ["Big", "a1 (> 1)", "a1 (>= 1", "a1 | ", "a1 b2", "a1 (= x)", "a1\nEvil: yes"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
