//! The policies that every server begins with: one for each step of a device's way into the fleet, and those for people.

use crate::access::Role;
use crate::things::{UNVERIFIED_GROUP, VERIFIED_GROUP};

/// Whoever shows a claim certificate may ask for a certificate of its own, and nothing else.
pub const INITIAL: &str = "initial";
/// A device that was registered and has not yet connected with its own certificate.
pub const INTERMEDIATE: &str = "intermediate";
/// A device of the fleet.
pub const STANDARD: &str = "standard";

/// People who look at their things.
pub const PEOPLE: &str = "people";
/// People who may change what is desired of their things.
pub const PEOPLE_OPERATORS: &str = "people-operators";

/// A policy that every server begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultPolicy {
    /// Its name.
    pub name: &'static str,
    /// Its first version.
    pub document: &'static str,
    /// The group that it is attached to.
    pub group: Option<&'static str>,
    /// The role of users that it is attached to.
    pub role: Option<Role>,
}

impl DefaultPolicy {
    const fn new(name: &'static str, document: &'static str) -> Self {
        Self { name, document, group: None, role: None }
    }
}

/// All of them.
pub const DEFAULTS: [DefaultPolicy; 5] = [
    DefaultPolicy::new(INITIAL, include_str!("defaults/initial.json")),
    DefaultPolicy {
        group: Some(UNVERIFIED_GROUP),
        ..DefaultPolicy::new(INTERMEDIATE, include_str!("defaults/intermediate.json"))
    },
    DefaultPolicy {
        group: Some(VERIFIED_GROUP),
        ..DefaultPolicy::new(STANDARD, include_str!("defaults/standard.json"))
    },
    DefaultPolicy { role: Some(Role::Viewer), ..DefaultPolicy::new(PEOPLE, include_str!("defaults/people.json")) },
    DefaultPolicy {
        role: Some(Role::Operator),
        ..DefaultPolicy::new(PEOPLE_OPERATORS, include_str!("defaults/people-operators.json"))
    },
];
