use super::*;
use crate::audit::Actor;
use crate::database::{self, DatabasePlace};
use fleet_protocol::fleet_query::Query;
use fleet_protocol::names::{CertificateId, GroupName};
use fleet_protocol::things::{NewThing, NewThingGroup, Registration, ThingChange};
use serde_json::json;
use tempfile::TempDir;

async fn registry() -> (TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    let database = database::create(&DatabasePlace::File(folder.path().join("db"))).await.unwrap();
    (folder, Registry::open(database, Timestamp::now).await.unwrap())
}

fn somebody() -> Actor {
    Actor { name: "somebody".to_owned(), token: None, remote_address: "local".to_owned() }
}

fn thing(name: &str) -> ThingName {
    name.parse().unwrap()
}

fn group(name: &str) -> GroupName {
    name.parse().unwrap()
}

impl Registry {
    async fn make(&self, name: &str, attributes: serde_json::Value) {
        let new: NewThing =
            serde_json::from_value(json!({ "attributePayload": { "attributes": attributes } })).unwrap();
        assert!(self.create_thing(&thing(name), &new, &somebody()).await.unwrap().1);
    }

    async fn make_group(&self, name: &str, new: serde_json::Value) -> Result<(), RegistryError> {
        let new: NewThingGroup = serde_json::from_value(new).unwrap();
        self.create_group(&group(name), new, &somebody()).await.map(|_| ())
    }

    async fn report(&self, name: &str, shadow: &str, reported: serde_json::Value) {
        let document = json!({ "state": { "reported": reported }, "metadata": {} }).to_string();
        sqlx::query(
            "INSERT INTO shadows (thing, name, version, document, updated_at) VALUES ($1, $2, 1, $3, 0) \
             ON CONFLICT (thing, name) DO UPDATE SET version = shadows.version + 1, document = excluded.document",
        )
        .bind(name)
        .bind(shadow)
        .bind(document)
        .execute(&self.database)
        .await
        .unwrap();
    }

    async fn held(&self, name: &str) -> Vec<String> {
        let members = self.members(&group(name), true, 100, "").await.unwrap();
        members.things.iter().map(ToString::to_string).collect()
    }

    async fn found(&self, query: &str) -> Vec<String> {
        let query: Query = query.parse().unwrap();
        let page = self.search(&query, 100, "").await.unwrap();
        page.things.iter().map(|found| found.thing.thing_name.to_string()).collect()
    }
}

/// The queries and how many of the four things below each finds.
const QUERIES: [(&str, usize); 36] = [
    ("*", 4),
    ("lamp-1", 1),
    ("kitchen", 2),
    ("thingName:LAMP*", 3),
    ("thingName:*-?", 3),
    ("thingName:a%", 0),
    ("thingName:(lamp-1 OR tv_1)", 2),
    ("thingTypeName:*", 0),
    ("NOT thingTypeName:lamp", 4),
    ("thingGroupNames:home", 1),
    ("NOT thingGroupNames:h*", 3),
    ("attributes.room:kitchen", 2),
    ("attributes.room:k*n", 2),
    ("attributes.room:*", 3),
    ("NOT attributes.room:*", 1),
    ("-attributes.room:kitchen", 2),
    ("attributes.watts:[5 TO 10]", 2),
    ("attributes.watts:{5 TO 10]", 1),
    ("attributes.watts<5.5", 2),
    ("attributes.watts:5", 1),
    ("attributes.watts:[\"1\" TO \"5\"]", 2),
    ("attributes.serial:{\"ab_\" TO *]", 1),
    ("attributes.serial:ab_", 1),
    ("attributes.serial:ab?", 2),
    ("attributes.fw:1.1", 1),
    ("shadow.reported.battery:80", 1),
    ("shadow.reported.battery:80.0", 1),
    ("shadow.reported.battery:8*", 0),
    ("shadow.reported.battery:*0", 0),
    ("shadow.reported.battery:*", 1),
    ("shadow.reported.battery:[-1e9 TO 80}", 0),
    ("shadow.reported.place:\"living room\"", 1),
    ("shadow.reported.place:room", 1),
    ("shadow.reported.place:\"room living\"", 0),
    ("shadow.name.\\$package.reported.hi.version:1.3*", 1),
    ("connectivity.connected:true OR connectivity.timestamp>5", 0),
];

