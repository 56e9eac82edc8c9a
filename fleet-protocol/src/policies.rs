//! Policies, as the REST API tells them. What a document may say: [`crate::policy`].

use crate::access::{Role, UnknownRole};
use crate::names::{CertificateId, GroupName, NameError, PolicyName, ThingName, UserName};
use crate::policy::{Finding, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// `GET` lists policies, `POST` makes one.
pub const POLICIES_PATH: &str = "/api/v1/policies";
/// `POST` an [`AuthorizationTest`].
pub const TEST_AUTHORIZATION_PATH: &str = "/api/v1/test-authorization";

/// A policy has so many versions at the most, as on AWS.
pub const MOST_VERSIONS: usize = 5;
/// So many policies are attached to a certificate, group, role or user at the most, as on AWS.
pub const MOST_POLICIES_OF_TARGET: usize = 10;

/// `GET` and `DELETE` a policy.
#[must_use]
pub fn policy_path(policy: &PolicyName) -> String {
    format!("{POLICIES_PATH}/{policy}")
}

/// `POST` a [`NewPolicyVersion`].
#[must_use]
pub fn policy_versions_path(policy: &PolicyName) -> String {
    format!("{}/versions", policy_path(policy))
}

/// `GET` and `DELETE` a version of a policy.
#[must_use]
pub fn policy_version_path(policy: &PolicyName, version: u32) -> String {
    format!("{}/{version}", policy_versions_path(policy))
}

/// `PUT` a [`DefaultVersion`].
#[must_use]
pub fn default_version_path(policy: &PolicyName) -> String {
    format!("{}/default-version", policy_path(policy))
}

/// `GET` lists what a policy is attached to.
#[must_use]
pub fn policy_targets_path(policy: &PolicyName) -> String {
    format!("{}/targets", policy_path(policy))
}

/// `PUT` attaches a policy, `DELETE` detaches it.
#[must_use]
pub fn policy_target_path(policy: &PolicyName, target: &PolicyTarget) -> String {
    let (kind, named) = match target {
        PolicyTarget::Certificate { id } => (TargetKind::Certificate, id.to_string()),
        PolicyTarget::Group { name } => (TargetKind::Group, name.to_string()),
        PolicyTarget::Role { role } => (TargetKind::Role, role.to_string()),
        PolicyTarget::User { name } => (TargetKind::User, name.to_string()),
    };
    format!("{}/{kind}/{named}", policy_targets_path(policy))
}

/// What policies can be attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(rename_all = "kebab-case"))]
pub enum TargetKind {
    /// A certificate.
    Certificate,
    /// A thing group.
    Group,
    /// A role of users.
    Role,
    /// A user.
    User,
}

/// A text that names nothing to which a policy can be attached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownTarget {
    /// Its kind.
    #[error("a policy is attached to a certificate, a group, a role or a user, not to a {0:?}")]
    Kind(String),
    /// The name that it has.
    #[error("there is no such {0}: {1}")]
    Name(TargetKind, String),
}

impl TargetKind {
    const ALL: [Self; 4] = [Self::Certificate, Self::Group, Self::Role, Self::User];

    /// The target of this kind that has this name, or id.
    pub fn named(self, name: &str) -> Result<PolicyTarget, UnknownTarget> {
        let wrong = |error: &dyn fmt::Display| UnknownTarget::Name(self, error.to_string());
        Ok(match self {
            Self::Certificate => {
                PolicyTarget::Certificate { id: name.parse().map_err(|error: NameError| wrong(&error))? }
            }
            Self::Group => PolicyTarget::Group { name: name.parse().map_err(|error: NameError| wrong(&error))? },
            Self::Role => PolicyTarget::Role { role: name.parse().map_err(|error: UnknownRole| wrong(&error))? },
            Self::User => PolicyTarget::User { name: name.parse().map_err(|error: NameError| wrong(&error))? },
        })
    }
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "certificate",
            Self::Group => "group",
            Self::Role => "role",
            Self::User => "user",
        })
    }
}

impl FromStr for TargetKind {
    type Err = UnknownTarget;

    fn from_str(text: &str) -> Result<Self, UnknownTarget> {
        let unknown = || UnknownTarget::Kind(text.chars().take(80).collect());
        Self::ALL.into_iter().find(|kind| kind.to_string() == text).ok_or_else(unknown)
    }
}

/// What a policy is attached to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum PolicyTarget {
    /// A certificate: whoever connects with it.
    Certificate {
        /// Its id.
        #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::Sha256))]
        #[serde(rename = "certificateId")]
        id: CertificateId,
    },
    /// A thing group: the things in it and in its child groups.
    Group {
        /// Its name.
        #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::GroupName))]
        #[serde(rename = "thingGroupName")]
        name: GroupName,
    },
    /// The users of a role and of the mightier ones, in what they do over MQTT.
    Role {
        /// The role.
        role: Role,
    },
    /// A user, in what they do over MQTT.
    User {
        /// Their name.
        #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::UserName))]
        #[serde(rename = "userName")]
        name: UserName,
    },
}

impl PolicyTarget {
    /// Whether it is a role that a user of this one does not reach.
    #[must_use]
    pub fn is_role_above(&self, reached: Role) -> bool {
        matches!(self, Self::Role { role } if *role > reached)
    }
}

impl fmt::Display for PolicyTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { id } => write!(f, "the certificate {id}"),
            Self::Group { name } => write!(f, "the group {name}"),
            Self::Role { role } => write!(f, "the users of the role {role}"),
            Self::User { name } => write!(f, "the user {name}"),
        }
    }
}

