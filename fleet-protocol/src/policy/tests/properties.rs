//! Whatever is written into policies and asked of them.

use super::super::{Action, Client, Document, NamedPolicy, Request, Verdict, decide, explain};
use super::{client, statements, thing};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde_json::{Value, json};
use std::sync::Arc;

/// A statement, as data that the oracle reads for itself.
#[derive(Debug, Clone)]
struct Plain {
    allow: bool,
    not_action: bool,
    actions: Vec<&'static str>,
    not_resource: bool,
    /// The part behind the account.
    resources: Vec<String>,
}

impl Plain {
    fn json(&self) -> Value {
        let resources: Vec<String> = self.resources.iter().map(|it| format!("arn:aws:iot:r:1:{it}")).collect();
        json!({
            "Effect": if self.allow { "Allow" } else { "Deny" },
            if self.not_action { "NotAction" } else { "Action" }: self.actions,
            if self.not_resource { "NotResource" } else { "Resource" }: resources,
        })
    }
}

fn plain() -> impl Strategy<Value = Plain> {
    let action = prop_oneof![
        Just("iot:Publish"),
        Just("iot:Subscribe"),
        Just("iot:*"),
        Just("*"),
        Just("iot:*ublish"),
        Just("iot:Receive")
    ];
    let resource = prop_oneof![
        "(topic|topicfilter)/[ab/*?]{0,6}",
        "(topic|topicfilter)/[ab/*]{0,3}\\$\\{iot:ClientId\\}[ab/*]{0,3}",
        "topic[*?]{1,2}[ab]{0,2}",
    ];
    (any::<bool>(), any::<bool>(), vec(action, 1..3), proptest::bool::weighted(0.2), vec(resource, 1..4)).prop_map(
        |(allow, not_action, actions, not_resource, resources)| Plain {
            allow,
            not_action,
            actions,
            not_resource,
            resources,
        },
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    Character(char),
    AnyText,
    AnyCharacter,
}

impl Element {
    fn of_policy(c: char) -> Self {
        match c {
            '*' => Self::AnyText,
            '?' => Self::AnyCharacter,
            c => Self::Character(c),
        }
    }
}

/// The definition of `*` and `?`, written down as it is.
fn naive(pattern: &[Element], text: &[char]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([Element::AnyText, rest @ ..], _) => naive(rest, text) || (!text.is_empty() && naive(pattern, &text[1..])),
        ([Element::AnyCharacter, rest @ ..], [_, left @ ..]) => naive(rest, left),
        ([Element::Character(wanted), rest @ ..], [found, left @ ..]) => wanted == found && naive(rest, left),
        _ => false,
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    naive(&pattern.chars().map(Element::of_policy).collect::<Vec<_>>(), &spelt(text))
}

fn spelt(text: &str) -> Vec<char> {
    text.chars().collect()
}

/// Decides in the plainest way; only for client ids whose characters mean nothing.
fn oracle(statements: &[Plain], client_id: &str, action: Action, topic: &str) -> Verdict {
    let full = format!("{}/{topic}", action.resource_type());
    let applies = |it: &&Plain| {
        let is_named = it.actions.iter().any(|entry| matches(entry, action.as_str()));
        let is_meant = it.resources.iter().any(|entry| matches(&entry.replace("${iot:ClientId}", client_id), &full));
        is_named != it.not_action && is_meant != it.not_resource
    };
    let applying: Vec<&Plain> = statements.iter().filter(applies).collect();
    match applying.iter().any(|it| !it.allow) {
        true => Verdict::ExplicitDeny,
        false if applying.is_empty() => Verdict::ImplicitDeny,
        false => Verdict::Allowed,
    }
}

fn policy_of(plain: &[Plain]) -> Arc<NamedPolicy> {
    statements(plain.iter().map(Plain::json).collect())
}

fn verdict(policies: &[Arc<NamedPolicy>], client: &Client<'_>, action: Action, resource: &str) -> Verdict {
    decide(policies, &Request { action, resource, client }).verdict
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![Just(Action::Publish), Just(Action::Subscribe), Just(Action::Receive)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn decisions_are_those_of_the_plainest_definition(
        plain in vec(plain(), 1..5), id in "[ab]{1,3}", action in action(), topic in "[ab/]{0,6}",
    ) {
        let policy = policy_of(&plain);
        let found = verdict(std::slice::from_ref(&policy), &client(&id), action, &topic);
        prop_assert_eq!(found, oracle(&plain, &id, action, &topic));
        // How statements are spread over policies, and in which order they stand, makes no difference.
        let mut parts: Vec<_> = plain.iter().map(|one| policy_of(std::slice::from_ref(one))).collect();
        parts.reverse();
        prop_assert_eq!(found, verdict(&parts, &client(&id), action, &topic));
        // The explanation tells the same.
        let client = client(&id);
        let findings = explain([&policy], &Request { action, resource: &topic, client: &client });
        let denies = findings.iter().any(|it| it.applies && it.effect.to_string() == "Deny");
        let allows = findings.iter().any(|it| it.applies && it.effect.to_string() == "Allow");
        let told = if denies { Verdict::ExplicitDeny } else if allows { Verdict::Allowed } else { Verdict::ImplicitDeny };
        prop_assert_eq!(found, told);
    }

    #[test]
    fn a_client_id_gives_no_more_than_a_harmless_one_would(
        resource in "(topic|topicfilter)/[ab/*?]{0,3}\\$\\{iot:ClientId\\}[ab/*?]{0,3}", id in "[ab+#/*?]{1,4}",
        topic in "[ab+#/*?]{0,7}", action in action(),
    ) {
        let policy = statements(json!([{ "Effect": "Allow", "Action": "*", "Resource": format!("arn:aws:iot:::{resource}") }]));
        if verdict(&[policy], &client(&id), action, &topic) == Verdict::Allowed {
            prop_assert!(!id.contains(['+', '#', '/']), "{}", id);
            let (before, behind) = resource.split_once("${iot:ClientId}").unwrap();
            let of_policy = |text: &str| text.chars().map(Element::of_policy).collect::<Vec<_>>();
            let literal = id.chars().map(Element::Character).collect();
            let pattern = [of_policy(before), literal, of_policy(behind)].concat();
            let full = spelt(&format!("{}/{topic}", action.resource_type()));
            prop_assert!(naive(&pattern, &full));
        }
    }

    #[test]
    fn what_is_denied_stays_denied_whatever_is_added(
        plain_ones in vec(plain(), 1..4), more in vec(plain(), 0..4), id in "[ab+#/]{1,3}", action in action(),
        topic in "[ab+#/]{0,6}",
    ) {
        let lamp = thing("lamp", &[]);
        let client = Client { thing: Some(&lamp), ..client(&id) };
        let before = verdict(&[policy_of(&plain_ones)], &client, action, &topic);
        let denials: Vec<Plain> = more.iter().filter(|it| !it.allow).cloned().collect();
        let with_all: Vec<Plain> = plain_ones.iter().chain(&more).cloned().collect();
        if before == Verdict::ExplicitDeny {
            prop_assert_eq!(verdict(&[policy_of(&with_all)], &client, action, &topic), Verdict::ExplicitDeny);
        }
        let stricter: Vec<Plain> = plain_ones.iter().chain(&denials).cloned().collect();
        if before != Verdict::Allowed {
            prop_assert!(verdict(&[policy_of(&stricter)], &client, action, &topic) != Verdict::Allowed);
        }
    }

    #[test]
    fn no_text_is_too_odd_to_be_read(text in ".{0,60}", resource in ".{0,30}", operator in "[A-Za-z:]{0,20}", key in ".{0,20}") {
        let _ = text.parse::<Document>();
        let condition = json!({ operator: { key: [text] } });
        let statement = json!({ "Effect": "Allow", "Action": "*", "Resource": resource, "Condition": condition });
        let _ = json!({ "Version": "2012-10-17", "Statement": statement }).to_string().parse::<Document>();
    }
}
