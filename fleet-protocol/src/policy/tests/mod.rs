//! Whole policies, as their owners mean them.

mod documents;
mod filters;
mod properties;

use super::{Action, CertificateFields, Client, Decision, Document, NamedPolicy, Request, ThingFacts, Verdict};
use super::{DEFAULTS, INITIAL, INTERMEDIATE, PEOPLE, PEOPLE_OPERATORS, STANDARD, decide, explain};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A client without a certificate's fields or a thing.
pub(super) fn client(client_id: &str) -> Client<'_> {
    Client {
        client_id,
        source_ip: Some([192, 0, 2, 7].into()),
        thing: None,
        certificate_id: None,
        certificate: None,
        persistent: false,
        will_topic: None,
    }
}

pub(super) fn thing(name: &str, attributes: &[(&str, &str)]) -> ThingFacts {
    let attributes = attributes.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    ThingFacts { name: name.parse().unwrap(), type_name: Some("lamp".parse().unwrap()), attributes }
}

pub(super) fn policy(name: &str, text: &str) -> Arc<NamedPolicy> {
    let document: Document = text.parse().unwrap_or_else(|error| panic!("{error}: {text}"));
    Arc::new(NamedPolicy { name: name.parse().unwrap(), version: 1, document })
}

/// A policy of the current version with these statements.
pub(super) fn statements(statements: Value) -> Arc<NamedPolicy> {
    policy("test", &json!({ "Version": "2012-10-17", "Statement": statements }).to_string())
}

fn decision(policies: &[Arc<NamedPolicy>], client: &Client<'_>, action: Action, resource: &str) -> Decision {
    decide(policies, &Request { action, resource, client })
}

pub(super) fn allows(policy: &Arc<NamedPolicy>, client: &Client<'_>, action: Action, resource: &str) -> bool {
    decision(std::slice::from_ref(policy), client, action, resource).is_allowed()
}

fn default_policy(name: &str) -> Arc<NamedPolicy> {
    let found = DEFAULTS.iter().find(|policy| policy.name == name).unwrap();
    policy(name, found.document)
}

use Action as A;

/// The policy of Twilio's Microvisor MQTT demo, as its guide has it, with its placeholders.
#[test]
fn the_policy_of_the_microvisor_demo_holds_verbatim() {
    let policy = policy("microvisor", include_str!("../../../../examples/policies/microvisor.json"));
    let (lamp, other) = (thing("UV1", &[]), thing("UV2", &[]));
    let client = Client { thing: Some(&lamp), ..client("UV1") };
    for (action, resource) in [
        (A::Connect, "UV1"),
        (A::Publish, "sensor/device/UV1"),
        (A::Subscribe, "command/device/UV1"),
        (A::Subscribe, "command/device/all"),
        (A::Receive, "command/device/UV1"),
        (A::Receive, "command/device/all"),
    ] {
        assert!(allows(&policy, &client, action, resource), "{action} {resource}");
    }
    for (action, resource) in [
        (A::Connect, "UV2"),
        (A::Connect, "UV1/x"),
        (A::Publish, "sensor/device/UV2"),
        (A::Publish, "sensor/device/UV1/x"),
        (A::Publish, "command/device/UV1"),
        (A::Publish, "command/device/all"),
        (A::RetainPublish, "sensor/device/UV1"),
        (A::Subscribe, "command/device/UV2"),
        (A::Subscribe, "command/device/+"),
        (A::Subscribe, "command/device/#"),
        (A::Subscribe, "#"),
        (A::Subscribe, "sensor/device/UV1"),
        (A::Receive, "command/device/UV2"),
    ] {
        let decision = decision(std::slice::from_ref(&policy), &client, action, resource);
        assert_eq!(decision.verdict, Verdict::ImplicitDeny, "{action} {resource}");
    }
    // Another device's certificate, and one that is attached to nothing.
    let stranger = Client { thing: Some(&other), ..client };
    assert!(!allows(&policy, &stranger, A::Connect, "UV1"));
    let nobody = Client { thing: None, ..client };
    assert!(!allows(&policy, &nobody, A::Connect, "UV1") && !allows(&policy, &nobody, A::Publish, "sensor/device/UV1"));
    assert!(allows(&policy, &nobody, A::Receive, "command/device/all"), "no variable stands there");
}

