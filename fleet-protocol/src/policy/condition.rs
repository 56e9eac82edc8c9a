//! What an entry of a statement's `Condition` asks of the client.

use super::action::Action;
use super::context::Client;
use super::effect::Effect;
use super::pattern::{Filling, Match, Pattern, PatternError, Syntax};
use super::resource::{Resource, ResourceError};
use super::variable::Variable;
use core::net::IpAddr;
use ipnet::IpNet;
use std::borrow::Cow;
use std::fmt;

/// A condition that cannot be decided here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConditionError {
    #[error(
        "the condition operator {0:?} is not known here; there are StringEquals, StringNotEquals, \
         StringEqualsIgnoreCase, StringNotEqualsIgnoreCase, StringLike, StringNotLike, ArnEquals, ArnNotEquals, ArnLike, \
         ArnNotLike, Bool, IpAddress, NotIpAddress and Null, with ForAllValues:, ForAnyValue: and IfExists"
    )]
    Operator(String),
    #[error("the condition operator {0:?} has no key to look at")]
    NoKey(String),
    #[error("the condition key {0:?} is not known here; docs/policies.md names those that are")]
    Key(String),
    #[error("{1:?} may have several values; write \"ForAllValues:{0}\" or \"ForAnyValue:{0}\"")]
    Quantifier(String, String),
    #[error("{0:?} does not go with the key {1:?}; use {2}")]
    Mismatch(String, String, &'static str),
    #[error("{1:?} is no value for {0:?}; write {2}")]
    Value(String, String, &'static str),
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(transparent)]
    Resource(#[from] ResourceError),
}

/// How many of the key's values must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    /// The key has one value.
    Only,
    All,
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Text { patterns: Vec<Pattern>, exact: bool },
    Arn(Vec<Resource>),
    Truth(Vec<bool>),
    Address(Vec<IpNet>),
    Absent(Vec<bool>),
}

/// One key under one operator, with the values that it is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    operator: String,
    key: Variable,
    quantifier: Quantifier,
    negated: bool,
    if_exists: bool,
    test: Test,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.operator, self.key)
    }
}

impl Condition {
    pub(super) fn parse(
        operator: &str,
        key_name: &str,
        values: &[String],
        variables: bool,
    ) -> Result<Self, ConditionError> {
        use ConditionError as E;
        let unknown = || E::Operator(operator.to_owned());
        let (quantifier, plain) = match operator.split_once(':') {
            Some(("ForAllValues", plain)) => (Quantifier::All, plain),
            Some(("ForAnyValue", plain)) => (Quantifier::Any, plain),
            Some(_) => return Err(unknown()),
            None => (Quantifier::Only, operator),
        };
        let (base, if_exists) = plain.strip_suffix("IfExists").map_or((plain, false), |base| (base, true));
        let key = Variable::named(key_name).ok_or_else(|| E::Key(key_name.to_owned()))?;
        let negated = base.contains("Not");
        let is_null = base == "Null";
        if key.has_many() && quantifier == Quantifier::Only && !is_null {
            return Err(E::Quantifier(operator.to_owned(), key_name.to_owned()));
        }
        let text = |wildcards, exact: bool| -> Result<Test, ConditionError> {
            if key == Variable::LastWillTopic {
                return Err(E::Mismatch(operator.to_owned(), key_name.to_owned(), "ArnEquals or ArnLike"));
            }
            let patterns = values.iter().map(|value| {
                let pattern = Pattern::parse(value, Syntax { wildcards, variables })?;
                Ok::<_, PatternError>(if exact { pattern } else { pattern.folded() })
            });
            Ok(Test::Text { patterns: patterns.collect::<Result<_, _>>()?, exact })
        };
        let wrong = |value: &String, advice| E::Value(operator.to_owned(), value.clone(), advice);
        let truths = || -> Result<Vec<bool>, ConditionError> {
            let read = |value: &String| value.to_ascii_lowercase().parse().map_err(|_| wrong(value, "true or false"));
            values.iter().map(read).collect()
        };
        let test = match base {
            "StringEquals" | "StringNotEquals" => text(false, true)?,
            "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" => text(false, false)?,
            "StringLike" | "StringNotLike" => text(true, true)?,
            "ArnEquals" | "ArnNotEquals" | "ArnLike" | "ArnNotLike" => {
                if key != Variable::LastWillTopic {
                    return Err(E::Mismatch(operator.to_owned(), key_name.to_owned(), "StringEquals or StringLike"));
                }
                Test::Arn(values.iter().map(|value| Resource::parse(value, variables)).collect::<Result<_, _>>()?)
            }
            "Bool" => Test::Truth(truths()?),
            "IpAddress" | "NotIpAddress" => {
                if key != Variable::SourceIp {
                    return Err(E::Mismatch(operator.to_owned(), key_name.to_owned(), "aws:SourceIp"));
                }
                let read = |value: &String| {
                    let address = || value.parse::<IpAddr>().map(IpNet::from);
                    let network = value.parse::<IpNet>().or_else(|_| address());
                    network.map_err(|_| wrong(value, "an address or a network such as 192.0.2.0/24"))
                };
                Test::Address(values.iter().map(read).collect::<Result<_, _>>()?)
            }
            "Null" if !if_exists && quantifier == Quantifier::Only => Test::Absent(truths()?),
            _ => return Err(unknown()),
        };
        Ok(Self { operator: operator.to_owned(), key, quantifier, negated, if_exists, test })
    }

