//! What a client's policies allow, said in advance and in MQTT filters: for a broker that knows filters and no policies.
//! What filters cannot say exactly is left out and told. Nothing is ever widened: whatever is granted here, a decision
//! allows.

use super::action::Action;
use super::context::Client;
use super::decision::{NamedPolicy, Request};
use super::document::Statement;
use super::effect::Effect;
use super::pattern::{Element, Filling};
use super::resource::Resource;
use super::topic_set::TopicSet;
use crate::names::PolicyName;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// What a client may do with topics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Where it may publish.
    pub write: BTreeSet<TopicSet>,
    /// What it may subscribe to and be sent.
    pub read: BTreeSet<TopicSet>,
    /// What it may do neither with, though it is in one of the others.
    pub deny: BTreeSet<TopicSet>,
    /// What its policies say that is not in here.
    pub gaps: BTreeSet<Gap>,
}

/// Something that a policy says and filters cannot: the client may do less than its policy allows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// The policy.
    pub policy: PolicyName,
    /// Its version.
    pub version: u32,
    /// Which of its statements, counted from 1.
    pub statement: usize,
    /// What is missing, and why.
    pub reason: String,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy {}, version {}, statement {}: {}", self.policy, self.version, self.statement, self.reason)
    }
}

/// Whether something is allowed whatever is not known of the client: an address that is not given, and how it connects.
pub fn is_surely_allowed<'p>(policies: impl IntoIterator<Item = &'p Arc<NamedPolicy>>, request: &Request<'_>) -> bool {
    let Request { action, resource, client } = *request;
    let resource = format!("{}/{resource}", action.resource_type());
    let mut allowed = false;
    for statement in policies.into_iter().flat_map(|policy| policy.document.statements()) {
        match statement.effect {
            Effect::Deny if statement.may_apply(client, action, &resource) => return false,
            Effect::Deny => {}
            Effect::Allow => allowed |= statement.surely_applies(client, action, &resource),
        }
    }
    allowed
}

/// All that a client may do with topics, if it may connect. `requests` are the topics below `$` that it may publish to at
/// all: those on which the service is asked something. All others are the service's own to speak on.
pub fn grants(policies: &[Arc<NamedPolicy>], client: &Client<'_>, requests: &[TopicSet]) -> Grants {
    let reading = Reading { policies, client };
    let mut granted = Grants::default();
    if !reading.allows(Action::Connect, client.client_id) {
        reading.note(
            &mut granted.gaps,
            Action::Connect,
            "it may connect only under a condition that is not known before",
        );
        return granted;
    }
    let publish = reading.topics(Action::Publish, &mut granted.gaps);
    for set in &publish.allowed {
        if !set.is_reserved() {
            granted.write.insert(set.clone());
        }
        granted.write.extend(requests.iter().filter_map(|request| set.and(request)));
    }
    let receive = reading.topics(Action::Receive, &mut granted.gaps);
    for (filter, set) in reading.filters(&mut granted.gaps) {
        for common in receive.allowed.iter().filter_map(|receive| receive.and(&set)) {
            // No filter that begins with a wildcard brings topics that begin with `$`, and of those only the service's
            // are anybody's to read.
            let is_named = !common.is_reserved() || filter.starts_with(RESERVED);
            if is_named {
                granted.read.insert(common);
            }
        }
    }
    for (rules, denied) in [(&mut granted.write, &publish.denied), (&mut granted.read, &receive.denied)] {
        rules.retain(|rule| {
            let parts: Vec<TopicSet> = denied.iter().filter_map(|denied| rule.and(denied)).collect();
            let is_whole = parts.iter().any(|part| part == rule);
            if !is_whole {
                granted.deny.extend(parts);
            }
            !is_whole && !rule.is_impossible()
        });
    }
    granted.deny.retain(|set| !set.is_impossible());
    granted
}

/// What topics of the service begin with.
const RESERVED: &str = "$aws/";

struct Reading<'a> {
    policies: &'a [Arc<NamedPolicy>],
    client: &'a Client<'a>,
}

#[derive(Default)]
struct Topics {
    /// No more than is allowed.
    allowed: Vec<TopicSet>,
    /// No less than is denied.
    denied: Vec<TopicSet>,
}

/// How a pattern and a filter compare.
enum Narrowed {
    Exactly(TopicSet),
    /// A `*` in the middle, which here is one level and not any.
    OneLevel(TopicSet),
    Nothing,
    Inexpressible,
}

