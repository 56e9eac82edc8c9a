//! The decision, and its reasons.

use super::action::Action;
use super::context::Client;
use super::document::{Document, Miss};
use super::effect::Effect;
use crate::names::PolicyName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A policy as it is in force: a version of a document, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPolicy {
    /// Its name.
    pub name: PolicyName,
    /// Which version of it.
    pub version: u32,
    /// What it says.
    pub document: Document,
}

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What it wants to do.
    pub action: Action,
    /// With what: a client id, a topic, a topic filter, or a thing's name, perhaps with a shadow's behind a slash.
    pub resource: &'a str,
    /// Who asks.
    pub client: &'a Client<'a>,
}

/// What comes of it, in AWS's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// A statement allows it, and none denies it.
    Allowed,
    /// A statement denies it.
    ExplicitDeny,
    /// No statement allows it.
    ImplicitDeny,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What comes of it.
    pub verdict: Verdict,
    /// The statement that decided; none if no statement applies.
    pub by: Option<DecidedBy>,
}

/// A statement of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidedBy {
    /// The policy.
    pub policy: Arc<NamedPolicy>,
    /// Which of its statements, counted from 1.
    pub statement: usize,
}

impl Decision {
    /// Whether it may be done.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allowed
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_allowed() { "allowed" } else { "denied" };
        match &self.by {
            Some(by) => write!(f, "{word} by {by}"),
            None => f.write_str("denied: no statement of its policies allows it"),
        }
    }
}

impl fmt::Display for DecidedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NamedPolicy { name, version, document } = &*self.policy;
        write!(f, "statement {}", self.statement)?;
        if let Some(sid) = document.statements().get(self.statement - 1).and_then(|it| it.sid.as_ref()) {
            write!(f, " ({sid:?})")?;
        }
        write!(f, " of the policy {name}, version {version}")
    }
}

/// Decides. A statement that denies wins over all that allow, and what none allows is denied.
pub fn decide<'p>(policies: impl IntoIterator<Item = &'p Arc<NamedPolicy>>, request: &Request<'_>) -> Decision {
    let resource = full_resource(request);
    let mut allowed = None;
    for policy in policies {
        for (at, statement) in policy.document.statements().iter().enumerate() {
            if statement.effect == Effect::Allow && allowed.is_some() {
                continue;
            }
            if statement.applies(request.client, request.action, &resource).is_err() {
                continue;
            }
            let by = Some(DecidedBy { policy: policy.clone(), statement: at + 1 });
            match statement.effect {
                Effect::Deny => return Decision { verdict: Verdict::ExplicitDeny, by },
                Effect::Allow => allowed = by,
            }
        }
    }
    match allowed {
        Some(by) => Decision { verdict: Verdict::Allowed, by: Some(by) },
        None => Decision { verdict: Verdict::ImplicitDeny, by: None },
    }
}

/// What one statement about the action has to do with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The policy's name.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::PolicyName))]
    #[serde(rename = "policyName")]
    pub policy: PolicyName,
    /// Its version.
    #[cfg_attr(feature = "openapi", schema(format = Int64, minimum = 1, maximum = 4294967295u64, example = 1))]
    #[serde(rename = "versionId")]
    pub version: u32,
    /// Which of its statements, counted from 1.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, example = 1))]
    pub statement: usize,
    /// The statement's `Sid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub sid: Option<String>,
    /// Whether it allows or denies what it applies to.
    pub effect: Effect,
    /// Whether it applies.
    pub applies: bool,
    /// Why, or why not.
    #[cfg_attr(feature = "openapi", schema(example = "the resource is another one"))]
    pub reason: String,
}

/// What every statement about the action has to do with a request, in their order.
pub fn explain<'p>(policies: impl IntoIterator<Item = &'p Arc<NamedPolicy>>, request: &Request<'_>) -> Vec<Finding> {
    let resource = full_resource(request);
    let mut findings = Vec::new();
    for policy in policies {
        for (at, statement) in policy.document.statements().iter().enumerate() {
            let outcome = statement.applies(request.client, request.action, &resource);
            if outcome == Err(Miss::Action) {
                continue;
            }
            findings.push(Finding {
                policy: policy.name.clone(),
                version: policy.version,
                statement: at + 1,
                sid: statement.sid.clone(),
                effect: statement.effect,
                applies: outcome.is_ok(),
                reason: match outcome {
                    Ok(()) => "action, resource and conditions fit".to_owned(),
                    Err(miss) => miss.to_string(),
                },
            });
        }
    }
    findings
}

fn full_resource(request: &Request<'_>) -> String {
    format!("{}/{}", request.action.resource_type(), request.resource)
}

impl fmt::Display for Miss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Action => f.write_str("it is about other actions"),
            Self::Resource => f.write_str("it is about other resources"),
            Self::Excluded => f.write_str("the resource is one of its NotResource"),
            Self::Missing(variable) => write!(f, "the client has no value for ${{{variable}}}"),
            Self::Unsafe(variable) => write!(
                f,
                "the client's value for ${{{variable}}} holds a character that means something in a topic (+, # or /)"
            ),
            Self::Condition(condition) => write!(f, "its condition {condition} does not hold"),
        }
    }
}