    /// Whether it holds. IAM's rules: where the key has no value, a comparison fails, a negated one and one with
    /// `ForAllValues:` or `IfExists` hold.
    pub(super) fn holds(&self, client: &Client<'_>, action: Action, effect: Effect) -> bool {
        let found = client.values(&self.key, action);
        if let Test::Absent(wanted) = &self.test {
            return wanted.contains(&found.is_empty());
        }
        let filling = Filling { client, action, in_topic: false, exact: true };
        // A licence that rests on what the client does not have is none.
        if effect == Effect::Allow && self.lacks(&filling) {
            return false;
        }
        let passes = |value: &Cow<'_, str>| self.is_equal(value, &filling) != self.negated;
        match self.quantifier {
            Quantifier::All => found.iter().all(passes),
            _ if found.is_empty() => self.if_exists || (self.negated && self.quantifier == Quantifier::Only),
            _ => found.iter().any(passes),
        }
    }

    /// Whether it can be decided by what is known of the client.
    pub(super) fn is_known(&self, client: &Client<'_>, action: Action) -> bool {
        let unknown = |variable: &Variable| !client.knows(variable, action);
        let asks_of_unknown = match &self.test {
            Test::Text { patterns, .. } => patterns.iter().any(|pattern| pattern.any_variable(unknown)),
            Test::Arn(resources) => resources.iter().any(|resource| resource.any_variable(unknown)),
            Test::Truth(_) | Test::Address(_) | Test::Absent(_) => false,
        };
        !unknown(&self.key) && !asks_of_unknown
    }

    /// Whether a variable among the values has no value itself.
    fn lacks(&self, filling: &Filling<'_>) -> bool {
        match &self.test {
            Test::Text { patterns, .. } => patterns.iter().any(|pattern| pattern.lacks(filling)),
            Test::Arn(resources) => resources.iter().any(|resource| resource.lacks(filling)),
            _ => false,
        }
    }

    /// Whether it is one of the values.
    fn is_equal(&self, found: &str, filling: &Filling<'_>) -> bool {
        match &self.test {
            Test::Text { patterns, exact } => {
                let filling = Filling { exact: *exact, ..*filling };
                patterns.iter().any(|pattern| pattern.compare(found, &filling) == Match::Yes)
            }
            Test::Arn(resources) => resources.iter().any(|resource| resource.compare(found, filling) == Match::Yes),
            Test::Truth(wanted) => found.to_ascii_lowercase().parse().is_ok_and(|truth| wanted.contains(&truth)),
            Test::Address(networks) => {
                let is_in = |address: IpAddr| networks.iter().any(|network| network.contains(&address));
                found.parse().is_ok_and(is_in)
            }
            Test::Absent(_) => false,
        }
    }
}
