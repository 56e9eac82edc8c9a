//! Relationship fields such as Depends (Policy 7.1).

use super::error::ManifestProblem;
use super::values::{Texts, bad_value};
use crate::shared_libraries::AUTO;
use debian_formats::relation;
use serde::Deserialize;

/// `"a (>= 1), b | c"` or a list of such texts, as written.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct RawRelations(Texts);

impl RawRelations {
    /// The field's text, each relation checked but [`AUTO`]; none if there is nothing in it.
    pub(super) fn check(&self, key: &'static str) -> Result<Option<String>, ManifestProblem> {
        let mut relations = Vec::new();
        for relation in self.0.0.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty())
        {
            if relation == AUTO {
                relations.push(relation.to_owned());
                continue;
            }
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
        let check = |text: &str| RawRelations(Texts(vec![text.to_owned()])).check("depends").map_err(|e| e.to_string());
        assert_eq!(check("a1(>=1.0),b2:any|c3 (= 2-1)").unwrap().unwrap(), "a1(>=1.0), b2:any | c3 (= 2-1)");
        assert_eq!(check(" ,").unwrap(), None);
        assert_eq!(check("${auto}, a1").unwrap().unwrap(), "${auto}, a1");
        for bad in [
            "Big",
            "a1 (> 1)",
            "a1 (>= 1",
            "a1 | ",
            "a1 b2",
            "a1 (= x)",
            "a1\nEvil: yes",
            "${shlibs:Depends}",
            "a1 | ${auto}",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
