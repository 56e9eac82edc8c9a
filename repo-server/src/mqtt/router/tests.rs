use super::*;
use crate::audit::Audit;
use crate::database::{self, DatabasePlace};
use crate::messaging::Audience;
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::AnyPool;
use tempfile::TempDir;

struct Fleet {
    _folder: TempDir,
    database: AnyPool,
    services: Services,
    sender: Sender,
}

fn clock() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

impl Fleet {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = database::create(&DatabasePlace::File(folder.path().join("db"))).await.unwrap();
        sqlx::query("INSERT INTO things (name, id, attributes, version, created_at) VALUES ('lamp', '1', '{}', 1, 0)")
            .execute(&database)
            .await
            .unwrap();
        let shadows = Shadows::new(database.clone(), Audit::new(database.clone(), clock), clock);
        let registry = Arc::new(Registry::open(database.clone(), clock).await.unwrap());
        let provisioning = Provisioning::for_tests(folder.path(), database.clone()).await;
        let services = Services { shadows: Arc::new(shadows), registry, provisioning };
        let principal = Principal::Device("0".repeat(64).parse().unwrap());
        let sender = Sender { client_id: "lamp".to_owned(), principal, address: [127, 0, 0, 1].into() };
        Self { _folder: folder, database, services, sender }
    }

    async fn said(&self, topic: &str, payload: &str) -> Vec<(String, Value)> {
        let answers = self.services.answer(&self.sender, topic, payload.as_bytes()).await.unwrap();
        let said = answers.into_iter().map(|answer| {
            assert_eq!(answer.audience, Audience::Subscribers);
            (answer.topic, serde_json::from_slice(&answer.payload).unwrap())
        });
        said.collect()
    }
}

const CLASSIC: &str = "$aws/things/lamp/shadow";

