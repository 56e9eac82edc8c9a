//! A policy's document, checked.

use super::action::Action;
use super::action_set::ActionSet;
use super::condition::{Condition, ConditionError};
use super::context::Client;
use super::effect::Effect;
use super::pattern::{Filling, Match};
use super::raw::{Object, RawDocument, RawStatement, Texts};
use super::resource::{Resource, ResourceError};
use std::collections::BTreeSet;
use std::str::FromStr;

/// AWS's limit, in characters that are not white space.
pub const LONGEST_DOCUMENT: usize = 2048;

/// The longest text that is looked at, in bytes, with its white space.
pub const LONGEST_TEXT: usize = 32 << 10;

/// The version of the language that has variables.
const WITH_VARIABLES: &str = "2012-10-17";
/// The one before, which is meant where none is given.
const OLDER: &str = "2008-10-17";

/// A text that is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is too long.
    #[error(
        "the policy is longer than {LONGEST_DOCUMENT} characters (white space is not counted); make several of it, or use \
         variables and wildcards"
    )]
    TooLong,
    /// It is no JSON, or not of a policy's form.
    #[error("the policy is not of the form of one: {0}")]
    Form(String),
    /// Its version is unknown.
    #[error("the policy's Version is {0:?}; write \"2012-10-17\"")]
    Version(String),
    /// It has no statement.
    #[error("the policy has no statement; a policy that allows nothing is one that is not attached")]
    Empty,
    /// A statement is wrong.
    #[error("statement {number}{}: {reason}", sid.as_ref().map(|sid| format!(" ({sid:?})")).unwrap_or_default())]
    Statement {
        /// Counted from 1.
        number: usize,
        /// Its `Sid`.
        sid: Option<String>,
        /// What is wrong.
        reason: String,
    },
}

