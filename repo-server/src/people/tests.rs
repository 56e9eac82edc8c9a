//! People over a database of SQLite; `tests/server` has them over HTTP and MQTT, and on PostgreSQL.

use super::{People, PeopleError, Person, PersonSubject, SignInError};
use crate::audit::Actor;
use crate::database::{self, DatabasePlace};
use crate::policies::Policies;
use crate::things::Registry;
use fleet_protocol::access::Role;
use fleet_protocol::names::{ThingName, UserName};
use fleet_protocol::people::{Credentials, MQTT_TOKEN_SECONDS, NewUser, UserChange};
use fleet_protocol::policy::Action;
use fleet_protocol::things::NewThingGroup;
use jiff::Timestamp;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery";
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Seconds that the people's clock is ahead. Only one test moves it.
static AHEAD: AtomicI64 = AtomicI64::new(0);

fn clock() -> Timestamp {
    Timestamp::now() + jiff::SignedDuration::from_secs(AHEAD.load(Ordering::Relaxed))
}

struct Fleet {
    _folder: TempDir,
    registry: Registry,
    people: People,
    actor: Actor,
}

fn anna() -> UserName {
    "anna".parse().unwrap()
}

impl Fleet {
    /// The things `lamp`, which is in `kitchen` within `house`, and `bell`, which is in no group; and the operator `anna`.
    async fn new(clock: fn() -> Timestamp) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = database::create(&DatabasePlace::File(folder.path().join("db"))).await.unwrap();
        let registry = Registry::open(database.clone(), Timestamp::now).await.unwrap();
        let policies = Policies::open(database.clone(), registry.generation(), Timestamp::now).await.unwrap();
        let people = People::open(database, registry.generation(), Arc::new(policies), clock).await.unwrap();
        let fleet = Self { _folder: folder, registry, people, actor: Actor::local("test") };
        for thing in ["lamp", "bell"] {
            let new = serde_json::from_str("{}").unwrap();
            fleet.registry.create_thing(&thing.parse().unwrap(), &new, &fleet.actor).await.unwrap();
        }
        for (group, parent) in [("house", None), ("kitchen", Some("house"))] {
            let parent_group_name = parent.map(|parent| parent.parse().unwrap());
            let new = NewThingGroup { parent_group_name, ..serde_json::from_str("{}").unwrap() };
            fleet.registry.create_group(&group.parse().unwrap(), new, &fleet.actor).await.unwrap();
        }
        fleet.registry.add_to_group(&"kitchen".parse().unwrap(), &"lamp".parse().unwrap(), &fleet.actor).await.unwrap();
        let new = NewUser { display_name: String::new(), role: Role::Operator, password: Some(PASSWORD.to_owned()) };
        fleet.people.create(&anna(), new, &fleet.actor).await.unwrap();
        fleet
    }

    async fn may(&self, action: Action, resource: &str) -> bool {
        let subject = PersonSubject { user: anna(), client_id: "$user/anna/1".to_owned(), address: HERE };
        let decision = self.people.decide(&subject, action, resource).await.unwrap();
        let tested = self.people.test(&subject, action, resource).await.unwrap();
        assert_eq!(decision, tested.decision);
        decision.is_allowed()
    }

    async fn sees(&self, thing: &str) -> bool {
        self.may(Action::Receive, &format!("sensor/device/{thing}")).await
    }

    async fn sign_in(&self, name: &str, password: &str) -> Result<String, SignInError> {
        let credentials = Credentials { user_name: name.to_owned(), password: password.to_owned() };
        self.people.sign_in(credentials, HERE).await.map(|made| made.token)
    }
}