#[test]
fn a_claim_may_do_nothing_but_provision() {
    let (policy, claim) = (default_policy(INITIAL), client("any-4711"));
    let csr = "$aws/certificates/create-from-csr/json";
    let provision = "$aws/provisioning-templates/lamps/provision/json";
    assert!(allows(&policy, &claim, A::Connect, "any-4711"));
    for topic in [csr, provision] {
        assert!(allows(&policy, &claim, A::Publish, topic));
        for answer in ["accepted", "rejected"] {
            let answer = format!("{topic}/{answer}");
            assert!(allows(&policy, &claim, A::Subscribe, &answer) && allows(&policy, &claim, A::Receive, &answer));
            assert!(!allows(&policy, &claim, A::Publish, &answer), "an answer must not be forged");
        }
    }
    for topic in ["sensor/device/lamp", "$aws/things/lamp/shadow/update", "#", "$aws/#", "command/device/all"] {
        for action in A::ALL.iter().filter(|action| **action != A::Connect) {
            assert!(!allows(&policy, &claim, *action, topic), "{action} {topic}");
        }
    }
}

#[test]
fn a_device_of_the_fleet_may_use_what_is_its_own() {
    let lamp = thing("lamp", &[]);
    let client = Client { thing: Some(&lamp), ..client("lamp") };
    let (intermediate, standard) = (default_policy(INTERMEDIATE), default_policy(STANDARD));
    let own = [
        (A::Publish, "$aws/things/lamp/jobs/start-next"),
        (A::Publish, "$aws/things/lamp/shadow/name/$package/update"),
        (A::Publish, "sensor/device/lamp"),
        (A::Subscribe, "$aws/things/lamp/jobs/+/update/+"),
        (A::Subscribe, "$aws/things/lamp/jobs/#"),
        (A::Subscribe, "$aws/things/lamp/shadow/get/accepted"),
        (A::Subscribe, "$aws/things/lamp/tunnels/notify"),
        (A::Subscribe, "command/device/lamp"),
        (A::Receive, "command/device/all"),
        (A::Receive, "$aws/things/lamp/tunnels/notify"),
        (A::Publish, "$aws/certificates/create-from-csr/json"),
        (A::Subscribe, "$aws/certificates/create-from-csr/json/accepted"),
        (A::GetThingShadow, "lamp"),
        (A::UpdateThingShadow, "lamp/$package"),
        (A::UpdateJobExecution, "lamp"),
    ];
    for (action, resource) in own {
        assert!(allows(&standard, &client, action, resource), "{action} {resource}");
        assert!(!allows(&intermediate, &client, action, resource), "{action} {resource}");
        let others = resource.replace("lamp", "lamp2");
        assert!(others == resource || !allows(&standard, &client, action, &others), "{action} {others}");
    }
    for policy in [&intermediate, &standard] {
        assert!(allows(policy, &client, A::Connect, "lamp") && allows(policy, &client, A::Connect, "lamp/console"));
        assert!(!allows(policy, &client, A::Connect, "lamp2") && !allows(policy, &client, A::Connect, "other"));
    }
    for topic in ["$aws/certificates/create-from-csr/json/accepted", "$aws/provisioning-templates/t/provision/json"] {
        assert!(!allows(&standard, &client, A::Publish, topic), "{topic}");
    }
    for filter in ["#", "+/device/lamp", "command/#", "$aws/things/+/jobs/#", "$aws/things/lamp/#", "$share/g/#"] {
        assert!(!allows(&standard, &client, A::Subscribe, filter), "{filter}");
    }
}

