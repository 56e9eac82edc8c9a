//! AWS IoT policies: what a client may do. Pure: a document, and a client that asks for an action on a resource, give a
//! decision and its reasons.
//!
//! The language is AWS's ("AWS IoT Core policies" in its developer guide), so that a policy written for AWS holds here
//! as it is. The partition, region and account of an ARN are not looked at: a server has none. What this engine cannot
//! decide is refused when the document is read, and never skipped.

mod action;
mod action_set;
mod condition;
mod context;
mod decision;
mod defaults;
mod document;
mod effect;
mod grants;
mod pattern;
mod person;
mod raw;
mod resource;
#[cfg(test)]
mod tests;
mod topic_set;
mod variable;

pub use action::{Action, UnknownAction};
pub use context::{CertificateFields, Client, ThingFacts};
pub use decision::{DecidedBy, Decision, Finding, NamedPolicy, Request, Verdict, decide, explain};
pub use defaults::{DEFAULTS, DefaultPolicy, INITIAL, INTERMEDIATE, PEOPLE, PEOPLE_OPERATORS, STANDARD};
pub use document::{Document, DocumentError, LONGEST_DOCUMENT, LONGEST_TEXT};
pub use effect::Effect;
pub use grants::{Gap, Grants, grants, is_surely_allowed};
pub use person::{decide_for_person, things_named_in};
pub use topic_set::TopicSet;