impl<'a> Reading<'a> {
    fn statements(&self, action: Action) -> impl Iterator<Item = (&'a NamedPolicy, usize, &'a Statement)> {
        let all = self.policies.iter().flat_map(|policy| {
            let statements = policy.document.statements().iter().enumerate();
            statements.map(|(at, statement)| (&**policy, at + 1, statement))
        });
        all.filter(move |(_, _, statement)| statement.is_about(action))
    }

    fn allows(&self, action: Action, resource: &str) -> bool {
        is_surely_allowed(self.policies, &Request { action, resource, client: self.client })
    }

    /// Notes every statement about an action whose conditions cannot be decided.
    fn note(&self, gaps: &mut BTreeSet<Gap>, action: Action, reason: &str) {
        for (policy, at, statement) in self.statements(action) {
            if statement.conditions_hold(self.client, action).is_none() {
                gaps.insert(gap(policy, at, reason.to_owned()));
            }
        }
    }

    fn filling(&self, action: Action) -> Filling<'a> {
        Filling { client: self.client, action, in_topic: true, exact: true }
    }

    fn topics(&self, action: Action, gaps: &mut BTreeSet<Gap>) -> Topics {
        let mut topics = Topics::default();
        let mut kept: Vec<Vec<TopicSet>> = Vec::new();
        for (policy, at, statement) in self.statements(action) {
            let mut note = |reason: &str| {
                gaps.insert(gap(policy, at, format!("{action}: {reason}")));
            };
            let holds = statement.conditions_hold(self.client, action);
            match (statement.effect, holds) {
                (_, Some(false)) => continue,
                (Effect::Allow, None) => {
                    note("what it allows under a condition that is not known before is left out");
                    continue;
                }
                (Effect::Deny, None) => {
                    note("what it denies under a condition that is not known before is always denied");
                }
                (_, Some(true)) => {}
            }
            match (statement.effect, statement.is_inverted()) {
                (Effect::Allow, true) => note("what it allows by NotResource is left out"),
                (Effect::Allow, false) => topics.allowed.extend(self.narrow(statement, action, &mut note)),
                (Effect::Deny, true) => kept.push(self.narrow(statement, action, &mut note)),
                (Effect::Deny, false) => topics.denied.extend(self.widen(statement, action, &mut note)),
            }
        }
        for kept in kept {
            let left = topics.allowed.iter().flat_map(|set| kept.iter().filter_map(|kept| set.and(kept)));
            topics.allowed = left.collect();
        }
        topics
    }

    /// No more topics than a statement's resources name.
    fn narrow(&self, statement: &Statement, action: Action, note: &mut dyn FnMut(&str)) -> Vec<TopicSet> {
        let mut sets = Vec::new();
        for resource in statement.resources() {
            match self.narrowed(resource, action) {
                Narrowed::Exactly(set) => sets.push(set),
                Narrowed::OneLevel(set) => {
                    note(&format!("of the levels that a `*` may be, only one is in {set}"));
                    sets.push(set);
                }
                Narrowed::Nothing => {}
                Narrowed::Inexpressible => {
                    note(&format!("no filter of MQTT names what {resource} does; it is left out"));
                }
            }
        }
        sets
    }

    fn narrowed(&self, resource: &Resource, action: Action) -> Narrowed {
        let filling = self.filling(action);
        let pattern = match resource {
            Resource::Everything => return Narrowed::Exactly(TopicSet::everything()),
            Resource::Elsewhere => return Narrowed::Nothing,
            Resource::Ours(pattern) => pattern,
        };
        if pattern.any_variable(|variable| !self.client.knows(variable, action)) {
            return Narrowed::Inexpressible;
        }
        if !pattern.is_filled(&filling) {
            return Narrowed::Nothing;
        }
        match behind_type(&pattern.elements(&filling), action) {
            Behind::Everything => Narrowed::Exactly(TopicSet::everything()),
            Behind::Nothing => Narrowed::Nothing,
            Behind::Something => Narrowed::Inexpressible,
            Behind::Rest(rest) => narrowed(&rest),
        }
    }

    /// No fewer topics than a statement's resources name.
    fn widen(&self, statement: &Statement, action: Action, note: &mut dyn FnMut(&str)) -> Vec<TopicSet> {
        let filling = self.filling(action);
        let mut sets = Vec::new();
        for resource in statement.resources() {
            let pattern = match resource {
                Resource::Everything => {
                    sets.push(TopicSet::everything());
                    continue;
                }
                Resource::Elsewhere => continue,
                Resource::Ours(pattern) => pattern,
            };
            let lacks = |variable: &_| filling.client.value(variable, action).is_none();
            if pattern.any_variable(|variable| lacks(variable) && self.client.knows(variable, action)) {
                continue;
            }
            let (set, is_exact) = match behind_type(&pattern.elements(&filling), action) {
                Behind::Everything => (TopicSet::everything(), true),
                Behind::Nothing => continue,
                Behind::Something => (TopicSet::everything(), false),
                Behind::Rest(rest) => widened(&rest),
            };
            if !is_exact {
                note(&format!("no filter of MQTT names what {resource} does; all of {set} is denied"));
            }
            sets.push(set);
        }
        sets
    }

    /// Filters that it may surely subscribe to, and what they name.
    fn filters(&self, gaps: &mut BTreeSet<Gap>) -> Vec<(String, TopicSet)> {
        let action = Action::Subscribe;
        let mut found = Vec::new();
        for (policy, at, statement) in self.statements(action).filter(|(_, _, it)| it.effect == Effect::Allow) {
            let mut note = |reason: &str| {
                gaps.insert(gap(policy, at, format!("{action}: {reason}")));
            };
            match statement.conditions_hold(self.client, action) {
                Some(false) => continue,
                None => {
                    note("what it allows under a condition that is not known before is left out");
                    continue;
                }
                Some(true) if statement.is_inverted() => {
                    note("what it allows by NotResource is left out");
                    continue;
                }
                Some(true) => {}
            }
            for set in self.narrow(statement, action, &mut note) {
                // Of `a/*` the filter `a/#` names most; of `*` it is two.
                let reserved = set.begins_anyhow().then(|| format!("{RESERVED}#"));
                for filter in std::iter::once(set.and_its_parent().to_string()).chain(reserved) {
                    // It may hold a wildcard by the letter, where none is one.
                    let Some(set) = TopicSet::of_filter(&filter) else { continue };
                    if self.allows(action, &filter) {
                        found.push((filter, set));
                    } else if !filter.starts_with(RESERVED) {
                        note(&format!("another statement denies the filter {filter}; nothing of it is read"));
                    }
                }
            }
        }
        found
    }
}