#[tokio::test]
async fn search_and_dynamic_groups_decide_alike_and_as_the_query_says() {
    let (_folder, registry) = registry().await;
    // Those filled before anything is there are decided thing by thing, the others by the database.
    for (number, (query, _)) in QUERIES.iter().enumerate() {
        registry.make_group(&format!("early-{number}"), json!({ "queryString": query })).await.unwrap();
    }
    registry.make_group("home", json!({})).await.unwrap();
    registry.make("lamp-1", json!({"room": "Kitchen", "watts": "5", "serial": "ab_", "fw": "1.10"})).await;
    registry.make("Lamp-2", json!({"room": "kitchen", "watts": "5.25", "serial": "abc", "fw": "1.1"})).await;
    let third: Registration = serde_json::from_value(json!({
        "thingName": "lamp-3", "attributes": {"room": "attic", "watts": "12"}, "thingGroupNames": ["home"]
    }))
    .unwrap();
    registry.register(&[third], &somebody()).await.unwrap();
    registry.make("tv_1", json!({})).await;
    registry.report("tv_1", "", json!({"battery": 80.0, "place": "The  Living Room"})).await;
    registry.report("tv_1", "$package", json!({"hi": {"version": "1.3.0-1"}})).await;
    registry.refresh(&thing("tv_1")).await.unwrap();
    registry.refresh(&thing("no-such-thing")).await.unwrap();
    for (number, (query, expected)) in QUERIES.iter().enumerate() {
        let found = registry.found(query).await;
        assert_eq!(found.len(), *expected, "{query}: {found:?}");
        assert_eq!(registry.held(&format!("early-{number}")).await, found, "{query}, thing by thing");
        registry.delete_group(&group(&format!("early-{number}")), &somebody()).await.unwrap();
        registry.make_group(&format!("late-{number}"), json!({ "queryString": query })).await.unwrap();
        assert_eq!(registry.held(&format!("late-{number}")).await, found, "{query}, by the database");
    }
}

#[tokio::test]
async fn a_dynamic_group_follows_its_things() {
    let (_folder, registry) = registry().await;
    registry.make_group("home", json!({})).await.unwrap();
    for (name, query) in [
        ("low", "shadow.reported.battery<20"),
        ("old", "NOT shadow.name.\\$package.reported.hi.version:2.0-1"),
        ("attic", "attributes.room:attic"),
        ("at-home", "thingGroupNames:home"),
        ("meta", "thingGroupNames:attic"),
        ("up", "connectivity.connected:true"),
    ] {
        registry.make_group(name, json!({ "queryString": query })).await.unwrap();
    }
    registry.make("lamp", json!({"room": "kitchen"})).await;
    assert_eq!(registry.held("old").await, ["lamp"]);
    let mut generation = registry.generation();
    generation.mark_unchanged();
    registry.report("lamp", "", json!({"battery": 10})).await;
    registry.report("lamp", "$package", json!({"hi": {"version": "2.0-1"}})).await;
    registry.refresh(&thing("lamp")).await.unwrap();
    assert_eq!((registry.held("low").await, registry.held("old").await), (vec!["lamp".to_owned()], vec![]));
    assert!(generation.has_changed().unwrap(), "policies of groups may count now");
    registry.report("lamp", "", json!({"battery": 30})).await;
    // The process that changed the shadow ended before it could tell.
    registry.reconcile().await.unwrap();
    assert!(registry.held("low").await.is_empty());
    let change: ThingChange =
        serde_json::from_value(json!({"attributePayload": {"attributes": {"room": "attic"}, "merge": true}})).unwrap();
    registry.update_thing(&thing("lamp"), change, &somebody()).await.unwrap();
    assert_eq!(registry.held("attic").await, ["lamp"]);
    assert!(registry.held("meta").await.is_empty(), "a dynamic group does not hang on another one");
    registry.add_to_group(&group("home"), &thing("lamp"), &somebody()).await.unwrap();
    assert_eq!(registry.held("at-home").await, ["lamp"]);
    registry.delete_group(&group("home"), &somebody()).await.unwrap();
    assert!(registry.held("at-home").await.is_empty());
    let presence = |connected| Presence {
        thing: thing("lamp"),
        connected,
        at: Timestamp::now(),
        disconnect_reason: (!connected).then(|| "CONNECTION_LOST".to_owned()),
    };
    registry.note_presence(&[presence(false), presence(true)]).await.unwrap();
    assert_eq!(registry.held("up").await, ["lamp"]);
    registry.forget_connections(Timestamp::now()).await.unwrap();
    assert!(registry.held("up").await.is_empty());
    assert!(registry.add_to_group(&group("up"), &thing("lamp"), &somebody()).await.is_err(), "it is dynamic");
}

