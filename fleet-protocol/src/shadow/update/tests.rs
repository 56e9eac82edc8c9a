use super::*;
use crate::shadow::{MOST_STATE_BYTES, Stamp};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

fn id(name: Option<&str>) -> ShadowId {
    ShadowId { thing: "lamp-1".parse().unwrap(), name: name.map(|name| name.parse().unwrap()) }
}

fn read(request: &Value) -> Result<UpdateRequest, Refusal> {
    UpdateRequest::read(request.to_string().as_bytes())
}

/// The shadow after these states were sent one behind the other, each a second later.
fn after(states: &[Value]) -> Shadow {
    let mut shadow = Shadow::default();
    for (now, state) in (1..).zip(states) {
        shadow = update(&id(None), &shadow, &read(&json!({ "state": state })).unwrap(), now).unwrap().after;
    }
    shadow
}

fn state_of(shadow: &Shadow) -> Value {
    let document = shadow.document.as_ref().unwrap();
    serde_json::to_value(&document.state).unwrap()
}

/// As a get shows it, with the delta.
fn shown(states: &[Value]) -> Value {
    get(&id(None), &after(states), &TokenRequest::default(), 9).unwrap().state
}

#[test]
fn what_is_desired_and_not_reported_is_the_delta() {
    let cases = [
        (json!({"desired": {"on": true}}), json!({"reported": {"on": false}}), json!({"on": true})),
        (json!({"desired": {"on": true}}), json!({"reported": {"on": true, "hue": 3}}), Value::Null),
        (json!({}), json!({"reported": {"on": true}}), Value::Null),
        (json!({"desired": {"on": true}}), json!({"reported": {}}), json!({"on": true})),
        (json!({"reported": {"l": [1, 2]}}), json!({"desired": {"l": [1]}}), json!({"l": [1]})),
        (json!({"reported": {"l": [[1], [2]]}}), json!({"desired": {"l": [[1], [2]]}}), Value::Null),
        (
            json!({"reported": {"a": {"b": {"c": 1, "e": 2}}}}),
            json!({"desired": {"a": {"b": {"c": 3}, "x": 4}}}),
            json!({"a": {"b": {"c": 3}, "x": 4}}),
        ),
        (json!({"desired": {"a": {"b": 1}}}), json!({"reported": {"a": 1}}), json!({"a": {"b": 1}})),
        (json!({"desired": {"a": {}}}), json!({"reported": {"b": 1}}), json!({"a": {}})),
        (json!({"desired": {"a": 1}}), json!({"desired": {"a": null}}), Value::Null),
    ];
    for (first, second, delta) in cases {
        let shown = shown(&[first.clone(), second.clone()]);
        assert_eq!(shown.get("delta").unwrap_or(&Value::Null), &delta, "{first} {second}");
    }
}

#[test]
fn null_removes_and_an_empty_section_is_none() {
    let cases = [
        (json!({"desired": {"a": null}}), json!({"desired": {"b": {"c": 2, "d": 3}}, "reported": {"a": 1}})),
        (json!({"desired": {"b": {"c": null}}}), json!({"desired": {"a": 1, "b": {"d": 3}}, "reported": {"a": 1}})),
        // An object keeps its place when its last member goes.
        (
            json!({"desired": {"b": {"c": null, "d": null}}}),
            json!({"desired": {"a": 1, "b": {}}, "reported": {"a": 1}}),
        ),
        (json!({"reported": {"a": null}}), json!({"desired": {"a": 1, "b": {"c": 2, "d": 3}}})),
        (json!({"reported": null}), json!({"desired": {"a": 1, "b": {"c": 2, "d": 3}}})),
        (json!({"desired": null, "reported": {"x": 1}}), json!({"reported": {"a": 1, "x": 1}})),
        (json!({"desired": null, "reported": null}), json!({})),
        (json!(null), json!({})),
        // Nothing is made of nothing but nulls.
        (
            json!({"reported": {"n": {"m": {"x": null}}}}),
            json!({"desired": {"a": 1, "b": {"c": 2, "d": 3}}, "reported": {"a": 1}}),
        ),
        (json!({}), json!({"desired": {"a": 1, "b": {"c": 2, "d": 3}}, "reported": {"a": 1}})),
    ];
    for (change, expected) in cases {
        let start = json!({"desired": {"a": 1, "b": {"c": 2, "d": 3}}, "reported": {"a": 1}});
        let shadow = after(&[start, change.clone()]);
        assert_eq!(state_of(&shadow), expected, "{change}");
        assert_eq!(shadow.version, 2);
    }
    let nothing = after(&[json!({"reported": {"a": null}})]);
    assert_eq!(state_of(&nothing), json!({}), "a shadow of nothing is one");
}

