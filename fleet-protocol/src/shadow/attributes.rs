//! Attributes and when each was written: how a change is merged into them, and how desired ones differ from reported ones.

use super::{MOST_LEVELS, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Attributes by name; the value of one may be an object of further ones. None of them is null.
pub type Attributes = Map<String, Value>;

/// When each attribute was last written, laid out as the attributes are.
pub type Stamps = BTreeMap<String, Stamp>;

/// When an attribute was last written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Stamp {
    /// A value.
    At {
        /// Seconds since the epoch.
        timestamp: i64,
    },
    /// The elements of an array.
    Each(Vec<Stamp>),
    /// The members of an object.
    Below(Stamps),
}

impl Stamp {
    /// Of a value that is written now.
    fn of(value: &Value, now: i64) -> Self {
        match value {
            Value::Array(elements) => Self::Each(elements.iter().map(|element| Self::of(element, now)).collect()),
            Value::Object(members) => Self::Below(stamps_of(members, now)),
            _ => Self::At { timestamp: now },
        }
    }
}

/// Of attributes that are written, or removed by a null, now.
pub(super) fn stamps_of(attributes: &Attributes, now: i64) -> Stamps {
    attributes.iter().map(|(name, value)| (name.clone(), Stamp::of(value, now))).collect()
}

/// Merges a change into attributes: null removes, objects are merged, everything else (arrays, too) is replaced.
///
/// An object that loses its last member stays, as an empty one. One that a change would make of nothing but nulls is not made.
pub(super) fn merge(attributes: &mut Attributes, stamps: &mut Stamps, change: &Attributes, now: i64) {
    for (name, value) in change {
        let written = match value {
            Value::Null => None,
            Value::Object(change) => {
                if let (Some(Value::Object(members)), Some(Stamp::Below(below))) =
                    (attributes.get_mut(name), stamps.get_mut(name))
                {
                    merge(members, below, change, now);
                    continue;
                }
                made_of(change, now)
            }
            value => Some((value.clone(), Stamp::of(value, now))),
        };
        match written {
            Some((value, stamp)) => {
                attributes.insert(name.clone(), value);
                stamps.insert(name.clone(), stamp);
            }
            None => {
                attributes.remove(name);
                stamps.remove(name);
            }
        }
    }
}

/// A new object, without the nulls.
fn made_of(change: &Attributes, now: i64) -> Option<(Value, Stamp)> {
    let (mut members, mut below) = (Attributes::new(), Stamps::new());
    merge(&mut members, &mut below, change, now);
    (change.is_empty() || !members.is_empty()).then_some((Value::Object(members), Stamp::Below(below)))
}

/// The desired attributes that are not reported, or with another value, each with the path that leads to it.
pub(super) fn difference(desired: &Attributes, reported: &Attributes) -> Attributes {
    let differing = desired.iter().filter_map(|(name, wanted)| {
        let value = match (wanted, reported.get(name)) {
            (Value::Object(wanted), Some(Value::Object(is))) => {
                let members = difference(wanted, is);
                (!members.is_empty()).then_some(Value::Object(members))
            }
            (wanted, Some(is)) if wanted == is => None,
            (wanted, _) => Some(wanted.clone()),
        };
        Some((name.clone(), value?))
    });
    differing.collect()
}

/// Those stamps that belong to these attributes.
pub(super) fn stamps_for(attributes: &Attributes, stamps: &Stamps) -> Stamps {
    let kept = attributes.iter().filter_map(|(name, value)| {
        let stamp = match (value, stamps.get(name)?) {
            (Value::Object(members), Stamp::Below(below)) => Stamp::Below(stamps_for(members, below)),
            (_, stamp) => stamp.clone(),
        };
        Some((name.clone(), stamp))
    });
    kept.collect()
}

/// Whether these can be attributes, or a change of them. A level is that of a name, or of an array or object in an array.
pub(super) fn check(attributes: &Attributes) -> Result<(), Refusal> {
    attributes.iter().try_for_each(|(name, value)| check_value(name, value, 1, false))
}

/// An array is a value that is replaced as a whole, so a null in it could remove nothing.
fn check_value(name: &str, value: &Value, level: usize, in_array: bool) -> Result<(), Refusal> {
    if level > MOST_LEVELS {
        return Err(Refusal::TooDeep);
    }
    match value {
        Value::Null if in_array => Err(Refusal::InvalidNode(name.to_owned())),
        Value::Object(members) => {
            members.iter().try_for_each(|(member, value)| check_value(member, value, level + 1, in_array))
        }
        Value::Array(elements) => elements.iter().try_for_each(|element| {
            let is_level = element.is_array() || element.is_object();
            check_value(name, element, level + usize::from(is_level), true)
        }),
        _ => Ok(()),
    }
}