#[test]
fn a_client_id_with_wildcards_widens_nothing() {
    let policy = statements(json!([
        { "Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:::client/*" },
        { "Effect": "Allow", "Action": ["iot:Subscribe", "iot:Publish", "iot:Receive"], "Resource": [
            "arn:aws:iot:::topicfilter/my/${iot:ClientId}/topic", "arn:aws:iot:::topic/my/${iot:ClientId}/topic"] }
    ]));
    assert!(allows(&policy, &client("a"), A::Subscribe, "my/a/topic"));
    for id in ["+", "#", "a/b", "/", "+/+", "a#", "b+"] {
        let client = client(id);
        for topic in [format!("my/{id}/topic"), "my/+/topic".into(), "my/#".into(), "my/a/topic".into()] {
            for action in [A::Subscribe, A::Publish, A::Receive] {
                assert!(!allows(&policy, &client, action, &topic), "{id} {topic}");
            }
        }
        let request = Request { action: A::Subscribe, resource: &format!("my/{id}/topic"), client: &client };
        let found = explain([&policy], &request);
        assert!(found[0].reason.contains("${iot:ClientId} holds a character"), "{:?}", found[0]);
    }
    // Wildcards of policies are plain characters in a value.
    for id in ["*", "?", "*/topic", "${iot:ClientId}"] {
        assert!(!allows(&policy, &client(id), A::Publish, "my/a/topic"), "{id}");
    }
    assert!(allows(&policy, &client("*"), A::Publish, "my/*/topic"));
}

#[test]
fn a_doubtful_variable_weakens_no_prohibition() {
    let all = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
    let deny = |resource: Value| {
        let mut statement = json!({ "Effect": "Deny", "Action": "iot:Publish" });
        statement.as_object_mut().unwrap().extend(resource.as_object().unwrap().clone());
        statements(json!([all, statement]))
    };
    let own = "arn:aws:iot:::topic/own/${iot:ClientId}/*";
    let not_own = deny(json!({ "NotResource": own }));
    assert!(allows(&not_own, &client("a"), A::Publish, "own/a/x"));
    assert!(!allows(&not_own, &client("a"), A::Publish, "own/b/x"));
    assert!(!allows(&not_own, &client("b/c"), A::Publish, "own/b/c/x"), "no exemption by a slash in the client id");
    let no_own = deny(json!({ "Resource": own }));
    assert!(!allows(&no_own, &client("b/c"), A::Publish, "own/b/c/x"), "a slash in the client id evades nothing");
    assert!(allows(&no_own, &client("b/c"), A::Publish, "own/b/x"));
    let by_thing = "arn:aws:iot:::topic/${iot:Connection.Thing.ThingName}/*";
    let all_but_own = deny(json!({ "NotResource": by_thing }));
    assert!(!allows(&all_but_own, &client("a"), A::Publish, "a/x"), "it has no thing");
    let allow_but_own = statements(json!({ "Effect": "Allow", "Action": "iot:Publish", "NotResource": by_thing }));
    assert!(!allows(&allow_but_own, &client("a"), A::Publish, "a/x"), "which is its own cannot be known");
    assert!(allows(&allow_but_own, &client("a"), A::Publish, "x"));
    let lamp = thing("lamp", &[]);
    let lamp = Client { thing: Some(&lamp), ..client("lamp") };
    assert!(allows(&allow_but_own, &lamp, A::Publish, "a/x") && !allows(&allow_but_own, &lamp, A::Publish, "lamp/x"));
}

#[test]
fn attributes_and_certificates_fill_in_and_wildcards_in_them_do_not() {
    let policy = statements(json!([{ "Effect": "Allow", "Action": "iot:*", "Resource": [
        "arn:aws:iot:::topic/${iot:Connection.Thing.Attributes[site]}/*",
        "arn:aws:iot:::topicfilter/${iot:Connection.Thing.Attributes[site]}/x",
        "arn:aws:iot:::topic/by-name/${iot:Certificate.Subject.CommonName}",
        "arn:aws:iot:::topic/by-unit/${iot:Certificate.Subject.OrganizationalUnit.1}"
    ] }]));
    let mut fields = CertificateFields::default();
    fields.add("Subject.CommonName", "lamp");
    for unit in ["u0", "u1", "u2", "u3", "u4", "u5"] {
        fields.add("Subject.OrganizationalUnit", unit);
    }
    let lamp = thing("lamp", &[("site", "berlin/hall3")]);
    let known = Client { thing: Some(&lamp), certificate: Some(&fields), ..client("lamp") };
    assert!(allows(&policy, &known, A::Publish, "berlin/hall3/x"), "the registry's owner chose the levels");
    assert!(allows(&policy, &known, A::Publish, "by-name/lamp") && allows(&policy, &known, A::Publish, "by-unit/u1"));
    assert!(!allows(&policy, &known, A::Publish, "by-unit/u0"));
    for site in ["#", "+", "a+"] {
        let lamp = thing("lamp", &[("site", site)]);
        let client = Client { thing: Some(&lamp), ..known };
        assert!(!allows(&policy, &client, A::Subscribe, &format!("{site}/x")), "{site}");
    }
    let mut odd = CertificateFields::default();
    odd.add("Subject.CommonName", "a/b");
    let odd = Client { certificate: Some(&odd), ..known };
    assert!(!allows(&policy, &odd, A::Publish, "by-name/a/b"), "whoever asked for the certificate chose its name");
}