#[test]
fn an_update_is_answered_with_what_it_wrote_and_devices_are_told_what_is_left_to_do() {
    let before = after(&[json!({"desired": {"hue": 3, "on": true}, "reported": {"hue": 3}})]);
    let request = read(
        &json!({"state": {"reported": {"fan": {"rpm": 900}, "x": null, "l": [1, "a"]}}, "clientToken": "t-1", "version": 1}),
    );
    let Update { after, accepted, delta, documents } = update(&id(None), &before, &request.unwrap(), 7).unwrap();
    let at = |seconds: i64| json!({ "timestamp": seconds });
    assert_eq!(
        serde_json::to_value(&accepted).unwrap(),
        json!({
            "state": {"reported": {"fan": {"rpm": 900}, "x": null, "l": [1, "a"]}},
            "metadata": {"reported": {"fan": {"rpm": at(7)}, "x": at(7), "l": [at(7), at(7)]}},
            "version": 2, "timestamp": 7, "clientToken": "t-1",
        })
    );
    assert_eq!(
        serde_json::to_value(delta.unwrap()).unwrap(),
        json!({"state": {"on": true}, "metadata": {"on": at(1)}, "version": 2, "timestamp": 7, "clientToken": "t-1"})
    );
    let desired = json!({"hue": 3, "on": true});
    let written = json!({"hue": at(1), "on": at(1)});
    assert_eq!(
        serde_json::to_value(&documents).unwrap(),
        json!({
            "previous": {
                "state": {"desired": desired, "reported": {"hue": 3}},
                "metadata": {"desired": written, "reported": {"hue": at(1)}},
                "version": 1,
            },
            "current": {
                "state": {"desired": desired, "reported": {"hue": 3, "fan": {"rpm": 900}, "l": [1, "a"]}},
                "metadata": {
                    "desired": written,
                    "reported": {"hue": at(1), "fan": {"rpm": at(7)}, "l": [at(7), at(7)]},
                },
                "version": 2,
            },
            "timestamp": 7, "clientToken": "t-1",
        })
    );
    let same = json!({"state": {"reported": {"on": true}}});
    let done = update(&id(None), &after, &read(&same).unwrap(), 8).unwrap();
    assert_eq!(done.delta, None, "nothing is left to do");
    assert!(serde_json::to_value(&done.accepted).unwrap().get("clientToken").is_none());
}

#[test]
fn a_version_that_is_not_the_shadows_is_a_conflict() {
    let request = |version: u64| read(&json!({"state": {"desired": {"a": 1}}, "version": version})).unwrap();
    let shadow = after(&[json!({"desired": {"a": 0}}), json!({"desired": {"a": 2}})]);
    for stale in [0, 1, 3] {
        assert_eq!(update(&id(None), &shadow, &request(stale), 9), Err(Refusal::VersionConflict), "{stale}");
    }
    assert_eq!(update(&id(None), &shadow, &request(2), 9).unwrap().after.version, 3);
    assert_eq!(update(&id(None), &Shadow::default(), &request(1), 9), Err(Refusal::VersionConflict));
    assert_eq!(Refusal::VersionConflict.code(), 409);
}

