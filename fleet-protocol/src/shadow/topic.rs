//! The reserved topics of shadows: `$aws/things/THING/shadow/…` and `$aws/things/THING/shadow/name/NAME/…`.

use crate::names::{ShadowName, ThingName};
use std::fmt;
use std::str::FromStr;

/// Which shadow.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShadowId {
    /// Whose.
    pub thing: ThingName,
    /// Its name; the classic shadow has none.
    pub name: Option<ShadowName>,
}

impl ShadowId {
    /// Such as `lamp-1`, or `lamp-1/$package`; people read it.
    #[must_use]
    pub fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("{}/{name}", self.thing),
            None => self.thing.to_string(),
        }
    }

    /// `GET`, `POST` and `DELETE` the shadow. No character of the names has to be encoded in an address.
    #[must_use]
    pub fn path(&self) -> String {
        match &self.name {
            Some(name) => format!("/things/{}/shadow?name={name}", self.thing),
            None => format!("/things/{}/shadow", self.thing),
        }
    }

    /// One of its topics.
    #[must_use]
    pub fn topic(&self, kind: ShadowTopicKind) -> ShadowTopic {
        ShadowTopic { shadow: self.clone(), kind }
    }
}

/// `GET` a thing's [`NamedShadows`](super::NamedShadows), page by page: `nextToken` of the page before.
#[must_use]
pub fn named_shadows_path(thing: &ThingName, next_token: Option<&str>) -> String {
    let next = next_token.map(|token| format!("?nextToken={token}")).unwrap_or_default();
    format!("/api/things/shadow/ListNamedShadowsForThing/{thing}{next}")
}

/// What can be asked of a shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// What does it hold?
    Get,
    /// Change it.
    Update,
    /// Remove it.
    Delete,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out.
    Accepted,
    /// It was not.
    Rejected,
}

/// What a topic of a shadow is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShadowTopicKind {
    /// Requests, which clients publish.
    Request(Operation),
    /// The answers to requests.
    Answer(Operation, Outcome),
    /// What is desired and not reported.
    Delta,
    /// The shadow before and after an update.
    Documents,
}

/// A topic of a shadow.
///
/// ```
/// use fleet_protocol::shadow::{Operation, ShadowTopic, ShadowTopicKind};
///
/// let text = "$aws/things/lamp-1/shadow/name/$package/update";
/// let topic: ShadowTopic = text.parse().unwrap();
/// assert_eq!(topic.kind, ShadowTopicKind::Request(Operation::Update));
/// assert_eq!(topic.shadow.label(), "lamp-1/$package");
/// assert_eq!(topic.to_string(), text);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowTopic {
    /// Of which shadow.
    pub shadow: ShadowId,
    /// For what.
    pub kind: ShadowTopicKind,
}

/// A text that is no topic of a shadow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no topic of a shadow; one is $aws/things/THING/shadow/update")]
pub struct NotShadowTopic(String);

const KINDS: [(ShadowTopicKind, &str); 11] = {
    use Operation::{Delete, Get, Update};
    use Outcome::{Accepted, Rejected};
    use ShadowTopicKind::{Answer, Delta, Documents, Request};
    [
        (Request(Get), "get"),
        (Answer(Get, Accepted), "get/accepted"),
        (Answer(Get, Rejected), "get/rejected"),
        (Request(Update), "update"),
        (Answer(Update, Accepted), "update/accepted"),
        (Answer(Update, Rejected), "update/rejected"),
        (Delta, "update/delta"),
        (Documents, "update/documents"),
        (Request(Delete), "delete"),
        (Answer(Delete, Accepted), "delete/accepted"),
        (Answer(Delete, Rejected), "delete/rejected"),
    ]
};

impl ShadowTopicKind {
    /// What a topic ends with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, text)| text)
    }
}

impl FromStr for ShadowTopic {
    type Err = NotShadowTopic;

    fn from_str(text: &str) -> Result<Self, NotShadowTopic> {
        read(text).ok_or_else(|| NotShadowTopic(text.chars().take(300).collect()))
    }
}

fn read(text: &str) -> Option<ShadowTopic> {
    let (thing, rest) = text.strip_prefix("$aws/things/")?.split_once('/')?;
    let rest = rest.strip_prefix("shadow/")?;
    let (name, rest) = match rest.strip_prefix("name/") {
        Some(named) => {
            let (name, rest) = named.split_once('/')?;
            (Some(name.parse().ok()?), rest)
        }
        None => (None, rest),
    };
    let (kind, _) = KINDS.iter().find(|(_, text)| *text == rest)?;
    Some(ShadowTopic { shadow: ShadowId { thing: thing.parse().ok()?, name }, kind: *kind })
}

impl fmt::Display for ShadowTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ShadowTopic { shadow: ShadowId { thing, name }, kind } = self;
        write!(f, "$aws/things/{thing}/shadow/")?;
        if let Some(name) = name {
            write!(f, "name/{name}/")?;
        }
        f.write_str(kind.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_is_read_as_it_is_written() {
        for name in [None, Some("$package"), Some("name"), Some("update")] {
            let name = name.map(|name| name.parse().unwrap());
            let shadow = ShadowId { thing: "lamp:1".parse().unwrap(), name };
            for (kind, _) in KINDS {
                let topic = shadow.topic(kind);
                assert_eq!(topic.to_string().parse(), Ok(topic));
            }
        }
    }

    #[test]
    fn what_only_looks_like_one_of_them_is_none() {
        for bad in [
            "",
            "$aws/things/lamp/shadow",
            "$aws/things/lamp/shadow/",
            "$aws/things/lamp/shadow/updates",
            "$aws/things/lamp/shadow/update/",
            "$aws/things/lamp/shadow/update/accepted/x",
            "$aws/things/lamp/shadow/name/update",
            "$aws/things/lamp/shadow/name//update",
            "$aws/things/lamp/shadow/name/a/b/update",
            "$aws/things/lamp/shadow/name/+/update",
            "$aws/things//shadow/update",
            "$aws/things/+/shadow/update",
            "$aws/things/lamp/jobs/get",
            "aws/things/lamp/shadow/update",
            "/$aws/things/lamp/shadow/update",
        ] {
            assert!(bad.parse::<ShadowTopic>().is_err(), "{bad:?}");
        }
    }
}