#[test]
fn a_denial_wins_wherever_it_stands_and_the_statement_is_named() {
    let allow = policy("all", r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#);
    let deny = policy(
        "no-secrets",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iot:Connect","Resource":"*"},
           {"Sid":"secrets","Effect":"Deny","Action":"iot:Subscribe","Resource":"arn:aws:iot:::topicfilter/secret/*"}]}"#,
    );
    let lamp = client("lamp");
    for policies in [[allow.clone(), deny.clone()], [deny.clone(), allow]] {
        let denied = decision(&policies, &lamp, A::Subscribe, "secret/plan");
        assert_eq!(denied.verdict, Verdict::ExplicitDeny);
        assert_eq!(denied.to_string(), "denied by statement 2 (\"secrets\") of the policy no-secrets, version 1");
        let allowed = decision(&policies, &lamp, A::Subscribe, "public");
        assert_eq!(allowed.to_string(), "allowed by statement 1 of the policy all, version 1");
    }
    let nothing = decision(&[deny], &lamp, A::Publish, "x");
    assert_eq!(nothing.to_string(), "denied: no statement of its policies allows it");
    assert_eq!(decision(&[], &lamp, A::Connect, "lamp").verdict, Verdict::ImplicitDeny);
}

/// AWS: `topicfilter/a/#` permits that one filter and no other.
#[test]
fn wildcards_of_mqtt_are_plain_characters() {
    let policy = statements(json!([{ "Effect": "Allow", "Action": "iot:Subscribe", "Resource": [
        "arn:aws:iot:::topicfilter/a/#", "arn:aws:iot:::topicfilter/some/+/topic", "arn:aws:iot:::topicfilter/b/*"] }]));
    for filter in ["a/#", "some/+/topic", "b/", "b/c", "b/c/d", "b/#", "b/+/c"] {
        assert!(allows(&policy, &client("c"), A::Subscribe, filter), "{filter}");
    }
    for filter in ["a/b", "a/+", "a", "some/x/topic", "some/#", "b", "#"] {
        assert!(!allows(&policy, &client("c"), A::Subscribe, filter), "{filter}");
    }
}