/// A policy to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPolicy {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::PolicyName))]
    #[serde(rename = "policyName")]
    pub name: PolicyName,
    /// The document, JSON as text, in AWS IoT's policy language.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::PolicyDocument))]
    #[serde(rename = "policyDocument")]
    pub document: String,
}

/// A version to be made of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewPolicyVersion {
    /// The document, JSON as text, in AWS IoT's policy language.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::PolicyDocument))]
    #[serde(rename = "policyDocument")]
    pub document: String,
    /// Whether it is in force at once.
    #[serde(default)]
    pub set_as_default: bool,
}

/// Which version of a policy is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DefaultVersion {
    /// Its number.
    #[serde(rename = "versionId", deserialize_with = "crate::suites::whole")]
    #[cfg_attr(feature = "openapi", schema(format = Int64, minimum = 1, maximum = 4294967295u64, example = 2))]
    pub version: u32,
}

/// A policy in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PolicySummary {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::PolicyName))]
    #[serde(rename = "policyName")]
    pub name: PolicyName,
    /// The version that is in force.
    #[cfg_attr(feature = "openapi", schema(format = Int64, minimum = 1, maximum = 4294967295u64, example = 1))]
    #[serde(rename = "defaultVersionId")]
    pub default_version: u32,
    /// When it was made.
    #[serde(rename = "creationDate")]
    pub created_at: Timestamp,
}

/// Policies, page by page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PolicyPage {
    /// By name.
    pub policies: Vec<PolicySummary>,
    /// The `after` of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<String>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PolicyInfo {
    /// What its list shows of it.
    #[serde(flatten)]
    pub policy: PolicySummary,
    /// The document that is in force.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::PolicyDocument))]
    #[serde(rename = "policyDocument")]
    pub document: String,
    /// All its versions, the oldest first.
    pub versions: Vec<PolicyVersionSummary>,
}

/// A version of a policy, in the list of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PolicyVersionSummary {
    /// Its number. None is given twice.
    #[cfg_attr(feature = "openapi", schema(format = Int64, minimum = 1, maximum = 4294967295u64, example = 1))]
    #[serde(rename = "versionId")]
    pub version: u32,
    /// Whether it is in force.
    #[serde(rename = "isDefaultVersion")]
    pub is_default: bool,
    /// When it was made.
    #[serde(rename = "creationDate")]
    pub created_at: Timestamp,
}

/// A version of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PolicyVersion {
    /// The policy.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::PolicyName))]
    #[serde(rename = "policyName")]
    pub name: PolicyName,
    /// Its number, and when it was made.
    #[serde(flatten)]
    pub version: PolicyVersionSummary,
    /// The document.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::PolicyDocument))]
    #[serde(rename = "policyDocument")]
    pub document: String,
}

/// What a policy is attached to, page by page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PolicyTargetPage {
    /// Certificates by id, then groups, roles and users by name.
    pub targets: Vec<PolicyTarget>,
    /// The `after` of the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<String>,
}

/// Asks whether a client may do something, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthorizationTest {
    /// The certificate that it connects with; absent: the one that is attached to the thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::Sha256>))]
    #[serde(rename = "certificateId")]
    pub certificate: Option<CertificateId>,
    /// The person who asks, in place of a device: no certificate and no thing is named then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::UserName>))]
    #[serde(rename = "userName")]
    pub user: Option<UserName>,
    /// The thing that it connects as; absent: the client id says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::ThingName>))]
    #[serde(rename = "thingName")]
    pub thing: Option<ThingName>,
    /// Its client id; absent: the thing's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 128, example = "lamp-1"))]
    pub client_id: Option<String>,
    /// Where it connects from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(example = "192.0.2.7"))]
    pub source_ip: Option<String>,
    /// What it wants to do.
    #[cfg_attr(feature = "openapi", schema(max_length = 64, example = "iot:Publish"))]
    pub action: String,
    /// With what: a client id, a topic, a topic filter, or a thing's name.
    #[cfg_attr(feature = "openapi", schema(max_length = 1024, example = "sensor/device/lamp-1"))]
    pub resource: String,
    /// Whether it asks for a session that lasts, when it connects.
    #[serde(default)]
    pub persistent: bool,
    /// The topic of its will, when it connects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 1024))]
    pub will_topic: Option<String>,
}

/// A policy that counts for a client, and why it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct EffectivePolicy {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = crate::openapi::PolicyName))]
    #[serde(rename = "policyName")]
    pub name: PolicyName,
    /// The version that is in force.
    #[cfg_attr(feature = "openapi", schema(format = Int64, minimum = 1, maximum = 4294967295u64, example = 1))]
    #[serde(rename = "versionId")]
    pub version: u32,
    /// What it is attached to.
    pub target: PolicyTarget,
}

/// Whether a client may do something, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationAnswer {
    /// The decision.
    #[serde(rename = "authDecision")]
    pub decision: Verdict,
    /// The decision in words, with the statement that decided.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "allowed by statement 2 (\"Publish\") of the policy standard, version 1")
    )]
    pub reason: String,
    /// The certificate that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::Sha256>, nullable = false))]
    #[serde(rename = "certificateId")]
    pub certificate: Option<CertificateId>,
    /// The client id that was taken.
    pub client_id: String,
    /// The thing that such a client connects as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::openapi::ThingName>, nullable = false))]
    #[serde(rename = "thingName")]
    pub thing: Option<ThingName>,
    /// Of a person: the things that they see among those that the resource names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<crate::openapi::ThingName>))]
    pub things: Vec<ThingName>,
    /// The policies that count for it.
    pub policies: Vec<EffectivePolicy>,
    /// What each of their statements about the action has to do with it.
    pub findings: Vec<Finding>,
}
