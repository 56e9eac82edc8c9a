//! The policies that every server begins with, one for each step of a device's way into the fleet.

use crate::things::{UNVERIFIED_GROUP, VERIFIED_GROUP};

/// Whoever shows a claim certificate may ask for a certificate of its own, and nothing else.
pub const INITIAL: &str = "initial";
/// A device that was registered and has not yet connected with its own certificate.
pub const INTERMEDIATE: &str = "intermediate";
/// A device of the fleet.
pub const STANDARD: &str = "standard";

/// A policy that every server begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefaultPolicy {
    /// Its name.
    pub name: &'static str,
    /// Its first version.
    pub document: &'static str,
    /// The group that it is attached to.
    pub group: Option<&'static str>,
}

/// All of them.
pub const DEFAULTS: [DefaultPolicy; 3] = [
    DefaultPolicy { name: INITIAL, document: include_str!("defaults/initial.json"), group: None },
    DefaultPolicy {
        name: INTERMEDIATE,
        document: include_str!("defaults/intermediate.json"),
        group: Some(UNVERIFIED_GROUP),
    },
    DefaultPolicy { name: STANDARD, document: include_str!("defaults/standard.json"), group: Some(VERIFIED_GROUP) },
];
