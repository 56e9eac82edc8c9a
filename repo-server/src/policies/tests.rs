//! Decisions over a database of SQLite; `tests/server` has them over HTTP and on PostgreSQL.

use super::{Policies, PolicyError, Subject};
use crate::audit::Actor;
use crate::database::{self, DatabasePlace};
use fleet_protocol::names::{CertificateId, PolicyName};
use fleet_protocol::policies::{MOST_POLICIES_OF_TARGET, MOST_VERSIONS, NewPolicy, NewPolicyVersion, PolicyTarget};
use fleet_protocol::policy::Action;
use jiff::Timestamp;
use sqlx::{AnyPool, AssertSqlSafe};
use tempfile::TempDir;
use tokio::sync::watch;

struct Fleet {
    _folder: TempDir,
    database: AnyPool,
    policies: Policies,
    /// As the registry of things does.
    registry: watch::Sender<i64>,
    actor: Actor,
}

fn id(digit: char) -> CertificateId {
    digit.to_string().repeat(64).parse().unwrap()
}

fn name(text: &str) -> PolicyName {
    text.parse().unwrap()
}

fn group(name: &str) -> PolicyTarget {
    PolicyTarget::Group { name: name.parse().unwrap() }
}

/// Allows one action on one topic.
fn document(action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"{action}","Resource":"arn:aws:iot:::{resource}"}}}}"#
    )
}

impl Fleet {
    /// The certificate `a` is attached to `lamp`, which is in `kitchen` within `house`, and to `bell`, which is in no group.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = database::create(&DatabasePlace::File(folder.path().join("db"))).await.unwrap();
        let (registry, generation) = watch::channel(0);
        let policies = Policies::open(database.clone(), generation, Timestamp::now).await.unwrap();
        let actor = Actor::local("test");
        let fleet = Self { _folder: folder, database, policies, registry, actor };
        fleet
            .sql(&format!(
                "INSERT INTO certificates (id, pem, serial, subject, kind, status, not_before, not_after, created_at) \
                 VALUES ('{}', '', '1', '', 'device', 'ACTIVE', 0, 0, 0), ('{}', '', '2', '', 'device', 'ACTIVE', 0, 0, 0)",
                id('a'),
                id('b')
            ))
            .await;
        fleet
            .sql(
                "INSERT INTO things (name, id, attributes, version, created_at) \
                 VALUES ('lamp', 'x', '{\"site\":\"berlin\"}', 1, 0), ('bell', 'y', '{}', 1, 0)",
            )
            .await;
        for (name, parent) in [("house", "NULL"), ("kitchen", "'house'"), ("verified", "NULL")] {
            fleet
                .sql(&format!(
                    "INSERT INTO thing_groups (name, id, parent, description, attributes, version, created_at) \
                     VALUES ('{name}', '{name}', {parent}, '', '{{}}', 1, 0) ON CONFLICT (name) DO NOTHING"
                ))
                .await;
        }
        fleet.sql("INSERT INTO thing_group_members (group_name, thing) VALUES ('kitchen', 'lamp')").await;
        for thing in ["lamp", "bell"] {
            fleet
                .sql(&format!("INSERT INTO thing_principals (thing, certificate) VALUES ('{thing}', '{}')", id('a')))
                .await;
        }
        fleet
    }

    /// A change of the registry, which then tells of it.
    async fn sql(&self, statement: &str) {
        sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&self.database).await.unwrap();
        self.registry.send_modify(|generation| *generation += 1);
    }

    async fn create(&self, policy: &str, document: &str) {
        let new = NewPolicy { name: name(policy), document: document.to_owned() };
        assert!(self.policies.create(&new, &self.actor).await.unwrap().1);
    }

    async fn attach(&self, policy: &str, target: &PolicyTarget) {
        self.policies.attach(&name(policy), target, &self.actor).await.unwrap();
    }

    async fn allows(&self, client: &str, action: Action, resource: &str) -> bool {
        let subject = Subject {
            client_id: client.to_owned(),
            certificate: id('a'),
            address: [192, 0, 2, 7].into(),
            persistent: false,
            will_topic: None,
        };
        self.policies.decide(&subject, action, resource).await.unwrap().is_allowed()
    }

    async fn publishes(&self, client: &str, topic: &str) -> bool {
        self.allows(client, Action::Publish, topic).await
    }
}