#[tokio::test]
async fn a_shadow_is_made_told_got_and_deleted() {
    let fleet = Fleet::new().await;
    let said = fleet.said(&format!("{CLASSIC}/update"), r#"{"state":{"desired":{"on":true}},"clientToken":"t"}"#).await;
    let topics: Vec<&str> = said.iter().map(|(topic, _)| topic.strip_prefix(CLASSIC).unwrap()).collect();
    assert_eq!(topics, ["/update/accepted", "/update/delta", "/update/documents"]);
    for (topic, payload) in &said {
        assert_eq!(payload["clientToken"], "t", "{topic}");
    }
    assert_eq!(said[1].1["state"], json!({"on": true}));
    assert_eq!(said[2].1["previous"], json!({"state": {}, "metadata": {}, "version": 0}));

    let said = fleet.said(&format!("{CLASSIC}/update"), r#"{"state":{"reported":{"on":true}}}"#).await;
    assert_eq!(said.len(), 2, "no delta: {said:?}");
    let got = fleet.said(&format!("{CLASSIC}/get"), "").await;
    let stamp = json!({"on": {"timestamp": 1_800_000_000}});
    assert_eq!(
        got,
        [(
            format!("{CLASSIC}/get/accepted"),
            json!({
                "state": {"desired": {"on": true}, "reported": {"on": true}},
                "metadata": {"desired": stamp, "reported": stamp},
                "version": 2, "timestamp": 1_800_000_000,
            })
        )]
    );
    let gone = fleet.said(&format!("{CLASSIC}/delete"), "anything").await;
    assert_eq!(gone, [(format!("{CLASSIC}/delete/accepted"), json!({"version": 2, "timestamp": 1_800_000_000}))]);
    let (topic, refusal) = fleet.said(&format!("{CLASSIC}/get"), r#"{"clientToken":"u"}"#).await.remove(0);
    assert_eq!(topic, format!("{CLASSIC}/get/rejected"));
    let words = "No shadow exists with name: 'lamp'";
    assert_eq!(refusal, json!({"code": 404, "message": words, "timestamp": 1_800_000_000, "clientToken": "u"}));
    let said = fleet.said(&format!("{CLASSIC}/update"), r#"{"state":{"reported":{"on":false}}}"#).await;
    assert_eq!(said[0].1["version"], 3, "the version of a deleted shadow goes on");
}

#[tokio::test]
async fn a_refusal_carries_the_token_and_changes_nothing() {
    let fleet = Fleet::new().await;
    let long = format!(r#"{{"state":{{"desired":{{"a":"{}"}}}},"clientToken":"t"}}"#, "x".repeat(8200));
    let cases = [
        (r#"{"state":{"desired":{"l":[null]}},"clientToken":"t"}"#, 400),
        (r#"{"state":{"desired":{"a":1}},"version":7,"clientToken":"t"}"#, 409),
        (long.as_str(), 413),
    ];
    for (request, code) in cases {
        let said = fleet.said(&format!("{CLASSIC}/update"), request).await;
        assert_eq!(said[0].0, format!("{CLASSIC}/update/rejected"));
        assert_eq!((&said[0].1["code"], &said[0].1["clientToken"]), (&json!(code), &json!("t")), "{said:?}");
    }
    assert_eq!(fleet.said(&format!("{CLASSIC}/get"), "").await[0].1["code"], 404);
    let other = fleet.said("$aws/things/fan/shadow/update", r#"{"state":{}}"#).await;
    assert_eq!((&other[0].1["code"], &other[0].1["message"]), (&json!(404), &json!("Thing not found")));
}

#[tokio::test]
async fn what_only_the_server_may_say_goes_nowhere() {
    let fleet = Fleet::new().await;
    for topic in ["update/accepted", "update/delta", "update/documents", "name/update", "unheard/of"] {
        assert!(fleet.said(&format!("{CLASSIC}/{topic}"), "{}").await.is_empty(), "{topic}");
    }
    assert!(fleet.said("$aws/events/presence/connected/lamp", "{}").await.is_empty());
    for topic in ["sensor/device/lamp", "aws/things/lamp/shadow/update", "$SYS/x", ""] {
        assert!(fleet.services.answer(&fleet.sender, topic, b"{}").await.is_none(), "{topic}");
    }
}

#[tokio::test]
async fn a_person_sets_what_is_desired_in_their_own_name_and_reports_nothing() {
    let mut fleet = Fleet::new().await;
    let principal = Principal::Person { user: "anna".parse().unwrap(), token: "4711".to_owned() };
    fleet.sender = Sender { client_id: "$user/anna/1".to_owned(), principal, address: [192, 0, 2, 1].into() };
    let update = format!("{CLASSIC}/update");
    for payload in [
        r#"{"state":{"reported":{"on":true}},"clientToken":"t"}"#,
        r#"{"state":{"desired":{"on":true},"reported":null},"clientToken":"t"}"#,
        r#"{"state":null,"clientToken":"t"}"#,
    ] {
        let [(topic, told)] = fleet.said(&update, payload).await.try_into().unwrap();
        assert_eq!((topic.strip_prefix(CLASSIC), &told["code"]), (Some("/update/rejected"), &json!(403)), "{payload}");
        assert_eq!(told["clientToken"], "t");
    }
    let said = fleet.said(&update, r#"{"state":{"desired":{"on":true}}}"#).await;
    assert!(said[0].0.ends_with("/update/accepted"), "{said:?}");
    let noted = Audit::new(fleet.database.clone(), clock).page(9, None).await.unwrap().entries;
    let [entry] = &noted[..] else { panic!("{noted:?}") };
    assert_eq!((entry.actor.as_str(), entry.token.as_deref()), ("anna", Some("4711")));
    assert!(fleet.said("$aws/certificates/create-from-csr/json", "{}").await.is_empty(), "a person becomes no thing");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_update_is_lost_among_many_at_once() {
    let fleet = Fleet::new().await;
    let count = |n: usize| {
        let services = fleet.services.clone();
        let sender = fleet.sender.clone();
        async move {
            let payload = format!(r#"{{"state":{{"reported":{{"k{n}":{n}}}}}}}"#);
            services.answer(&sender, &format!("{CLASSIC}/update"), payload.as_bytes()).await.unwrap()
        }
    };
    let tasks: Vec<_> = (0..60).map(|n| tokio::spawn(count(n))).collect();
    let mut versions = Vec::new();
    for task in tasks {
        let said = task.await.unwrap();
        let accepted: Value = serde_json::from_slice(&said[0].payload).unwrap();
        versions.push(accepted["version"].as_u64().unwrap());
    }
    versions.sort_unstable();
    assert_eq!(versions, (1..=60).collect::<Vec<u64>>());
    let got = fleet.said(&format!("{CLASSIC}/get"), "").await;
    assert_eq!(got[0].1["state"]["reported"].as_object().unwrap().len(), 60);
}

#[tokio::test]
async fn a_device_cannot_fill_the_database_with_names() {
    let fleet = Fleet::new().await;
    let named = |n: usize| format!("{CLASSIC}/name/n{n}");
    for n in 0..100 {
        let said = fleet.said(&format!("{}/update", named(n)), r#"{"state":{}}"#).await;
        assert!(said[0].0.ends_with("/update/accepted"), "{said:?}");
        fleet.said(&format!("{}/delete", named(n)), "").await;
    }
    let said = fleet.said(&format!("{}/update", named(100)), r#"{"state":{}}"#).await;
    assert_eq!(said[0].1["code"], 400, "{said:?}");
    assert!(fleet.said(&format!("{CLASSIC}/update"), r#"{"state":{}}"#).await[0].0.ends_with("accepted"));
    // Two days later the versions of what was deleted are of no use to anybody.
    sqlx::query("UPDATE shadows SET updated_at = updated_at - 172801").execute(&fleet.database).await.unwrap();
    let said = fleet.said(&format!("{}/update", named(100)), r#"{"state":{}}"#).await;
    assert!(said[0].0.ends_with("/update/accepted"), "{said:?}");
    let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM shadows").fetch_one(&fleet.database).await.unwrap();
    assert_eq!(rows, 2);
}
