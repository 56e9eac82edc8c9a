//! The query language of search and of dynamic thing groups: AWS IoT fleet indexing's.
//!
//! [`Query`] is what a text says, [`Facts`] what is known of a thing, and [`Query::matches`] decides. A database that
//! answers the same question about many things must decide the same.

mod facts;
mod field;
mod parse;
mod pattern;
mod words;

pub use facts::{Connectivity, Facts, SHADOW_TERMS, Term};
pub use field::{Field, FieldError, Section};
pub use parse::{LONGEST_QUERY, MOST_TERMS, QueryError};
pub use pattern::{Pattern, Piece};

use std::borrow::Borrow;

/// What a query says.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// `*`: every thing.
    All,
    /// One term.
    Term {
        /// Where it is looked for; absent: in every field.
        field: Option<Field>,
        /// What is looked for.
        test: Test,
    },
    /// All of these.
    And(Vec<Query>),
    /// At least one of these.
    Or(Vec<Query>),
    /// Not this.
    Not(Box<Query>),
}

/// What holds of at least one value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// There is one.
    Exists,
    /// It, or one of its words, is of this form.
    Like(Pattern),
    /// It holds these words one behind the other; in lower case, a blank between two.
    Phrase(String),
    /// It is a number between these.
    Numbers(Range<f64>),
    /// It is a text between these, byte by byte; in lower case.
    Texts(Range<String>),
}

/// Both ends of a range, either of which may be open.
#[derive(Debug, Clone, PartialEq)]
pub struct Range<T> {
    /// Not below it.
    pub low: Option<Bound<T>>,
    /// Not above it.
    pub high: Option<Bound<T>>,
}

/// One end of a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound<T> {
    /// Where it lies.
    pub at: T,
    /// Whether it belongs to the range itself.
    pub inclusive: bool,
}

impl<T> Range<T> {
    fn contains<U: PartialOrd + ?Sized>(&self, value: &U) -> bool
    where
        T: Borrow<U>,
    {
        let above = self.low.as_ref().is_none_or(|low| {
            let at = low.at.borrow();
            value > at || (low.inclusive && value == at)
        });
        let below = self.high.as_ref().is_none_or(|high| {
            let at = high.at.borrow();
            value < at || (high.inclusive && value == at)
        });
        above && below
    }
}

impl Query {
    /// Whether it holds of a thing.
    #[must_use]
    pub fn matches(&self, facts: &Facts) -> bool {
        match self {
            Self::All => true,
            Self::Term { field, test } => facts.terms_of(field.as_ref()).any(|term| test.holds(term)),
            Self::And(all) => all.iter().all(|query| query.matches(facts)),
            Self::Or(any) => any.iter().any(|query| query.matches(facts)),
            Self::Not(query) => !query.matches(facts),
        }
    }

    /// Whether any of its terms looks into a field that this holds of; a term without a field looks into all.
    #[must_use]
    pub fn looks_into(&self, of_field: &impl Fn(&Field) -> bool) -> bool {
        match self {
            Self::All => false,
            Self::Term { field, .. } => field.as_ref().is_none_or(of_field),
            Self::And(some) | Self::Or(some) => some.iter().any(|query| query.looks_into(of_field)),
            Self::Not(query) => query.looks_into(of_field),
        }
    }
}

impl Test {
    fn holds(&self, term: &Term) -> bool {
        let text = term.as_str();
        match self {
            Self::Exists => true,
            Self::Like(pattern) if term.is_json_number() => pattern.number_term().is_some_and(|number| number == text),
            Self::Like(pattern) => pattern.matches(text),
            Self::Phrase(words) => has_phrase(text, words),
            Self::Numbers(range) => term.number().is_some_and(|number| range.contains(&number)),
            Self::Texts(range) => !term.is_json_number() && range.contains(text),
        }
    }
}

