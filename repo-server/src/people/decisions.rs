//! What a person may do, with what it rests on kept in memory.

use super::People;
use super::error::PeopleError;
use super::seen_things::{NAMES, PlacedThing, placed};
use super::users::find_info;
use crate::policies::Counting;
use fleet_protocol::access::Role;
use fleet_protocol::names::{GroupName, ThingName, UserName};
use fleet_protocol::policies::EffectivePolicy;
use fleet_protocol::policy::{
    Action, Client, Decision, Finding, NamedPolicy, Request, ThingFacts, decide_for_person, explain, things_named_in,
};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

/// People who are remembered.
const REMEMBERED: usize = 4096;
/// Names of things of which is remembered in which groups they are. Each takes a few hundred bytes.
const REMEMBERED_THINGS: usize = 65_536;

/// A person's client that asks, as its connection proved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PersonSubject {
    pub(crate) user: UserName,
    pub(crate) client_id: String,
    pub(crate) address: IpAddr,
}

/// A decision with all that led to it.
#[derive(Debug)]
pub(crate) struct TestedPerson {
    pub(crate) decision: Decision,
    pub(crate) policies: Vec<EffectivePolicy>,
    /// The things that the resource names and the person sees.
    pub(crate) things: Vec<ThingName>,
    pub(crate) findings: Vec<Finding>,
}

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Known {
    people: RwLock<HashMap<UserName, Arc<KnownPerson>>>,
    things: RwLock<KnownThings>,
}

#[derive(Debug, Default)]
struct KnownThings {
    /// The generation of the registry in which they were read.
    registry: i64,
    /// None: there is no such thing.
    placed: HashMap<ThingName, Option<Arc<PlacedThing>>>,
}

/// When something was read: people, and the registry of things and groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    people: i64,
    registry: i64,
}

#[derive(Debug)]
struct KnownPerson {
    seen: Seen,
    /// None: there is no such user, or they may not sign in.
    role: Option<Role>,
    things: HashSet<ThingName>,
    groups: HashSet<GroupName>,
}

impl KnownPerson {
    fn sees(&self, thing: &PlacedThing) -> bool {
        self.things.contains(&thing.facts.name) || thing.groups.iter().any(|group| self.groups.contains(group))
    }
}

impl People {
    /// Whether a person may do something with a resource: a client id, a topic or a topic filter. What cannot be decided
    /// is not allowed.
    pub(crate) async fn decide(
        &self,
        subject: &PersonSubject,
        action: Action,
        resource: &str,
    ) -> Result<Decision, PeopleError> {
        let (counting, things) = self.grounds(subject, resource).await?;
        Ok(decision(subject, action, resource, &counting, &things))
    }

    /// The decision with all that led to it.
    pub(crate) async fn test(
        &self,
        subject: &PersonSubject,
        action: Action,
        resource: &str,
    ) -> Result<TestedPerson, PeopleError> {
        let (counting, things) = self.grounds(subject, resource).await?;
        let policies = || counting.iter().map(|counting| &counting.policy);
        // With several things in one topic, which is rare, the first one's reasons.
        let client = Client { thing: things.first().map(|thing| &**thing), ..client(subject) };
        Ok(TestedPerson {
            decision: decision(subject, action, resource, &counting, &things),
            policies: counting.iter().map(Counting::told).collect(),
            things: things.iter().map(|thing| thing.name.clone()).collect(),
            findings: explain(policies(), &Request { action, resource, client: &client }),
        })
    }

    /// The policies that count for a person, and those of the things in a resource that they see.
    async fn grounds(
        &self,
        subject: &PersonSubject,
        resource: &str,
    ) -> Result<(Arc<[Counting]>, Vec<Arc<ThingFacts>>), PeopleError> {
        let known = self.known(&subject.user).await?;
        let Some(role) = known.role else { return Ok((Arc::new([]), Vec::new())) };
        let counting = self.policies.of_person(&subject.user, role).await?;
        Ok((counting, self.seen_in(&known, resource).await?))
    }

    async fn known(&self, user: &UserName) -> Result<Arc<KnownPerson>, PeopleError> {
        // Taken before anything is read: what changes while it is read makes it out of date.
        let seen = Seen { people: self.generation.current(), registry: *self.registry.borrow() };
        let known = self.known.people.read().unwrap_or_else(PoisonError::into_inner).get(user).cloned();
        if let Some(known) = known.filter(|known| known.seen == seen) {
            return Ok(known);
        }
        let found = find_info(&mut *self.database.acquire().await?, user).await?.filter(|info| info.user.enabled);
        let role = found.as_ref().map(|info| info.user.role);
        let (things, groups) = found.map(|info| (info.things, info.thing_groups)).unwrap_or_default();
        let (things, groups) = (things.into_iter().collect(), groups.into_iter().collect());
        let read = Arc::new(KnownPerson { seen, role, things, groups });
        let mut known = self.known.people.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED && !known.contains_key(user) {
            known.clear();
        }
        known.insert(user.clone(), read.clone());
        Ok(read)
    }

    /// The things that a resource names and the person sees.
    async fn seen_in(&self, known: &KnownPerson, resource: &str) -> Result<Vec<Arc<ThingFacts>>, PeopleError> {
        let (mut found, mut asked) = (Vec::new(), Vec::new());
        {
            let things = self.known.things.read().unwrap_or_else(PoisonError::into_inner);
            // The broker takes no topic with more levels.
            for name in things_named_in(resource).take(NAMES) {
                match things.placed.get(&name).filter(|_| things.registry == known.seen.registry) {
                    Some(thing) => found.extend(thing.clone()),
                    None => asked.push(name),
                }
            }
        }
        if !asked.is_empty() {
            found.extend(self.read_things(asked, known.seen.registry).await?);
        }
        Ok(found.iter().filter(|thing| known.sees(thing)).map(|thing| thing.facts.clone()).collect())
    }

    async fn read_things(&self, names: Vec<ThingName>, registry: i64) -> Result<Vec<Arc<PlacedThing>>, PeopleError> {
        let read: Vec<Arc<PlacedThing>> = placed(&self.database, &names).await?.into_iter().map(Arc::new).collect();
        let mut known = self.known.things.write().unwrap_or_else(PoisonError::into_inner);
        if known.registry < registry || known.placed.len() >= REMEMBERED_THINGS {
            known.placed.clear();
            known.registry = registry.max(known.registry);
        }
        // What was read in an older generation than what is kept may be out of date.
        if known.registry == registry {
            for name in names {
                let thing = read.iter().find(|thing| thing.facts.name == name).cloned();
                known.placed.insert(name, thing);
            }
        }
        Ok(read)
    }
}

fn client(subject: &PersonSubject) -> Client<'_> {
    Client {
        client_id: &subject.client_id,
        source_ip: Some(subject.address),
        thing: None,
        certificate_id: None,
        certificate: None,
        // Their sessions end with their connections, and they leave no wills.
        persistent: false,
        will_topic: None,
    }
}

fn decision(
    subject: &PersonSubject,
    action: Action,
    resource: &str,
    counting: &[Counting],
    things: &[Arc<ThingFacts>],
) -> Decision {
    let policies: Vec<Arc<NamedPolicy>> = counting.iter().map(|counting| counting.policy.clone()).collect();
    decide_for_person(&policies, &Request { action, resource, client: &client(subject) }, things)
}
