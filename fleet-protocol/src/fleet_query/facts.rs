//! What is known of a thing, as terms: what queries are decided on, and what an index holds.

use super::field::{Field, Section};
use super::words::{NUMBER_MARK, lower_words, number_of, term_of_number};
use crate::names::{GroupName, ShadowName, ThingName, ThingTypeName};
use crate::shadow::Attributes;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// So many terms of a thing's shadows are known; what is beyond is not found.
pub const SHADOW_TERMS: usize = 2_000;
/// The longest field and term, in bytes. A longer field is not known, a longer term is cut.
const LONGEST: usize = 800;

/// One value of a field, or a word of it: in lower case, and of a JSON number a form that no text has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term(String);

impl Term {
    fn of_number(number: f64) -> Self {
        Self(term_of_number(number))
    }

    /// As an index holds it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number that it is, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        number_of(self.0.strip_prefix(NUMBER_MARK).unwrap_or(&self.0))
    }

    pub(super) fn is_json_number(&self) -> bool {
        self.0.starts_with(NUMBER_MARK)
    }
}

/// Whether a thing is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connectivity {
    /// Whether it is.
    pub connected: bool,
    /// Since when, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Why it is not, in AWS's words, such as `CONNECTION_LOST`.
    pub disconnect_reason: Option<String>,
}

/// What is known of a thing.
#[derive(Debug, Clone)]
pub struct Facts {
    terms: BTreeMap<Field, BTreeSet<Term>>,
    /// How many of them come from shadows.
    shadow_terms: usize,
}

impl Facts {
    /// A thing without anything.
    #[must_use]
    pub fn new(name: &ThingName, id: &str, thing_type: Option<&ThingTypeName>) -> Self {
        let mut facts = Self { terms: BTreeMap::new(), shadow_terms: 0 };
        facts.insert(&Field::ThingName, Term(name.as_str().to_lowercase()));
        facts.insert(&Field::ThingId, Term(id.to_lowercase()));
        if let Some(thing_type) = thing_type {
            facts.insert(&Field::ThingTypeName, Term(thing_type.as_str().to_lowercase()));
        }
        facts
    }

    /// It is in this group.
    pub fn add_group(&mut self, group: &GroupName) {
        self.insert(&Field::ThingGroupNames, Term(group.as_str().to_lowercase()));
    }

    /// It has these attributes.
    pub fn add_attributes(&mut self, attributes: &BTreeMap<String, String>) {
        for (name, value) in attributes {
            self.add_text(&Field::Attribute(name.clone()), value);
        }
    }

    /// A section of its shadow of this name, or of the classic one, holds this.
    pub fn add_shadow(&mut self, name: Option<&ShadowName>, section: Section, state: &Attributes) {
        for (key, value) in state {
            self.add_json(name, section, key, value);
        }
    }

    /// Its shadow of this name, or the classic one, has this delta; an empty one is none.
    pub fn add_delta(&mut self, name: Option<&ShadowName>, delta: &Attributes) {
        self.add_shadow(name, Section::Delta, delta);
        self.insert(&Field::HasDelta(name.cloned()), Term((!delta.is_empty()).to_string()));
    }

    /// Whether it is connected.
    pub fn set_connectivity(&mut self, connectivity: &Connectivity) {
        let Connectivity { connected, timestamp_ms, disconnect_reason } = connectivity;
        self.insert(&Field::Connected, Term(connected.to_string()));
        self.insert(&Field::ConnectivityTimestamp, Term::of_number(*timestamp_ms as f64));
        if let Some(reason) = disconnect_reason {
            self.insert(&Field::DisconnectReason, Term(reason.to_lowercase()));
        }
    }

    /// The terms of its attributes and shadows: what an index holds beside the tables of things and groups.
    pub fn indexed(&self) -> impl Iterator<Item = (&Field, &Term)> {
        let is_indexed =
            |field: &Field| matches!(field, Field::Attribute(_) | Field::Shadow { .. } | Field::HasDelta(_));
        let fields = self.terms.iter().filter(move |(field, _)| is_indexed(field));
        fields.flat_map(|(field, terms)| terms.iter().map(move |term| (field, term)))
    }

    /// The terms of a field, or of all of them.
    pub(super) fn terms_of<'a>(&'a self, wanted: Option<&'a Field>) -> impl Iterator<Item = &'a Term> {
        let of_all = wanted.is_none().then_some(&self.terms).into_iter().flat_map(BTreeMap::values);
        of_all.chain(wanted.and_then(|field| self.terms.get(field))).flatten()
    }

    fn add_json(&mut self, name: Option<&ShadowName>, section: Section, path: &str, value: &Value) {
        let term = match value {
            Value::Null => return,
            Value::Bool(value) => Term(value.to_string()),
            Value::Number(number) => Term::of_number(number.as_f64().unwrap_or_default()),
            Value::String(text) => {
                let field = Field::Shadow { name: name.cloned(), section, path: path.to_owned() };
                self.add_shadow_text(&field, text);
                return;
            }
            Value::Array(items) => {
                items.iter().for_each(|item| self.add_json(name, section, path, item));
                return;
            }
            Value::Object(members) => {
                for (key, value) in members {
                    self.add_json(name, section, &format!("{path}.{key}"), value);
                }
                return;
            }
        };
        if self.shadow_terms < SHADOW_TERMS {
            self.shadow_terms += 1;
            self.insert(&Field::Shadow { name: name.cloned(), section, path: path.to_owned() }, term);
        }
    }

    fn add_shadow_text(&mut self, field: &Field, text: &str) {
        if self.shadow_terms < SHADOW_TERMS {
            self.shadow_terms += self.add_text(field, text);
        }
    }

    /// The whole text and each of its words; how many there are.
    fn add_text(&mut self, field: &Field, text: &str) -> usize {
        let words = lower_words(text);
        self.insert(field, Term(words.join(" ")));
        for word in words.iter().filter(|_| words.len() > 1) {
            self.insert(field, Term(word.clone()));
        }
        1 + words.len()
    }

    fn insert(&mut self, field: &Field, Term(mut text): Term) {
        if field.to_string().len() > LONGEST {
            return;
        }
        if text.len() > LONGEST {
            let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
            text.truncate(end);
        }
        self.terms.entry(field.clone()).or_default().insert(Term(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(json: Value) -> Attributes {
        json.as_object().unwrap().clone()
    }

    fn facts() -> Facts {
        Facts::new(&"lamp".parse().unwrap(), "id", None)
    }

    #[test]
    fn what_a_device_reports_is_bounded() {
        let mut facts = facts();
        let many: Vec<u32> = (0..10_000).collect();
        let long = "k".repeat(5_000);
        facts.add_shadow(
            None,
            Section::Reported,
            &state(json!({"many": many, "long": "\u{e9}".repeat(4_000), long.as_str(): 1})),
        );
        let terms: Vec<(String, &Term)> = facts.indexed().map(|(field, term)| (field.to_string(), term)).collect();
        assert!(terms.len() <= SHADOW_TERMS);
        assert!(terms.iter().all(|(field, term)| field.len() <= LONGEST && term.as_str().len() <= LONGEST));
    }

    #[test]
    fn no_text_is_taken_for_a_json_number_and_none_holds_a_nul() {
        let mut facts = facts();
        facts.add_shadow(None, Section::Reported, &state(json!({"x": "\u{1}80", "y": "a\u{0}b"})));
        let texts: Vec<String> = facts.indexed().map(|(_, term)| term.as_str().to_owned()).collect();
        assert_eq!(texts, ["80", "a", "a b", "b"]);
    }
}