#[test]
fn a_deleted_shadow_keeps_its_version_and_nothing_else() {
    let shadow = after(&[json!({"desired": {"a": 0}}), json!({"reported": {"a": 2}})]);
    let (gone, told) = delete(&id(None), &shadow, TokenRequest { client_token: Some("t".into()) }, 5).unwrap();
    assert_eq!(serde_json::to_value(told).unwrap(), json!({"version": 2, "timestamp": 5, "clientToken": "t"}));
    let missing = get(&id(Some("fan")), &gone, &TokenRequest::default(), 6).unwrap_err();
    assert_eq!((missing.code(), missing.to_string().as_str()), (404, "No shadow exists with name: 'lamp-1~fan'"));
    assert_eq!(delete(&id(None), &gone, TokenRequest::default(), 6).unwrap_err().code(), 404);
    let again = update(&id(None), &gone, &read(&json!({"state": {"desired": {"b": 1}}})).unwrap(), 7).unwrap().after;
    assert_eq!((again.version, state_of(&again)), (3, json!({"desired": {"b": 1}})));
}

#[test]
fn what_is_no_request_is_refused_with_the_services_words() {
    let nested = |levels: usize| (0..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
    let cases = [
        (json!({"x": 1}), "Missing required node: state"),
        (json!([]), "Invalid JSON"),
        (json!({"state": 1}), "State node must be an object"),
        (json!({"state": {"desired": 1}}), "Desired node must be an object"),
        (json!({"state": {"reported": []}}), "Reported node must be an object"),
        (json!({"state": {"delta": {}}}), "State contains an invalid node: 'delta'"),
        (json!({"state": {"desired": {"l": [1, null]}}}), "State contains an invalid node: 'l'"),
        (json!({"state": {"desired": {"l": [[null]]}}}), "State contains an invalid node: 'l'"),
        (json!({"state": {"desired": {"l": [{"x": {"y": null}}]}}}), "State contains an invalid node: 'y'"),
        (json!({"state": {}, "version": -1}), "Invalid version"),
        (json!({"state": {}, "version": "1"}), "Invalid version"),
        (json!({"state": {}, "version": 1.5}), "Invalid version"),
        (json!({"state": {}, "clientToken": 1}), "Invalid clientToken"),
        (json!({"state": {}, "clientToken": "x".repeat(65)}), "Invalid clientToken"),
        (json!({"state": {"desired": nested(9)}}), "JSON contains too many levels of nesting; maximum is 8"),
        (
            json!({"state": {"reported": {"l": [[[[[[[[[1]]]]]]]]]}}}),
            "JSON contains too many levels of nesting; maximum is 8",
        ),
    ];
    for (request, words) in cases {
        let refusal = read(&request).unwrap_err();
        assert_eq!((refusal.code(), refusal.to_string().as_str()), (400, words), "{request}");
    }
    assert!(read(&json!({"state": {"desired": nested(8)}, "clientToken": "x".repeat(64), "other": 1})).is_ok());
    for bytes in [&b""[..], b"{", b"nonsense", &[b'['; 10_000]] {
        assert_eq!(UpdateRequest::read(bytes), Err(Refusal::InvalidJson), "{bytes:?}");
    }
    assert_eq!(UpdateRequest::read(b"\xff").unwrap_err().code(), 415);
    assert_eq!(UpdateRequest::read(&vec![b' '; 20_000]).unwrap_err().code(), 413);
    assert_eq!(TokenRequest::read(b""), Ok(TokenRequest { client_token: None }));
    assert_eq!(TokenRequest::read(br#"{"clientToken":"t"}"#), Ok(TokenRequest { client_token: Some("t".into()) }));
    assert!(TokenRequest::read(b"x").is_err());
}

#[test]
fn no_shadow_grows_beyond_its_size_by_small_steps() {
    let step = |n: usize| json!({"state": {"reported": {format!("k{n}"): "x".repeat(1000)}}});
    let mut shadow = Shadow::default();
    let mut steps = 0;
    let refused = loop {
        match update(&id(None), &shadow, &read(&step(steps)).unwrap(), 1) {
            Ok(update) => shadow = update.after,
            Err(refusal) => break refusal,
        }
        steps += 1;
    };
    assert_eq!((steps, refused.code()), (8, 413), "{MOST_STATE_BYTES}");
    assert!(update(&id(None), &shadow, &read(&json!({"state": {"reported": {"k0": null}}})).unwrap(), 2).is_ok());
}

#[test]
fn the_shadow_of_the_packages_holds_packages_and_no_other_name_is_reserved() {
    let packages = id(Some("$package"));
    let report = |reported: Value| {
        update(&packages, &Shadow::default(), &read(&json!({"state": {"reported": reported}})).unwrap(), 1)
    };
    assert!(
        report(json!({"hi": {"version": "1.3.0-1"}, "libc6": {"version": "2.41-12", "attributes": {"a": "b"}}}))
            .is_ok()
    );
    for bad in [json!({"hi": "1.3.0-1"}), json!({"hi": {}}), json!({"hi": {"version": 1}}), json!({"hi": ["1"]})] {
        let refusal = report(bad).unwrap_err();
        assert!(refusal.code() == 400 && refusal.to_string().contains("'hi'"), "{refusal}");
    }
    let refusal =
        update(&id(Some("$other")), &Shadow::default(), &read(&json!({"state": {}})).unwrap(), 1).unwrap_err();
    assert!(refusal.code() == 400 && refusal.to_string().contains("$package"), "{refusal}");
}

/// Attributes as a list of paths, each with what is at its end: the same rules, told in another way.
type Model = BTreeMap<Vec<String>, Value>;

fn flatten(attributes: &Map<String, Value>, path: &mut Vec<String>, model: &mut Model) {
    for (name, value) in attributes {
        path.push(name.clone());
        match value {
            Value::Object(members) if !members.is_empty() => flatten(members, path, model),
            value => {
                model.insert(path.clone(), value.clone());
            }
        }
        path.pop();
    }
}

fn model_of(attributes: &Map<String, Value>) -> Model {
    let mut model = Model::new();
    flatten(attributes, &mut Vec::new(), &mut model);
    model
}

fn is_object(model: &Model, path: &[String]) -> bool {
    model.iter().any(|(at, value)| at.starts_with(path) && (at.len() > path.len() || value.is_object()))
}

fn remove(model: &mut Model, path: &[String]) {
    let before = model.len();
    model.retain(|at, _| !at.starts_with(path));
    let parent = &path[..path.len() - 1];
    if model.len() < before && !parent.is_empty() && !model.keys().any(|at| at.starts_with(parent)) {
        model.insert(parent.to_vec(), json!({}));
    }
}

fn set(model: &mut Model, path: &[String], value: Value) {
    model.retain(|at, _| !at.starts_with(path) && !path.starts_with(at));
    model.insert(path.to_vec(), value);
}

fn apply_to_model(model: &mut Model, path: &mut Vec<String>, change: &Map<String, Value>) {
    for (name, value) in change {
        path.push(name.clone());
        match value {
            Value::Null => remove(model, path),
            Value::Object(members) if members.is_empty() => {
                if !is_object(model, path) {
                    set(model, path, json!({}));
                }
            }
            Value::Object(members) => {
                if model.get(path).is_some_and(|value| !value.is_object()) {
                    remove(model, path);
                }
                apply_to_model(model, path, members);
            }
            value => set(model, path, value.clone()),
        }
        path.pop();
    }
}

/// Whether the stamps are laid out as the attributes are.
fn fits(value: &Value, stamp: &Stamp) -> bool {
    match (value, stamp) {
        (Value::Object(members), Stamp::Below(below)) => {
            members.len() == below.len()
                && members.iter().all(|(name, value)| below.get(name).is_some_and(|stamp| fits(value, stamp)))
        }
        (Value::Array(elements), Stamp::Each(each)) => {
            elements.len() == each.len() && elements.iter().zip(each).all(|(value, stamp)| fits(value, stamp))
        }
        (Value::Object(_) | Value::Array(_), _) => false,
        (_, stamp) => matches!(stamp, Stamp::At { .. }),
    }
}

/// Names that meet often, one of them as the service itself uses it.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a".to_owned()), Just("b".to_owned()), Just("c".to_owned()), Just("timestamp".to_owned())]
}

/// With [`change`] no deeper than a shadow may be.
fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(json!(true)),
        Just(json!("x")),
        Just(json!("")),
        (0..3i64).prop_map(|number| json!(number)),
        Just(json!(1.5)),
        Just(json!([])),
        vec(0..3u8, 1..3).prop_map(|numbers| json!(numbers)),
        Just(json!([{"a": 1}, [2]])),
    ];
    scalar.prop_recursive(2, 12, 4, |inner| btree_map(name(), inner, 0..4).prop_map(|members| json!(members)))
}

