//! Policies said in MQTT filters: they may lose something, and never gain anything.

use super::super::{Action, Client, Grants, NamedPolicy, Request, TopicSet, decide, grants};
use super::{client, default_policy, policy, statements, thing};
use crate::mqtt_topic::matches;
use core::net::IpAddr;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_oneof, proptest};
use serde_json::{Value, json};
use std::sync::Arc;

const REQUESTS: [&str; 2] = ["$aws/things/+/shadow/update", "$aws/things/+/shadow/name/+/update"];

fn requests() -> Vec<TopicSet> {
    REQUESTS.iter().filter_map(|filter| TopicSet::of_filter(filter)).collect()
}

fn in_advance<'a>(client: Client<'a>) -> Client<'a> {
    Client { source_ip: None, ..client }
}

/// What Mosquitto makes of it: denials first, and nothing that is not named.
fn may(granted: &Grants, write: bool, topic: &str) -> bool {
    let rules = if write { &granted.write } else { &granted.read };
    let any = |sets: &std::collections::BTreeSet<TopicSet>| sets.iter().any(|set| matches(&set.to_string(), topic));
    !any(&granted.deny) && any(rules)
}

/// Filters that could bring a topic.
fn filters_for(topic: &str) -> Vec<String> {
    let levels: Vec<&str> = topic.split('/').collect();
    let mut filters = vec!["#".to_owned()];
    for mask in 0..1_u32 << levels.len() {
        let some: Vec<&str> =
            levels.iter().enumerate().map(|(at, level)| if mask >> at & 1 == 1 { "+" } else { level }).collect();
        for end in 1..=some.len() {
            filters.push(some[..end].join("/") + "/#");
        }
        filters.push(some.join("/"));
    }
    filters.retain(|filter| matches(filter, topic));
    filters
}