#[derive(Debug, thiserror::Error)]
enum StatementError {
    #[error("its Effect is {0:?}; write \"Allow\" or \"Deny\"")]
    Effect(String),
    #[error("it has neither {0} nor Not{0}; give one of them")]
    Neither(&'static str),
    #[error("it has both {0} and Not{0}; give one of them")]
    Both(&'static str),
    #[error("its {0} is an empty list; name at least one")]
    EmptyList(&'static str),
    #[error(
        "{0:?} is no action of AWS IoT policies; there are iot:Connect, iot:Publish, iot:Subscribe, iot:Receive and others"
    )]
    Action(String),
    #[error("its Sid is that of an earlier statement; each needs its own")]
    SidTwice,
    #[error(transparent)]
    Resource(#[from] ResourceError),
    #[error(transparent)]
    Condition(#[from] ConditionError),
}

/// A policy's document that was checked: everything in it can be decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    statements: Vec<Statement>,
}

/// A statement of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) sid: Option<String>,
    pub(super) effect: Effect,
    actions: ActionSet,
    resources: Vec<Resource>,
    /// Whether the resources are those that are not meant.
    inverted: bool,
    conditions: Vec<Condition>,
}

/// Why a statement does not apply to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss<'a> {
    Action,
    Resource,
    /// It is one of `NotResource`.
    Excluded,
    /// The client has no value for this variable.
    Missing(&'a super::variable::Variable),
    /// The client's value for this variable would mean something in a topic.
    Unsafe(&'a super::variable::Variable),
    Condition(&'a Condition),
}

impl Document {
    pub(super) fn statements(&self) -> &[Statement] {
        &self.statements
    }
}

impl FromStr for Document {
    type Err = DocumentError;

    fn from_str(text: &str) -> Result<Self, DocumentError> {
        if text.len() > LONGEST_TEXT || text.chars().filter(|c| !c.is_whitespace()).count() > LONGEST_DOCUMENT {
            return Err(DocumentError::TooLong);
        }
        let read = serde_json::from_str(text).map_err(|error| DocumentError::Form(error.to_string()));
        let Object::<RawDocument>(raw) = read?;
        let variables = match raw.version.as_deref() {
            Some(WITH_VARIABLES) => true,
            Some(OLDER) | None => false,
            Some(other) => return Err(DocumentError::Version(other.chars().take(80).collect())),
        };
        let mut sids = BTreeSet::new();
        let mut statements = Vec::new();
        for (at, statement) in raw.statement.0.into_iter().enumerate() {
            let sid = statement.sid.clone();
            let is_new = sid.as_ref().is_none_or(|sid| sids.insert(sid.clone()));
            let checked = Statement::check(statement, variables);
            let checked = if is_new { checked } else { Err(StatementError::SidTwice) };
            let wrong = |error: StatementError| {
                let (number, reason) = (at + 1, error.to_string());
                DocumentError::Statement { number, sid, reason }
            };
            statements.push(checked.map_err(wrong)?);
        }
        if statements.is_empty() {
            return Err(DocumentError::Empty);
        }
        Ok(Self { statements })
    }
}

/// The element or its opposite, and which of them it is.
fn either(name: &'static str, plain: Option<Texts>, not: Option<Texts>) -> Result<(Vec<String>, bool), StatementError> {
    let (texts, inverted) = match (plain, not) {
        (Some(texts), None) => (texts.0, false),
        (None, Some(texts)) => (texts.0, true),
        (None, None) => return Err(StatementError::Neither(name)),
        (Some(_), Some(_)) => return Err(StatementError::Both(name)),
    };
    if texts.is_empty() { Err(StatementError::EmptyList(name)) } else { Ok((texts, inverted)) }
}

impl Statement {
    fn check(raw: RawStatement, variables: bool) -> Result<Self, StatementError> {
        let effect = match raw.effect.as_str() {
            "Allow" => Effect::Allow,
            "Deny" => Effect::Deny,
            other => return Err(StatementError::Effect(other.to_owned())),
        };
        let (entries, all_but) = either("Action", raw.action, raw.not_action)?;
        let mut actions = ActionSet::default();
        for entry in entries {
            let named = ActionSet::named(&entry).ok_or(StatementError::Action(entry))?;
            actions = actions.union(named);
        }
        let (entries, inverted) = either("Resource", raw.resource, raw.not_resource)?;
        let resources = entries.iter().map(|entry| Resource::parse(entry, variables)).collect::<Result<_, _>>()?;
        let mut conditions = Vec::new();
        for (operator, keys) in raw.condition.into_iter().flat_map(|operators| operators.0) {
            if keys.0.is_empty() {
                return Err(ConditionError::NoKey(operator).into());
            }
            for (key, values) in keys.0 {
                conditions.push(Condition::parse(&operator, &key, &values.0, variables)?);
            }
        }
        let actions = if all_but { actions.complement() } else { actions };
        Ok(Self { sid: raw.sid, effect, actions, resources, inverted, conditions })
    }

    /// Whether it applies to an action on a resource, given with its type, such as `topic/lamps/1`.
    pub(super) fn applies(&self, client: &Client<'_>, action: Action, resource: &str) -> Result<(), Miss<'_>> {
        if !self.actions.contains(action) {
            return Err(Miss::Action);
        }
        // A client id names nothing but itself.
        let filling = Filling { client, action, in_topic: action != Action::Connect, exact: true };
        self.covers(resource, &filling)?;
        let fails = |condition: &&Condition| !condition.holds(client, action, self.effect);
        self.conditions.iter().find(fails).map_or(Ok(()), |condition| Err(Miss::Condition(condition)))
    }

    /// Whether it is about this action at all.
    pub(super) fn is_about(&self, action: Action) -> bool {
        self.actions.contains(action)
    }

    /// The resources that are meant, or those that are not ([`Statement::is_inverted`]).
    pub(super) fn resources(&self) -> &[Resource] {
        &self.resources
    }

    pub(super) fn is_inverted(&self) -> bool {
        self.inverted
    }

    /// Whether its conditions hold; none if that hangs on what is not known of the client.
    pub(super) fn conditions_hold(&self, client: &Client<'_>, action: Action) -> Option<bool> {
        let mut known = Some(true);
        for condition in &self.conditions {
            match condition.is_known(client, action).then(|| condition.holds(client, action, self.effect)) {
                Some(false) => return Some(false),
                Some(true) => {}
                None => known = None,
            }
        }
        known
    }

    /// Whether it applies whatever else comes to be known of the client.
    pub(super) fn surely_applies(&self, client: &Client<'_>, action: Action, resource: &str) -> bool {
        self.applies(client, action, resource).is_ok() && self.conditions_hold(client, action) == Some(true)
    }

    /// Whether something that is not known of the client could make it apply.
    pub(super) fn may_apply(&self, client: &Client<'_>, action: Action, resource: &str) -> bool {
        if !self.is_about(action) || self.conditions_hold(client, action) == Some(false) {
            return false;
        }
        let filling = Filling { client, action, in_topic: action != Action::Connect, exact: true };
        let could_be_named = |entry: &Resource| matches!(entry.compare(resource, &filling), Match::Missing(variable) if !client.knows(variable, action));
        self.covers(resource, &filling).is_ok() || (!self.inverted && self.resources.iter().any(could_be_named))
    }

    /// Whether it is about this resource. Where a variable has no value, or one that must not stand in a topic, a
    /// statement that allows does not apply, and one that denies is not weakened.
    fn covers(&self, resource: &str, filling: &Filling<'_>) -> Result<(), Miss<'_>> {
        let mut doubt = None;
        let mut is_named = false;
        for entry in &self.resources {
            match (entry.compare(resource, filling), self.effect) {
                (Match::Yes, _) => {
                    is_named = true;
                    break;
                }
                (Match::No, _) => {}
                // It would be named by the letter of its variable: that much may be denied.
                (Match::Unsafe(_), Effect::Deny) if !self.inverted => is_named = true,
                (Match::Unsafe(variable), _) => doubt = Some(Miss::Unsafe(variable)),
                (Match::Missing(variable), _) => doubt = Some(Miss::Missing(variable)),
            }
        }
        match (self.inverted, is_named, doubt) {
            (false, true, _) => Ok(()),
            (false, false, doubt) => Err(doubt.unwrap_or(Miss::Resource)),
            (true, true, _) => Err(Miss::Excluded),
            (true, false, Some(doubt)) if self.effect == Effect::Allow => Err(doubt),
            (true, false, _) => Ok(()),
        }
    }
}