#[test]
fn conditions_look_at_the_connection() {
    let when = |condition: Value| {
        statements(json!([{ "Effect": "Allow", "Action": "iot:*", "Resource": "*", "Condition": condition }]))
    };
    let lamp = thing("lamp", &[("floor", "2"), ("Site", "Berlin")]);
    let here = Client { thing: Some(&lamp), ..client("lamp") };
    let alone = client("lamp");
    let holds = |condition: Value, client: &Client<'_>| allows(&when(condition), client, A::Publish, "x");

    let attached = json!({ "Bool": { "iot:Connection.Thing.IsAttached": ["true"] } });
    assert!(holds(attached.clone(), &here) && !holds(attached, &alone));
    assert!(holds(json!({ "Bool": { "iot:Connection.Thing.IsAttached": false } }), &alone));

    let site = |operator: &str, value: &str| json!({ operator: { "iot:Connection.Thing.Attributes[Site]": value } });
    assert!(holds(site("StringEquals", "Berlin"), &here) && !holds(site("StringEquals", "berlin"), &here));
    assert!(holds(site("StringEqualsIgnoreCase", "bERLIN"), &here));
    assert!(holds(site("StringLike", "B*n"), &here) && !holds(site("StringEquals", "B*n"), &here));
    assert!(holds(site("StringNotEquals", "Paris"), &here) && !holds(site("StringNotEquals", "Berlin"), &here));
    assert!(!holds(site("StringEquals", "Berlin"), &alone), "it has no attribute");
    assert!(holds(site("StringNotEquals", "Berlin"), &alone), "IAM: what is absent is not equal");
    assert!(holds(site("StringEqualsIfExists", "Berlin"), &alone) && !holds(site("StringEqualsIfExists", "x"), &here));
    assert!(
        holds(site("Null", "true"), &alone)
            && !holds(site("Null", "true"), &here)
            && holds(site("Null", "false"), &here)
    );
    let all_of_them = json!({
        "StringEquals": { "iot:Connection.Thing.Attributes[Site]": ["Paris", "Berlin"], "iot:Connection.Thing.ThingTypeName": "lamp" },
        "Bool": { "iot:Connection.Thing.IsAttached": "true" }
    });
    assert!(holds(all_of_them.clone(), &here));
    let elsewhere = thing("lamp", &[("Site", "Rome")]);
    assert!(!holds(all_of_them, &Client { thing: Some(&elsewhere), ..here }));

    let from = |operator: &str, value: Value| json!({ operator: { "aws:SourceIp": value } });
    assert!(
        holds(from("IpAddress", json!("192.0.2.7")), &here) && !holds(from("IpAddress", json!("192.0.2.8")), &here)
    );
    assert!(holds(from("IpAddress", json!(["2001:db8::/32", "192.0.2.0/24"])), &here));
    assert!(!holds(from("NotIpAddress", json!("192.0.2.0/24")), &here));
    let mapped = Client { source_ip: Some("::ffff:192.0.2.7".parse().unwrap()), ..here };
    assert!(holds(from("IpAddress", json!("192.0.2.0/24")), &mapped), "IPv4 over a socket of IPv6");

    let own = json!({ "StringEquals": { "iot:ClientId": "${iot:Connection.Thing.ThingName}" } });
    assert!(holds(own.clone(), &here) && !holds(own, &alone));
    let not_own = json!({ "StringNotEquals": { "iot:ClientId": "${iot:Connection.Thing.ThingName}" } });
    assert!(!holds(not_own.clone(), &here) && !holds(not_own.clone(), &alone), "no licence out of what is unknown");
    let deny = json!({ "Effect": "Deny", "Action": "iot:Connect", "Resource": "*", "Condition": not_own });
    let only_own = statements(json!([{ "Effect": "Allow", "Action": "*", "Resource": "*" }, deny]));
    assert!(allows(&only_own, &here, A::Connect, "lamp") && !allows(&only_own, &alone, A::Connect, "lamp"));
}

/// Of AWS's page on connect policies.
#[test]
fn conditions_look_at_how_a_client_connects() {
    let plain = client("client1");
    let lasting = Client { persistent: true, ..plain };
    let with_will = Client { will_topic: Some("my/lastwill/topicName"), ..plain };
    let both = Client { persistent: true, ..with_will };
    let connects = |statement: Value| {
        let policy = statements(statement);
        [plain, lasting, with_will, both].map(|client| allows(&policy, &client, A::Connect, "client1"))
    };
    let connect = |effect: &str, operator: &str, values: &[&str]| {
        let condition = json!({ operator: { "iot:ConnectAttributes": values } });
        json!({ "Effect": effect, "Action": ["iot:Connect"], "Resource": "*", "Condition": condition })
    };
    let (all, any) = ("ForAllValues:StringEquals", "ForAnyValue:StringEquals");
    let (lasts, will) = ("PersistentConnect", "LastWill");
    assert_eq!(connects(connect("Allow", all, &[lasts])), [true, true, false, false]);
    assert_eq!(connects(connect("Allow", "ForAllValues:StringNotEquals", &[lasts])), [true, false, true, false]);
    assert_eq!(connects(connect("Allow", all, &[lasts, will])), [true; 4]);
    assert_eq!(connects(connect("Allow", all, &[])), [true, false, false, false]);
    assert_eq!(connects(connect("Allow", any, &[lasts])), [false, true, false, true]);
    let any_way = json!({ "Effect": "Allow", "Action": ["iot:Connect"], "Resource": "*" });
    assert_eq!(connects(json!([any_way, connect("Deny", any, &[lasts])])), [true, false, true, false]);
    let needs_both = json!([
        connect("Allow", all, &[lasts, will]),
        connect("Deny", all, &[lasts]),
        connect("Deny", all, &[will]),
        connect("Deny", all, &[])
    ]);
    assert_eq!(connects(needs_both), [false, false, false, true]);
    let to = |topic: &str| {
        let condition = json!({ "ArnEquals": { "iot:LastWillTopic": topic } });
        json!({ "Effect": "Allow", "Action": "iot:Connect", "Resource": "*", "Condition": condition })
    };
    assert_eq!(
        connects(to("arn:aws:iot:*region*:*account-id*:topic/*my/lastwill/topicName*")),
        [false, false, true, true]
    );
    assert_eq!(connects(to("arn:aws:iot:::topic/${iot:ClientId}/will")), [false; 4]);
}