#[tokio::test]
async fn a_person_sees_what_is_given_to_them_and_at_once_no_longer_what_is_taken() {
    let fleet = Fleet::new(Timestamp::now).await;
    let (people, registry, actor) = (&fleet.people, &fleet.registry, &fleet.actor);
    let (lamp, bell): (&ThingName, &ThingName) = (&"lamp".parse().unwrap(), &"bell".parse().unwrap());
    let (house, kitchen) = (&"house".parse().unwrap(), &"kitchen".parse().unwrap());
    assert!(!fleet.sees("lamp").await && !fleet.sees("bell").await);
    assert!(people.give_group(&anna(), house, actor).await.unwrap());
    assert!(!people.give_group(&anna(), house, actor).await.unwrap(), "they have it already");
    assert!(fleet.sees("lamp").await, "in a group within it");
    assert!(people.give_thing(&anna(), bell, actor).await.unwrap());
    assert!(fleet.sees("bell").await);
    let seen = people.things_of(&anna(), 1, "").await.unwrap();
    assert_eq!((seen.things, seen.next.as_deref()), (vec![bell.clone()], Some("bell")));
    assert_eq!(people.things_of(&anna(), 9, "bell").await.unwrap().things, std::slice::from_ref(lamp));
    assert!(fleet.may(Action::Publish, "$aws/things/lamp/shadow/update").await);
    // A group that changes, and what is given that changes.
    registry.remove_from_group(kitchen, lamp, actor).await.unwrap();
    assert!(!fleet.sees("lamp").await);
    registry.add_to_group(kitchen, lamp, actor).await.unwrap();
    assert!(fleet.sees("lamp").await);
    assert!(people.take_group(&anna(), house, actor).await.unwrap());
    assert!(!fleet.sees("lamp").await && fleet.sees("bell").await);
    registry.delete_thing(bell, actor).await.unwrap();
    let new = serde_json::from_str("{}").unwrap();
    registry.create_thing(bell, &new, actor).await.unwrap();
    assert!(!fleet.sees("bell").await, "it is another one");
    let warm = serde_json::from_str(r#"{"queryString":"attributes.color:warm"}"#).unwrap();
    registry.create_group(&"warm".parse().unwrap(), warm, actor).await.unwrap();
    people.give_group(&anna(), &"warm".parse().unwrap(), actor).await.unwrap();
    assert!(!fleet.sees("sun").await);
    let new = serde_json::from_str(r#"{"attributePayload":{"attributes":{"color":"warm"}}}"#).unwrap();
    registry.create_thing(&"sun".parse().unwrap(), &new, actor).await.unwrap();
    assert!(fleet.sees("sun").await, "a dynamic group holds it");
    assert_eq!(people.user(&anna()).await.unwrap().things, []);
    let missing = people.give_thing(&anna(), &"moon".parse().unwrap(), actor).await.unwrap_err();
    assert!(matches!(missing, PeopleError::NoThing(_)), "{missing}");
}

#[tokio::test]
async fn the_role_decides_and_the_disabled_may_nothing() {
    let fleet = Fleet::new(Timestamp::now).await;
    let (people, actor) = (&fleet.people, &fleet.actor);
    people.give_group(&anna(), &"kitchen".parse().unwrap(), actor).await.unwrap();
    let update = "$aws/things/lamp/shadow/update";
    assert!(fleet.may(Action::Publish, update).await && fleet.may(Action::Connect, "$user/anna/1").await);
    let viewer = UserChange { role: Some(Role::Viewer), ..UserChange::default() };
    people.update(&anna(), viewer, actor).await.unwrap();
    assert!(!fleet.may(Action::Publish, update).await && fleet.sees("lamp").await);
    let disabled = UserChange { enabled: Some(false), ..UserChange::default() };
    people.update(&anna(), disabled, actor).await.unwrap();
    assert!(!fleet.may(Action::Connect, "$user/anna/1").await && !fleet.sees("lamp").await);
    assert!(matches!(fleet.sign_in("anna", PASSWORD).await, Err(SignInError::Wrong)));
    let refused = people.token_for(&anna(), None, actor).await.err().unwrap().to_string();
    assert!(refused.contains("--enable"), "{refused}");
}

#[tokio::test]
async fn secrets_end_with_the_session_the_password_the_user_and_their_time() {
    let fleet = Fleet::new(clock).await;
    let (people, actor) = (&fleet.people, &fleet.actor);
    let begin = async || {
        let secret = fleet.sign_in("anna", PASSWORD).await.unwrap();
        let signed_in = people.session(&secret).await.unwrap();
        let token = people.token_in_session(&signed_in, None).await.unwrap().secret;
        let person = people.person(&token).await.unwrap();
        assert!(person.user == anna() && people.standing_tokens().await.unwrap().contains(&person.token));
        (secret, signed_in, token, person)
    };
    let ended = async |secret: &str, token: &str, person: &Person| {
        assert!(matches!(people.session(secret).await, Err(SignInError::Ended)));
        assert!(matches!(people.person(token).await, Err(SignInError::NoMqttToken)));
        assert!(!people.standing_tokens().await.unwrap().contains(&person.token));
    };
    let (secret, signed_in, token, person) = begin().await;
    // One kind is not the other.
    assert!(matches!(people.session(&token).await, Err(SignInError::OtherSecret(_))));
    assert!(matches!(people.person(&secret).await, Err(SignInError::NoMqttToken)));
    people.sign_out(&signed_in, actor).await.unwrap();
    ended(&secret, &token, &person).await;
    let late = people.token_in_session(&signed_in, None).await.err().unwrap();
    assert!(matches!(late, PeopleError::InTheWay(_)), "{late}");

    let (secret, _, token, person) = begin().await;
    people.set_password(&anna(), "another long password", actor).await.unwrap();
    ended(&secret, &token, &person).await;
    people.set_password(&anna(), PASSWORD, actor).await.unwrap();

    let (secret, _, token, person) = begin().await;
    assert_eq!(people.end_sessions(&anna(), actor).await.unwrap(), 2);
    ended(&secret, &token, &person).await;

    let (secret, signed_in, token, _) = begin().await;
    AHEAD.store(i64::from(MQTT_TOKEN_SECONDS) + 1, Ordering::Relaxed);
    assert!(matches!(people.person(&token).await, Err(SignInError::NoMqttToken)), "its time is over");
    assert!(people.session(&secret).await.is_ok());
    for seconds in [0, MQTT_TOKEN_SECONDS + 1] {
        assert!(people.token_in_session(&signed_in, Some(seconds)).await.is_err(), "{seconds}");
    }
    people.sweep().await.unwrap();
    let short = people.token_for(&anna(), Some(1), actor).await.unwrap();
    people.delete(&anna(), actor).await.unwrap();
    assert!(people.person(&short.secret).await.is_err() && people.session(&secret).await.is_err());
}

#[tokio::test]
async fn whoever_guesses_passwords_has_to_wait_and_learns_no_names() {
    let fleet = Fleet::new(Timestamp::now).await;
    let mut told = Vec::new();
    for name in ["anna", "nobody", "no name at all", "anna"] {
        told.push(fleet.sign_in(name, "wrong password").await.unwrap_err().to_string());
    }
    told.push(fleet.sign_in("anna", &"x".repeat(10_000)).await.unwrap_err().to_string());
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    // Many at once are as many.
    let guesses = (0..20).map(|_| fleet.sign_in("anna", ""));
    let told = futures_util::future::join_all(guesses).await;
    assert_eq!(told.iter().filter(|answer| matches!(answer, Err(SignInError::Wrong))).count(), 5);
    assert!(matches!(fleet.sign_in("anna", PASSWORD).await, Err(SignInError::TooMany { .. })));
    let credentials = Credentials { user_name: "anna".to_owned(), password: PASSWORD.to_owned() };
    assert!(fleet.people.sign_in(credentials, [192, 0, 2, 1].into()).await.is_ok(), "others are not concerned");
}

#[tokio::test]
async fn of_too_many_tokens_the_oldest_leave() {
    let fleet = Fleet::new(Timestamp::now).await;
    let mut tokens = Vec::new();
    for _ in 0..102 {
        tokens.push(fleet.people.token_for(&anna(), None, &fleet.actor).await.unwrap().secret);
    }
    let mut counting = 0;
    for token in &tokens {
        counting += usize::from(fleet.people.person(token).await.is_ok());
    }
    assert_eq!(counting, 100);
    assert!(fleet.people.person(&tokens[101]).await.is_ok());
}