#[tokio::test]
async fn groups_stand_in_one_another_and_a_thing_is_in_those_above() {
    let (_folder, registry) = registry().await;
    registry.make_group("site", json!({})).await.unwrap();
    registry.make_group("floor", json!({"parentGroupName": "site"})).await.unwrap();
    registry.make_group("room", json!({"parentGroupName": "floor"})).await.unwrap();
    registry.make_group("warm", json!({"queryString": "attributes.color:warm"})).await.unwrap();
    registry.make("lamp", json!({"color": "warm"})).await;
    assert!(registry.add_to_group(&group("room"), &thing("lamp"), &somebody()).await.unwrap());
    assert!(!registry.add_to_group(&group("room"), &thing("lamp"), &somebody()).await.unwrap());
    let names = |groups: Vec<GroupName>| groups.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(registry.direct_groups_of(&thing("lamp")).await.unwrap()), ["room", "warm"]);
    assert_eq!(registry.held("site").await, ["lamp"]);
    assert!(registry.members(&group("site"), false, 10, "").await.unwrap().things.is_empty());
    let above = registry.group(&group("room")).await.unwrap().unwrap().thing_group_metadata.root_to_parent_thing_groups;
    assert_eq!(names(above), ["site", "floor"]);
    for (name, new) in [
        ("x", json!({"parentGroupName": "nowhere"})),
        ("x", json!({"parentGroupName": "warm"})),
        ("x", json!({"parentGroupName": "site", "queryString": "*"})),
        ("x", json!({"queryString": "thingname:x"})),
        ("room", json!({})),
    ] {
        assert!(registry.make_group(name, new.clone()).await.is_err(), "{name} {new}");
    }
    assert!(registry.delete_group(&group("site"), &somebody()).await.is_err(), "groups stand in it");
    let own = registry.delete_group(&group("verified"), &somebody()).await.unwrap_err().to_string();
    assert!(own.contains("server's own"), "{own}");
}

#[tokio::test]
async fn a_certificate_speaks_for_things_until_it_is_detached() {
    let (_folder, registry) = registry().await;
    let id: CertificateId = "ab".repeat(32).parse().unwrap();
    registry.make("lamp", json!({})).await;
    let unknown = registry.attach(&thing("lamp"), &id, &somebody()).await.unwrap_err().to_string();
    assert!(unknown.contains("no certificate"), "{unknown}");
    sqlx::query(
        "INSERT INTO certificates (id, pem, serial, subject, kind, status, not_before, not_after, created_at) \
         VALUES ($1, '', '', '', 'device', 'ACTIVE', 0, 0, 0)",
    )
    .bind(id.as_str())
    .execute(&registry.database)
    .await
    .unwrap();
    let generation = registry.generation();
    let before = *generation.borrow();
    assert!(registry.attach(&thing("lamp"), &id, &somebody()).await.unwrap());
    assert!(!registry.attach(&thing("lamp"), &id, &somebody()).await.unwrap());
    assert_eq!(*generation.borrow(), before + 1);
    let stays = registry.delete_thing(&thing("lamp"), &somebody()).await.unwrap_err().to_string();
    assert!(stays.contains("detach"), "{stays}");
    assert!(registry.detach(&thing("lamp"), &id, &somebody()).await.unwrap());
    assert_eq!(*generation.borrow(), before + 2);
    registry.report("lamp", "", json!({"a": 1})).await;
    registry.delete_thing(&thing("lamp"), &somebody()).await.unwrap();
    assert!(registry.found("*").await.is_empty());
    registry.make("lamp", json!({})).await;
    assert!(registry.found("shadow.reported.a:*").await.is_empty(), "it is another thing");
}