fn has_phrase(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(start, _)| {
        let (before, behind) = (&text[..start], &text[start + words.len()..]);
        (before.is_empty() || before.ends_with(' ')) && (behind.is_empty() || behind.starts_with(' '))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::ShadowName;
    use serde_json::json;
    use std::collections::BTreeMap;

    fn state(json: serde_json::Value) -> crate::shadow::Attributes {
        json.as_object().unwrap().clone()
    }

    fn lamp() -> Facts {
        let attributes = [("color", "Warm"), ("rooms", "12"), ("serial", "abce"), ("fw", "1.10"), ("a:b", "x")];
        let attributes: BTreeMap<String, String> =
            attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut facts = Facts::new(&"Lamp-1".parse().unwrap(), "3f0c", Some(&"lamp".parse().unwrap()));
        facts.add_group(&"Kitchen".parse().unwrap());
        facts.add_attributes(&attributes);
        let reported = json!({"battery": {"level": 80.0}, "place": "Living  Room left", "on": true, "list": [1, 2, "x"], "none": null});
        facts.add_shadow(None, Section::Reported, &state(reported));
        facts.add_shadow(None, Section::Desired, &state(json!({"on": false})));
        facts.add_delta(None, &state(json!({"on": false})));
        let package: ShadowName = "$package".parse().unwrap();
        facts.add_shadow(Some(&package), Section::Reported, &state(json!({"hi": {"version": "1.3.0-1"}})));
        facts.set_connectivity(&Connectivity {
            connected: true,
            timestamp_ms: 1_700_000_000_000,
            disconnect_reason: None,
        });
        facts
    }

    fn check(expected: bool, queries: &[&str]) {
        for text in queries {
            let query: Query = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(query.matches(&lamp()), expected, "{text}: {query:?}");
        }
    }

    #[test]
    fn what_aws_documents_is_found() {
        check(
            true,
            &[
                "*",
                "lamp-1",
                "WARM",
                "thingName:Lamp-1",
                "thingName:lamp*",
                "thingName:*1",
                "thingName:*amp*",
                "thingName:lamp-?",
                "thingTypeName:lamp",
                "thingGroupNames:kitch*",
                "attributes.color:warm",
                "attributes.color:w*m",
                "attributes.rooms:[10 TO 12]",
                "attributes.rooms:{11 TO 12]",
                "attributes.rooms:[12 TO *]",
                "attributes.rooms>11 attributes.rooms<=12",
                "attributes.rooms:>=12",
                "attributes.serial:[\"abcd\" TO \"abcf\"]",
                "attributes.a\\:b:x",
                "attributes.color:warm AND attributes.rooms>5 NOT attributes.rooms>100",
                "attributes.color:(cold OR warm)",
                "attributes.color:(w* -cold)",
                "(thingName:tv* OR thingName:lamp*) AND -thingName:*plasma",
                "shadow.reported.battery.level:80",
                "shadow.reported.battery.level:80.0",
                "shadow.reported.battery.level:{70 TO 100} AND (12 OR v3) NOT attributes.model:legacy",
                "shadow.reported.place:room",
                "shadow.reported.place:\"living room\"",
                "shadow.reported.place:* NOT shadow.desired.place:*",
                "shadow.reported.list:2",
                "shadow.reported.list:x",
                "shadow.reported.on:true",
                "shadow.delta.on:false",
                "shadow.hasDelta:true",
                "shadow.name.\\$package.reported.hi.version:1.3.0-1",
                "shadow.name.$package.reported.hi.version:1.3*",
                "NOT shadow.name.\\$package.hasDelta:true",
                "connectivity.connected:true",
                "connectivity.timestamp:[1600000000000 TO *]",
                "NOT connectivity.disconnectReason:*",
            ],
        );
    }

    #[test]
    fn what_does_not_hold_is_not_found() {
        check(
            false,
            &[
                "-lamp-1",
                "lamp-2",
                "thingName:lamp",
                "thingName:lamp-?1",
                "attributes.Color:warm",
                "attributes.rooms:{12 TO *]",
                "attributes.rooms<12",
                "attributes.fw:1.1",
                "attributes.serial:[\"abcf\" TO \"abcg\"]",
                "shadow.reported.battery:*",
                "shadow.reported.place:\"room living\"",
                "shadow.reported.place:\"ving room\"",
                "shadow.reported.none:*",
                "shadow.desired.on:true",
                "shadow.reported.on:true AND connectivity.connected:false",
            ],
        );
    }
}