fn gap(policy: &NamedPolicy, statement: usize, reason: String) -> Gap {
    Gap { policy: policy.name.clone(), version: policy.version, statement, reason }
}

/// What stands behind the type of a resource.
enum Behind {
    Rest(Vec<Element>),
    /// Whatever it is.
    Everything,
    /// It is of another type.
    Nothing,
    /// Something that does not begin where the type ends.
    Something,
}

fn behind_type(elements: &[Element], action: Action) -> Behind {
    let mut rest = elements;
    for wanted in action.resource_type().chars().chain(['/']) {
        match rest {
            [Element::Character(found), left @ ..] if *found == wanted => rest = left,
            [] | [Element::Character(_), ..] => return Behind::Nothing,
            _ if rest.iter().all(|element| *element == Element::AnyText) => return Behind::Everything,
            _ => return Behind::Something,
        }
    }
    Behind::Rest(rest.to_vec())
}

/// The level's text; none if it is not one.
fn text_of(level: &[Element]) -> Option<String> {
    let character = |element: &Element| match element {
        Element::Character(c) => Some(*c),
        _ => None,
    };
    level.iter().map(character).collect()
}

fn is_any_text(level: &[Element]) -> bool {
    !level.is_empty() && level.iter().all(|element| *element == Element::AnyText)
}

fn levels(elements: &[Element]) -> Vec<&[Element]> {
    elements.split(|element| *element == Element::Character('/')).collect()
}

fn narrowed(elements: &[Element]) -> Narrowed {
    let levels = levels(elements);
    let (mut found, mut is_exact, mut and_below) = (Vec::new(), true, false);
    for (at, level) in levels.iter().enumerate() {
        match text_of(level) {
            Some(text) => found.push(Some(text)),
            None if is_any_text(level) && at + 1 == levels.len() => and_below = true,
            None if is_any_text(level) => {
                is_exact = false;
                found.push(None);
            }
            None => return Narrowed::Inexpressible,
        }
    }
    let set = TopicSet::of_levels(found, and_below);
    if is_exact { Narrowed::Exactly(set) } else { Narrowed::OneLevel(set) }
}

/// A set that has all that match, and whether it has no more.
fn widened(elements: &[Element]) -> (TopicSet, bool) {
    let levels = levels(elements);
    let known: Vec<Option<String>> = levels.iter().map_while(|level| text_of(level).map(Some)).collect();
    let is_exact = match levels.get(known.len()) {
        None => return (TopicSet::of_levels(known, false), true),
        Some(level) => is_any_text(level) && known.len() + 1 == levels.len(),
    };
    (TopicSet::of_levels(known, true), is_exact)
}