#[tokio::test]
async fn of_many_registrations_the_bad_ones_are_told_and_the_others_made() {
    let (_folder, registry) = registry().await;
    registry.make_group("home", json!({})).await.unwrap();
    registry.make_group("dynamic", json!({"queryString": "attributes.n:7"})).await.unwrap();
    let mut asked: Vec<Registration> = (0..1_000)
        .map(|n| {
            let one =
                json!({"thingName": format!("t{n}"), "attributes": {"n": n.to_string()}, "thingGroupNames": ["home"]});
            serde_json::from_value(one).unwrap()
        })
        .collect();
    asked[3].thing_type_name = Some("unknown".parse().unwrap());
    asked[4].thing_group_names = vec![group("nowhere")];
    asked[5].thing_group_names = vec![group("dynamic")];
    asked[6].thing_name = thing("t2");
    let first = registry.register(&asked, &somebody()).await.unwrap();
    assert_eq!((first.created, first.unchanged), (996, 0));
    let words = ["no thing type unknown", "no thing group nowhere", "dynamic group", "named twice"];
    assert_eq!(first.failures.len(), words.len());
    for (failure, (index, word)) in first.failures.iter().zip((3..).zip(words)) {
        assert!(failure.index == index && failure.reason.contains(word), "{failure:?}");
    }
    assert_eq!(registry.held("dynamic").await, ["t7"]);
    let second = registry.register(&asked, &somebody()).await.unwrap();
    assert_eq!((second.created, second.unchanged, second.failures.len()), (0, 996, 4));
    asked[0].attributes = Default::default();
    let third = registry.register(&asked[..1], &somebody()).await.unwrap();
    assert!(third.failures[0].reason.contains("there already"), "{third:?}");
}

#[tokio::test]
async fn nobody_overwrites_what_somebody_else_changed() {
    let (_folder, registry) = registry().await;
    registry.make("lamp", json!({"a": "1"})).await;
    let change = |version: u64, value: &str| {
        let change = json!({"attributePayload": {"attributes": {"a": value}}, "expectedVersion": version});
        serde_json::from_value::<ThingChange>(change).unwrap()
    };
    let changed = registry.update_thing(&thing("lamp"), change(1, "2"), &somebody()).await.unwrap();
    assert_eq!(changed.version, 2);
    let late = registry.update_thing(&thing("lamp"), change(1, "3"), &somebody()).await.unwrap_err();
    assert!(matches!(late, RegistryError::VersionConflict { is: 2, expected: 1, .. }), "{late}");
    let different: NewThing = serde_json::from_value(json!({})).unwrap();
    assert!(registry.create_thing(&thing("lamp"), &different, &somebody()).await.is_err());
}

#[tokio::test]
async fn changes_at_the_same_time_wait_for_one_another() {
    let (_folder, registry) = registry().await;
    registry.make_group("home", json!({})).await.unwrap();
    let names: Vec<ThingName> = (0..30).map(|n| thing(&format!("t{n}"))).collect();
    let (new, actor, home) = (NewThing::default(), somebody(), group("home"));
    let all = names.iter().map(|name| async {
        registry.create_thing(name, &new, &actor).await?;
        registry.add_to_group(&home, name, &actor).await?;
        registry.refresh(name).await
    });
    for outcome in futures_util::future::join_all(all).await {
        outcome.unwrap();
    }
    assert_eq!(registry.held("home").await.len(), 30);
}
