//! What a person may do, who has no thing's identity and sees several things.
//!
//! A topic is a thing's if one of its levels is the thing's name. A person may publish to, and is sent, nothing but what is
//! a thing's that they see, whatever their policies say; of that, what the policies allow with that thing in the place of
//! `${iot:Connection.Thing.…}`. A filter with a wildcard in the place of the name is no thing's: who may subscribe to it is
//! sent no more for it.

use super::action::Action;
use super::context::{Client, ThingFacts};
use super::decision::{Decision, NamedPolicy, Request, Verdict, decide};
use crate::names::ThingName;
use std::sync::Arc;

/// The things that a topic, or a topic filter, may be about: its levels that can be a thing's name.
pub fn things_named_in(topic: &str) -> impl Iterator<Item = ThingName> {
    topic.split('/').filter_map(|level| level.parse().ok())
}

/// Decides. The request's client has no thing; `things` are those that the resource names and the person sees. What is
/// denied for one of them is denied.
#[must_use]
pub fn decide_for_person(policies: &[Arc<NamedPolicy>], request: &Request<'_>, things: &[Arc<ThingFacts>]) -> Decision {
    let as_thing = |thing| {
        let client = Client { thing, ..*request.client };
        decide(policies, &Request { client: &client, ..*request })
    };
    let for_itself = matches!(request.action, Action::Connect | Action::Subscribe).then_some(None);
    let candidates = for_itself.into_iter().chain(things.iter().map(|thing| Some(&**thing)));
    let mut best = Decision { verdict: Verdict::ImplicitDeny, by: None };
    for decision in candidates.map(as_thing) {
        match decision.verdict {
            Verdict::ExplicitDeny => return decision,
            Verdict::Allowed => best = decision,
            Verdict::ImplicitDeny => {}
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{DEFAULTS, PEOPLE, PEOPLE_OPERATORS};

    const EVERYTHING: &str =
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:*","Resource":"*"}}"#;

    fn policy(name: &str, document: &str) -> Arc<NamedPolicy> {
        Arc::new(NamedPolicy { name: name.parse().unwrap(), version: 1, document: document.parse().unwrap() })
    }

    fn default(name: &str) -> Arc<NamedPolicy> {
        policy(name, DEFAULTS.iter().find(|default| default.name == name).unwrap().document)
    }

    /// Whether a person who sees `lamp-1`, and a thing that is called `device`, may do it.
    fn may(policies: &[Arc<NamedPolicy>], action: Action, resource: &str) -> bool {
        let client = Client {
            client_id: "$user/anna/1",
            source_ip: None,
            thing: None,
            certificate_id: None,
            certificate: None,
            persistent: false,
            will_topic: None,
        };
        let seen = |name: &ThingName| ["lamp-1", "device"].contains(&name.as_str());
        let facts = |name| Arc::new(ThingFacts { name, type_name: None, attributes: Default::default() });
        let things: Vec<_> = things_named_in(resource).filter(seen).map(facts).collect();
        decide_for_person(policies, &Request { action, resource, client: &client }, &things).is_allowed()
    }

    #[test]
    fn by_default_people_see_what_their_things_say_and_operators_set_what_is_desired() {
        let (viewer, operator) = ([default(PEOPLE)], [default(PEOPLE), default(PEOPLE_OPERATORS)]);
        let allowed = [
            (Action::Connect, "$user/anna/1"),
            (Action::Subscribe, "sensor/device/+"),
            (Action::Subscribe, "sensor/device/lamp-1"),
            (Action::Subscribe, "$aws/things/+/shadow/#"),
            (Action::Subscribe, "$aws/things/lamp-1/shadow/name/$package/update/documents"),
            (Action::Subscribe, "$aws/events/presence/+/+"),
            (Action::Subscribe, "$aws/events/presence/connected/lamp-1"),
            (Action::Receive, "sensor/device/lamp-1"),
            (Action::Receive, "$aws/things/lamp-1/shadow/update/delta"),
            (Action::Receive, "$aws/events/presence/disconnected/lamp-1"),
            (Action::Publish, "$aws/things/lamp-1/shadow/get"),
            (Action::Publish, "$aws/things/lamp-1/shadow/name/network/get"),
        ];
        for (action, resource) in allowed {
            assert!(may(&viewer, action, resource), "{action} {resource}");
        }
        let refused = [
            (Action::Connect, "lamp-1"),
            (Action::Connect, "anna"),
            (Action::Subscribe, "#"),
            (Action::Subscribe, "+/#"),
            (Action::Subscribe, "sensor/#"),
            (Action::Subscribe, "sensor/device/#"),
            (Action::Subscribe, "sensor/device/lamp-2"),
            (Action::Subscribe, "$aws/#"),
            (Action::Subscribe, "$aws/things/lamp-2/shadow/#"),
            (Action::Subscribe, "$aws/things/+/jobs/#"),
            (Action::Subscribe, "command/device/lamp-1"),
            (Action::Receive, "sensor/device/lamp-2"),
            (Action::Receive, "$aws/things/lamp-2/shadow/update/documents"),
            (Action::Receive, "$aws/things/lamp-1/jobs/notify"),
            (Action::Receive, "$aws/events/presence/connected/$user/anna/1"),
            (Action::Receive, "command/device/lamp-1"),
            (Action::Publish, "sensor/device/lamp-1"),
            (Action::Publish, "command/device/lamp-1"),
            (Action::Publish, "$aws/things/lamp-2/shadow/get"),
            (Action::Publish, "$aws/things/lamp-1/shadow/delete"),
            (Action::RetainPublish, "$aws/things/lamp-1/shadow/get"),
        ];
        for (action, resource) in refused {
            assert!(!may(&operator, action, resource), "{action} {resource}");
        }
        for topic in ["$aws/things/lamp-1/shadow/update", "$aws/things/lamp-1/shadow/name/network/update"] {
            assert!(!may(&viewer, Action::Publish, topic) && may(&operator, Action::Publish, topic), "{topic}");
        }
    }

    #[test]
    fn no_policy_shows_a_person_what_is_no_thing_of_theirs() {
        let everything = [policy("everything", EVERYTHING)];
        for (action, resource) in [
            (Action::Receive, "sensor/lamp-2"),
            (Action::Receive, "a"),
            (Action::Publish, "sensor/lamp-2"),
            (Action::Publish, "$aws/certificates/create-from-csr/json"),
            (Action::RetainPublish, "sensor/lamp-2"),
        ] {
            assert!(!may(&everything, action, resource), "{action} {resource}");
        }
        assert!(may(&everything, Action::Receive, "any/lamp-1/thing") && may(&everything, Action::Subscribe, "#"));
        let denies = r#"{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"iot:*",
            "Resource":"arn:aws:iot:::topic/secret/${iot:Connection.Thing.ThingName}"}}"#;
        let both = [everything[0].clone(), policy("denies", denies)];
        assert!(!may(&both, Action::Receive, "secret/lamp-1") && may(&both, Action::Receive, "open/lamp-1"));
    }

    #[test]
    fn a_thing_that_is_called_as_a_level_of_anothers_topic_opens_nothing() {
        let viewer = [default(PEOPLE)];
        assert!(may(&viewer, Action::Receive, "sensor/device/device"));
        assert!(!may(&viewer, Action::Receive, "sensor/device/lamp-2"));
    }
}