#[tokio::test]
async fn a_things_groups_and_their_parents_count_for_the_client_of_its_name() {
    let fleet = Fleet::new().await;
    fleet.create("own", &document("iot:Publish", "topic/own")).await;
    fleet.create("site", &document("iot:Publish", "topic/${iot:Connection.Thing.Attributes[site]}/*")).await;
    fleet.create("house", &document("iot:Publish", "topic/house")).await;
    assert!(!fleet.publishes("lamp", "own").await, "nothing is attached yet");
    fleet.attach("own", &PolicyTarget::Certificate { id: id('a') }).await;
    fleet.attach("site", &group("kitchen")).await;
    fleet.attach("house", &group("house")).await;
    for client in ["lamp", "lamp/console"] {
        for topic in ["own", "berlin/x", "house"] {
            assert!(fleet.publishes(client, topic).await, "{client} {topic}");
        }
    }
    for client in ["bell", "lam", "lamp2", "", "other/lamp"] {
        assert!(fleet.publishes(client, "own").await, "{client}");
        assert!(!fleet.publishes(client, "berlin/x").await, "{client}");
    }
    assert!(!fleet.publishes("bell", "house").await, "it is another thing of the same certificate");
}

#[tokio::test]
async fn no_client_id_evades_what_is_denied_to_a_certificates_things() {
    let fleet = Fleet::new().await;
    let all = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    fleet.create("all", all).await;
    fleet.create("quarantine", &all.replace("Allow", "Deny")).await;
    fleet.attach("all", &PolicyTarget::Certificate { id: id('a') }).await;
    fleet.attach("quarantine", &group("house")).await;
    for client in ["lamp", "lamp/x", "other", ""] {
        assert!(!fleet.publishes(client, "x").await, "{client}");
    }
    assert!(fleet.publishes("bell", "x").await, "it is in no such group");
}

#[tokio::test]
async fn whatever_changes_holds_at_once() {
    let fleet = Fleet::new().await;
    fleet.create("house", &document("iot:Publish", "topic/${iot:Connection.Thing.Attributes[site]}")).await;
    fleet.attach("house", &group("house")).await;
    assert!(fleet.publishes("lamp", "berlin").await);
    fleet.sql("UPDATE things SET attributes = '{\"site\":\"rome\"}' WHERE name = 'lamp'").await;
    assert!(!fleet.publishes("lamp", "berlin").await && fleet.publishes("lamp", "rome").await);
    fleet.sql("UPDATE thing_groups SET parent = NULL WHERE name = 'kitchen'").await;
    assert!(!fleet.publishes("lamp", "rome").await);
    fleet.sql("INSERT INTO thing_group_members (group_name, thing) VALUES ('house', 'lamp')").await;
    assert!(fleet.publishes("lamp", "rome").await);
    let new = NewPolicyVersion { document: document("iot:Publish", "topic/second"), set_as_default: false };
    fleet.policies.create_version(&name("house"), &new, &fleet.actor).await.unwrap();
    assert!(fleet.publishes("lamp", "rome").await && !fleet.publishes("lamp", "second").await, "it is not in force");
    fleet.policies.set_default(&name("house"), 2, &fleet.actor).await.unwrap();
    assert!(!fleet.publishes("lamp", "rome").await && fleet.publishes("lamp", "second").await);
    fleet.policies.detach(&name("house"), &group("house"), &fleet.actor).await.unwrap();
    assert!(!fleet.publishes("lamp", "second").await);
    fleet.sql("DELETE FROM thing_principals WHERE thing = 'lamp'").await;
    fleet.attach("house", &group("house")).await;
    assert!(!fleet.publishes("lamp", "second").await);
}