#[test]
fn restricted_topics_are_kept_from_whoever_subscribes_to_more() {
    let policy = statements(json!([
        { "Effect": "Allow", "Action": "iot:Subscribe", "Resource": "arn:aws:iot:us-east-1:123456789012:topicfilter/a/*" },
        { "Effect": "Allow", "Action": "iot:Receive", "NotResource": "arn:aws:iot:us-east-1:123456789012:topic/a/restricted/*" }
    ]));
    let lamp = client("lamp");
    assert!(allows(&policy, &lamp, A::Subscribe, "a/#") && allows(&policy, &lamp, A::Receive, "a/b"));
    assert!(!allows(&policy, &lamp, A::Receive, "a/restricted/b"));
    let but_connect = statements(json!([{ "Effect": "Allow", "NotAction": "iot:Connect", "Resource": "*" }]));
    assert!(allows(&but_connect, &lamp, A::Publish, "x") && !allows(&but_connect, &lamp, A::Connect, "lamp"));
}

#[test]
fn every_statement_says_why_it_does_not_apply() {
    let policy = statements(json!([
        { "Effect": "Allow", "Action": "iot:Connect", "Resource": "*" },
        { "Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:::topic/x" },
        { "Effect": "Allow", "Action": "iot:Publish", "Resource": "arn:aws:iot:::topic/${iot:Connection.Thing.ThingName}" },
        { "Effect": "Allow", "Action": "iot:Publish", "NotResource": "*" },
        { "Sid": "office", "Effect": "Allow", "Action": "iot:Publish", "Resource": "*",
          "Condition": { "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } } },
        { "Effect": "Deny", "Action": "iot:Publish", "Resource": "arn:aws:iot:::topic/l*" }
    ]));
    let found = explain([&policy], &Request { action: A::Publish, resource: "lamp", client: &client("lamp") });
    let reasons: Vec<&str> = found.iter().map(|finding| finding.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "it is about other resources",
            "the client has no value for ${iot:Connection.Thing.ThingName}",
            "the resource is one of its NotResource",
            "its condition IpAddress on aws:SourceIp does not hold",
            "action, resource and conditions fit",
        ]
    );
    assert_eq!((found[3].sid.as_deref(), found[3].statement), (Some("office"), 5));
    assert!(found.iter().map(|finding| finding.applies).eq([false, false, false, false, true]));
}

#[test]
fn the_default_policies_are_within_awss_limit() {
    let names: BTreeMap<&str, _> = DEFAULTS.iter().map(|policy| (policy.name, policy.group)).collect();
    let of_groups = [(INTERMEDIATE, Some("unverified")), (STANDARD, Some("verified"))];
    let others = [INITIAL, PEOPLE, PEOPLE_OPERATORS].map(|name| (name, None));
    assert_eq!(names, of_groups.into_iter().chain(others).collect());
    for default in DEFAULTS {
        default_policy(default.name);
    }
}