fn change() -> impl Strategy<Value = Map<String, Value>> {
    let leaf = prop_oneof![3 => value(), 1 => Just(Value::Null)];
    let nested =
        leaf.prop_recursive(2, 12, 4, |inner| btree_map(name(), inner, 0..4).prop_map(|members| json!(members)));
    btree_map(name(), nested, 0..4).prop_map(|members| members.into_iter().collect())
}

proptest! {
    #[test]
    fn updates_do_what_the_model_does(changes in vec((any::<bool>(), change()), 1..8)) {
        let mut shadow = Shadow::default();
        let mut models = [Model::new(), Model::new()];
        for (count, (is_desired, change)) in (1u64..).zip(changes) {
            let section = if is_desired { "desired" } else { "reported" };
            let mut state = Map::new();
            state.insert(section.to_owned(), Value::Object(change.clone()));
            let now = i64::try_from(count).unwrap();
            let request = read(&json!({ "state": state })).unwrap();
            let update = update(&id(None), &shadow, &request, now).unwrap();
            apply_to_model(&mut models[usize::from(is_desired)], &mut Vec::new(), &change);

            let document = update.after.document.as_ref().unwrap();
            let (state, metadata) = (&document.state, &document.metadata);
            prop_assert_eq!(&model_of(&state.reported), &models[0]);
            prop_assert_eq!(&model_of(&state.desired), &models[1]);
            prop_assert_eq!(update.after.version, count);
            for (attributes, stamps) in [(&state.desired, &metadata.desired), (&state.reported, &metadata.reported)] {
                prop_assert!(fits(&Value::Object(attributes.clone()), &Stamp::Below(stamps.clone())));
            }
            // The difference is what is desired at the end of a path where something else is reported, or nothing.
            let [reported, desired] = &models;
            let is_reported = |path: &[String], value: &Value| match value {
                Value::Object(_) => is_object(reported, path),
                value => reported.get(path) == Some(value),
            };
            let expected: Model = desired.clone().into_iter().filter(|(path, value)| !is_reported(path, value)).collect();
            let (differing, stamps) = document.difference();
            prop_assert_eq!(&model_of(&differing), &expected);
            prop_assert_eq!(update.delta.is_none(), expected.is_empty());
            prop_assert!(fits(&Value::Object(differing), &Stamp::Below(stamps)));
            // What is kept is read as it was written.
            let text = serde_json::to_string(document).unwrap();
            prop_assert_eq!(&serde_json::from_str::<crate::shadow::Document>(&text).unwrap(), document);
            shadow = update.after;
        }
    }

    #[test]
    fn an_update_again_changes_nothing_but_the_version(change in change(), start in change()) {
        let request = read(&json!({"state": {"desired": change}})).unwrap();
        let first = update(&id(None), &after(&[json!({ "desired": start })]), &request, 5).unwrap().after;
        let second = update(&id(None), &first, &request, 5).unwrap().after;
        prop_assert_eq!(first.document, second.document);
        prop_assert_eq!(second.version, first.version + 1);
    }

    #[test]
    fn whatever_bytes_come_nothing_panics(bytes in vec(any::<u8>(), 0..200)) {
        let _ = UpdateRequest::read(&bytes);
        let _ = TokenRequest::read(&bytes);
    }
}
