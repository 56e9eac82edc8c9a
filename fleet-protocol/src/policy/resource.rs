//! What an entry of a policy's `Resource` means.

use super::pattern::{Filling, Match, Pattern, PatternError, Syntax};
use super::variable::Variable;
use std::fmt;

/// The types of AWS IoT's resources. A misspelt one would be a licence, or worse a prohibition, that does not hold.
const TYPES: [&str; 30] = [
    "authorizer",
    "billinggroup",
    "cacert",
    "cert",
    "client",
    "command",
    "custommetric",
    "destination",
    "dimension",
    "domainconfiguration",
    "fleetmetric",
    "index",
    "job",
    "jobtemplate",
    "mitigationaction",
    "otaupdate",
    "package",
    "policy",
    "provisioningtemplate",
    "role-alias",
    "rolealias",
    "rule",
    "securityprofile",
    "stream",
    "thing",
    "thinggroup",
    "thingtype",
    "topic",
    "topicfilter",
    "tunnel",
];

/// An entry that names no resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ResourceError {
    #[error(
        "{0:?} is no resource; write `*` or an ARN such as arn:aws:iot:*:*:topic/lamps/*, where region and account may \
         be anything"
    )]
    NoArn(String),
    #[error(
        "{0:?} names the type of resource {1:?}, which AWS IoT does not have; those that matter here are client, topic, \
         topicfilter and thing"
    )]
    Type(String, String),
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

/// A set of resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource {
    Everything,
    /// Of another service of AWS.
    Elsewhere,
    /// Compared with a type and a name, such as `topic/lamps/1`.
    Ours(Pattern),
}

impl Resource {
    pub(super) fn parse(text: &str, variables: bool) -> Result<Self, ResourceError> {
        let syntax = Syntax { wildcards: true, variables };
        if text == "*" {
            return Ok(Self::Everything);
        }
        let no_arn = || ResourceError::NoArn(text.chars().take(200).collect());
        // Variables are looked at in the whole: also where nothing depends on them a misspelt one is a mistake.
        Pattern::parse(text, syntax)?;
        let [arn, _partition, service, _region, _account, resource] = segments(text).ok_or_else(no_arn)?;
        if arn != "arn" || service.is_empty() || resource.is_empty() {
            return Err(no_arn());
        }
        if !Pattern::of_wildcards(service).is_match("iot") {
            return Ok(Self::Elsewhere);
        }
        let pattern = Pattern::parse(resource, syntax)?;
        let start = pattern.start();
        let kind = start.split_once('/').map_or(start, |(kind, _)| kind);
        let is_whole = start.contains('/') || start == resource;
        match is_whole && !TYPES.contains(&kind) {
            true => Err(ResourceError::Type(text.chars().take(200).collect(), kind.to_owned())),
            false => Ok(Self::Ours(pattern)),
        }
    }

    /// Compares it with a type and a name.
    pub(super) fn compare<'r>(&'r self, resource: &str, filling: &Filling<'_>) -> Match<'r> {
        match self {
            Self::Everything => Match::Yes,
            Self::Elsewhere => Match::No,
            Self::Ours(pattern) => pattern.compare(resource, filling),
        }
    }

    /// Whether it has a variable of which this holds.
    pub(super) fn any_variable(&self, holds: impl Fn(&Variable) -> bool) -> bool {
        matches!(self, Self::Ours(pattern) if pattern.any_variable(holds))
    }

    /// Whether the client has no value for one of its variables.
    pub(super) fn lacks(&self, filling: &Filling<'_>) -> bool {
        matches!(self, Self::Ours(pattern) if pattern.lacks(filling))
    }
}

/// As it stands behind the account in an ARN.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("*"),
            Self::Elsewhere => f.write_str("a resource of another service"),
            Self::Ours(pattern) => pattern.fmt(f),
        }
    }
}

/// The six parts of an ARN. Colons within a variable part nothing; a `*` at the end stands for all parts that follow.
fn segments(text: &str) -> Option<[&str; 6]> {
    let mut found = ["*"; 6];
    let (mut count, mut from, mut in_variable) = (0, 0, false);
    for (at, c) in text.char_indices() {
        match c {
            '$' if text[at..].starts_with("${") => in_variable = true,
            '}' => in_variable = false,
            ':' if !in_variable && count < 5 => {
                found[count] = &text[from..at];
                (count, from) = (count + 1, at + 1);
            }
            _ => {}
        }
    }
    found[count] = &text[from..];
    (count == 5 || (count > 0 && found[count] == "*")).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_of_any_region_and_account_names_a_resource_of_this_server() {
        let matches = |arn: &str, resource: &str| match Resource::parse(arn, true).unwrap() {
            Resource::Everything => true,
            Resource::Elsewhere => false,
            Resource::Ours(pattern) => pattern.is_match(resource),
        };
        for arn in [
            "*",
            "arn:aws:iot:us-east-1:123456789012:topic/a/b",
            "arn:aws-cn:iot:--REGION--:--ID--:topic/a/*",
            "arn:aws:iot:us-west-2:<<ID>>:topic/?/b",
            "arn:aws:iot:::topic/*",
            "arn:aws:iot:*:*:*",
            "arn:aws:iot:*",
            "arn:*",
            "arn:aws:*:*:*:topic/a/b",
        ] {
            assert!(matches(arn, "topic/a/b"), "{arn}");
        }
        for arn in [
            "arn:aws:iot:us-east-1:123456789012:topicfilter/a/b",
            "arn:aws:iot:us-east-1:123456789012:topic/a/b/c",
            "arn:aws:iot:us-east-1:123456789012:topic/A/b",
            "arn:aws:greengrass:us-east-1:123456789012:topic/a/b",
        ] {
            assert!(!matches(arn, "topic/a/b"), "{arn}");
        }
        assert!(matches("arn:aws:iot:::topic/a:b:c", "topic/a:b:c"));
    }

    #[test]
    fn what_names_no_resource_is_refused() {
        for bad in [
            "",
            "topic/a",
            "arn:aws:iot:us-east-1:topic/a",
            "arn:aws:iot:us-east-1:123456789012:",
            "arn:aws::us-east-1:123456789012:topic/a",
            "urn:aws:iot:us-east-1:123456789012:topic/a",
            "arn:aws:iot:us-east-1:123456789012:topics/a",
            "arn:aws:iot:us-east-1:123456789012:lamps",
            "arn:aws:iot:${AWS::Region}:1:topic/a",
            "arn:aws:iot:r:a:topic/${iot:Thing.ThingName}",
        ] {
            assert!(Resource::parse(bad, true).is_err(), "{bad}");
        }
    }
}