#[tokio::test]
async fn what_another_process_changes_holds_after_a_look() {
    let fleet = Fleet::new().await;
    let (_, generation) = watch::channel(0);
    let other = Policies::open(fleet.database.clone(), generation, Timestamp::now).await.unwrap();
    let new = NewPolicy { name: name("p"), document: document("iot:Publish", "topic/x") };
    other.create(&new, &fleet.actor).await.unwrap();
    assert!(!fleet.publishes("lamp", "x").await);
    other.attach(&name("p"), &PolicyTarget::Certificate { id: id('a') }, &fleet.actor).await.unwrap();
    fleet.policies.generation.look().await.unwrap();
    assert!(fleet.publishes("lamp", "x").await);
}

#[tokio::test]
async fn a_document_that_cannot_be_read_denies_those_it_counts_for() {
    let fleet = Fleet::new().await;
    fleet.create("own", &document("iot:Publish", "topic/x")).await;
    fleet.attach("own", &PolicyTarget::Certificate { id: id('a') }).await;
    fleet.sql("UPDATE policy_versions SET document = '{}' WHERE policy = 'own'").await;
    fleet.sql("UPDATE policy_generation SET value = value + 1").await;
    fleet.policies.generation.look().await.unwrap();
    let subject = |certificate| Subject {
        client_id: "lamp".to_owned(),
        certificate,
        address: [192, 0, 2, 7].into(),
        persistent: false,
        will_topic: None,
    };
    let error = fleet.policies.decide(&subject(id('a')), Action::Publish, "x").await.unwrap_err();
    assert!(matches!(error, PolicyError::Stored { .. }), "{error}");
    assert!(!fleet.policies.decide(&subject(id('b')), Action::Publish, "x").await.unwrap().is_allowed());
}

#[tokio::test]
async fn awss_limits_hold_and_no_number_of_a_version_is_given_twice() {
    let fleet = Fleet::new().await;
    fleet.create("p", &document("iot:Publish", "topic/1")).await;
    let new = |number: usize| NewPolicyVersion {
        document: document("iot:Publish", &format!("topic/{number}")),
        set_as_default: false,
    };
    for number in 2..=MOST_VERSIONS {
        fleet.policies.create_version(&name("p"), &new(number), &fleet.actor).await.unwrap();
    }
    let sixth = fleet.policies.create_version(&name("p"), &new(6), &fleet.actor).await.unwrap_err();
    assert!(matches!(sixth, PolicyError::TooManyVersions(_)), "{sixth}");
    let in_force = fleet.policies.delete_version(&name("p"), 1, &fleet.actor).await.unwrap_err();
    assert!(matches!(in_force, PolicyError::InForce { .. }), "{in_force}");
    fleet.policies.delete_version(&name("p"), 5, &fleet.actor).await.unwrap();
    let made = fleet.policies.create_version(&name("p"), &new(6), &fleet.actor).await.unwrap();
    assert_eq!(made.version.version, 6);
    let target = PolicyTarget::Certificate { id: id('a') };
    for number in 0..MOST_POLICIES_OF_TARGET {
        fleet.create(&format!("p{number}"), &document("iot:Publish", "topic/x")).await;
        fleet.attach(&format!("p{number}"), &target).await;
        fleet.attach(&format!("p{number}"), &target).await;
    }
    let eleventh = fleet.policies.attach(&name("p"), &target, &fleet.actor).await.unwrap_err();
    assert!(matches!(eleventh, PolicyError::TooManyAttached(_)), "{eleventh}");
    assert!(!fleet.publishes("lamp", "1").await, "it was not attached");
}

#[tokio::test]
async fn default_policies_are_made_once_and_what_an_owner_changed_stays() {
    let fleet = Fleet::new().await;
    let verified = fleet.policies.targets(&name("standard"), 10, "").await.unwrap().targets;
    assert_eq!(verified, [group("verified")]);
    fleet.policies.detach(&name("standard"), &group("verified"), &fleet.actor).await.unwrap();
    let error = fleet.policies.delete(&name("standard"), &fleet.actor).await.unwrap_err();
    assert!(matches!(error, PolicyError::Default(_)), "{error}");
    let (_, generation) = watch::channel(0);
    let again = Policies::open(fleet.database.clone(), generation, Timestamp::now).await.unwrap();
    assert!(again.targets(&name("standard"), 10, "").await.unwrap().targets.is_empty());
    assert_eq!(again.page(10, "").await.unwrap().policies.len(), 5);
}