fn statement() -> impl Strategy<Value = Value> {
    let action = prop_oneof![
        Just("iot:Publish"),
        Just("iot:Subscribe"),
        Just("iot:Receive"),
        Just("iot:*"),
        Just("iot:Connect")
    ];
    let part = prop_oneof![
        Just("a"),
        Just("b"),
        Just("*"),
        Just("?"),
        Just("/"),
        Just("/"),
        Just("+"),
        Just("#"),
        Just("${iot:ClientId}"),
        Just("${iot:Connection.Thing.Attributes[x]}"),
        Just("${aws:SourceIp}")
    ];
    let odd = (
        prop_oneof![
            Just("topic/"),
            Just("topicfilter/"),
            Just("topic"),
            Just("*"),
            Just("topic/$aws/things/"),
            Just("client/"),
            Just("topicfilter/$aws/things/")
        ],
        vec(part, 0..5),
    )
        .prop_map(|(kind, parts)| format!("arn:aws:iot:r:1:{kind}{}", parts.concat()))
        .prop_filter("a resource", |it| it.parse_as_document());
    // Wide licences and what is taken out of them, as policies have it.
    let usual = prop_oneof![Just("*"), Just("a/*"), Just("a/b"), Just("b/*")].prop_flat_map(|name| {
        prop_oneof![Just("topic"), Just("topicfilter")].prop_map(move |kind| format!("arn:aws:iot:r:1:{kind}/{name}"))
    });
    let resource = prop_oneof![odd, usual];
    let condition = prop_oneof![
        6 => Just(json!({})),
        1 => Just(json!({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}})),
        1 => Just(json!({"NotIpAddress": {"aws:SourceIp": "192.0.2.0/24"}})),
        1 => Just(json!({"StringEquals": {"iot:ClientId": "a"}})),
        1 => Just(json!({"Bool": {"iot:Connection.Thing.IsAttached": "true"}})),
        1 => Just(json!({"ForAnyValue:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}})),
    ];
    let effect = prop_oneof![3 => Just("Allow"), 1 => Just("Deny")];
    (effect, vec(action, 1..3), vec(resource, 1..3), proptest::bool::weighted(0.1), condition).prop_map(
        |(effect, actions, resources, inverted, condition)| {
            json!({
                "Effect": effect, "Action": actions, if inverted { "NotResource" } else { "Resource" }: resources,
                "Condition": condition
            })
        },
    )
}

trait ParseAsDocument {
    fn parse_as_document(&self) -> bool;
}

impl ParseAsDocument for String {
    fn parse_as_document(&self) -> bool {
        let one = json!({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": self}});
        one.to_string().parse::<super::super::Document>().is_ok()
    }
}

fn allowed(policies: &[Arc<NamedPolicy>], client: &Client<'_>, action: Action, resource: &str) -> bool {
    decide(policies, &Request { action, resource, client }).is_allowed()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn whatever_filters_allow_the_policies_allow(
        some in vec(statement(), 1..5),
        attribute in prop_oneof![Just("a"), Just("b/c"), Just("+"), Just("a b")],
        has_attribute in any::<bool>(),
        topics in vec(prop_oneof![
            "[ab/]{1,5}", "[ab]/[ab]/[ab]", "\\$aws/things/[ab]/shadow/(update|update/delta)", "\\$SYS/[ab]", "b/c",
            "\\$aws/things/[ab]"
        ], 8),
    ) {
        // Half of the documents may connect anyhow.
        let connect = json!({"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"});
        let policies = [statements(Value::Array(some)), statements(json!([connect]))];
        let lamp = if has_attribute { thing("a", &[("x", attribute)]) } else { thing("a", &[]) };
        let lamp = Client { thing: Some(&lamp), ..client("a") };
        let granted = grants(&policies, &in_advance(lamp), &requests());
        for topic in &topics {
            for address in ["192.0.2.7", "198.51.100.1"] {
                let lamp = Client { source_ip: Some(address.parse::<IpAddr>().unwrap()), ..lamp };
                for (persistent, will_topic) in [(false, None), (true, Some("a"))] {
                    let connecting = Client { persistent, will_topic, ..lamp };
                    if may(&granted, true, topic) || may(&granted, false, topic) {
                        prop_assert!(allowed(&policies, &connecting, Action::Connect, "a"), "to connect {granted:?}");
                    }
                }
                if may(&granted, true, topic) {
                    prop_assert!(allowed(&policies, &lamp, Action::Publish, topic), "to publish {topic}: {granted:?}");
                    let is_asked = !topic.starts_with('$') || REQUESTS.iter().any(|filter| matches(filter, topic));
                    prop_assert!(is_asked, "nobody speaks for the service: {topic}");
                }
                if may(&granted, false, topic) {
                    prop_assert!(allowed(&policies, &lamp, Action::Receive, topic), "to receive {topic}: {granted:?}");
                    let filters = filters_for(topic);
                    let any = filters.iter().any(|filter| allowed(&policies, &lamp, Action::Subscribe, filter));
                    prop_assert!(any, "to subscribe to what brings {topic}: {granted:?}");
                    prop_assert!(!topic.starts_with("$SYS"), "what the broker says of itself");
                }
            }
        }
    }
}

fn texts(sets: &std::collections::BTreeSet<TopicSet>) -> Vec<String> {
    sets.iter().map(TopicSet::to_string).collect()
}

#[test]
fn the_default_policies_are_said_in_filters_without_a_loss() {
    let lamp = thing("lamp-1", &[]);
    let lamp = Client { thing: Some(&lamp), ..client("lamp-1") };
    let granted = grants(&[default_policy("standard")], &in_advance(lamp), &requests());
    assert_eq!(
        texts(&granted.write),
        ["$aws/things/lamp-1/shadow/name/+/update", "$aws/things/lamp-1/shadow/update", "sensor/device/lamp-1",]
    );
    assert_eq!(
        texts(&granted.read),
        [
            "$aws/certificates/create-from-csr/json/+/#",
            "$aws/things/lamp-1/jobs/+/#",
            "$aws/things/lamp-1/shadow/+/#",
            "$aws/things/lamp-1/tunnels/notify",
            "command/device/all",
            "command/device/lamp-1",
        ]
    );
    assert!(granted.deny.is_empty() && granted.gaps.is_empty(), "{granted:?}");
    let granted = grants(&[default_policy("intermediate")], &in_advance(lamp), &requests());
    assert_eq!(granted, Grants::default(), "it may connect, and that is all");
}

#[test]
fn what_filters_cannot_say_is_left_out_and_told() {
    let document = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"iot:Connect","Resource":"*"},
        {"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:r:1:topic/lamp-*"},
        {"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:r:1:topic/*/state"},
        {"Effect":"Allow","Action":"iot:Publish","Resource":"arn:aws:iot:r:1:topic/office/*",
         "Condition":{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}},
        {"Effect":"Allow","Action":["iot:Subscribe","iot:Receive"],"Resource":"*"},
        {"Effect":"Deny","Action":"iot:Receive","Resource":"arn:aws:iot:r:1:topic/secret/*"}]}"#;
    let granted = grants(&[policy("p", document)], &in_advance(client("a")), &requests());
    assert_eq!(texts(&granted.write), ["+/state"]);
    assert_eq!(texts(&granted.read), ["#", "$aws/#"]);
    assert_eq!(texts(&granted.deny), ["secret/+/#"]);
    let gaps: Vec<String> = granted.gaps.iter().map(ToString::to_string).collect();
    assert_eq!(gaps.len(), 3, "{gaps:#?}");
    assert!(gaps[0].contains("statement 2") && gaps[0].contains("lamp-*"), "{gaps:#?}");
    assert!(gaps[1].contains("statement 3") && gaps[1].contains("+/state"), "{gaps:#?}");
    assert!(gaps[2].contains("statement 4") && gaps[2].contains("condition"), "{gaps:#?}");
}

#[test]
fn who_may_connect_only_from_somewhere_is_granted_nothing() {
    let document = r#"{"Version":"2012-10-17","Statement":[
        {"Effect":"Allow","Action":"iot:*","Resource":"*"},
        {"Effect":"Deny","Action":"iot:Connect","Resource":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}}]}"#;
    let granted = grants(&[policy("p", document)], &in_advance(client("a")), &requests());
    assert!(granted.write.is_empty() && granted.read.is_empty() && granted.gaps.len() == 1, "{granted:?}");
}
