//! Which documents are policies.

use super::super::{Document, DocumentError, LONGEST_DOCUMENT};
use serde_json::{Value, json};

fn read(text: &str) -> Result<Document, DocumentError> {
    text.parse()
}

/// A whole document with one statement, which is a good one changed by this.
fn with(change: Value) -> Value {
    let mut statement = json!({ "Effect": "Allow", "Action": "iot:Publish", "Resource": "*" });
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => statement.as_object_mut().unwrap().remove(name),
            value => statement.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

#[test]
fn one_and_a_list_of_one_are_the_same() {
    let one = json!({ "Version": "2012-10-17", "Statement": { "Effect": "Allow", "Action": "iot:Publish", "Resource": "*",
        "Condition": { "Bool": { "iot:Connection.Thing.IsAttached": true } } } });
    let list = json!({ "Id": "x", "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": ["iot:Publish"],
        "Resource": ["*"], "Condition": { "Bool": { "iot:Connection.Thing.IsAttached": ["true"] } } }] });
    assert_eq!(read(&one.to_string()).unwrap(), read(&list.to_string()).unwrap());
}

#[test]
fn what_is_no_policy_is_refused_with_a_reason() {
    let cases = [
        (json!([]), "invalid type"),
        (json!(["2012-10-17", "x", with(json!({}))["Statement"]]), "invalid type: sequence, expected an object"),
        (json!({ "Statement": [["a", "Allow", "*", "*"]] }), "invalid type: sequence, expected an object"),
        (json!({}), "missing field `Statement`"),
        (json!({ "Version": "2012-10-17", "Statement": [] }), "no statement"),
        (json!({ "Version": "2012-10-17", "Statement": "x" }), "a statement or a list of them"),
        (json!({ "Version": "2020-01-01", "Statement": with(json!({}))["Statement"] }), "write \"2012-10-17\""),
        (json!({ "Version": null, "Statement": with(json!({}))["Statement"] }), "invalid type: null"),
        (json!({ "version": "2012-10-17", "Statement": with(json!({}))["Statement"] }), "unknown field `version`"),
        (with(json!({ "Effect": "allow" })), "write \"Allow\" or \"Deny\""),
        (with(json!({ "Effect": null })), "missing field `Effect`"),
        (with(json!({ "Principal": "*" })), "unknown field `Principal`"),
        (with(json!({ "Action": null })), "neither Action nor NotAction"),
        (with(json!({ "NotAction": "iot:Connect" })), "both Action and NotAction"),
        (with(json!({ "Action": [] })), "empty list"),
        (with(json!({ "Action": "iot:Pubish" })), "\"iot:Pubish\" is no action"),
        (with(json!({ "Action": 1 })), "a text or a list of texts"),
        (with(json!({ "Resource": null })), "neither Resource nor NotResource"),
        (with(json!({ "Resource": "topic/a" })), "is no resource"),
        (with(json!({ "Resource": "arn:aws:iot:::topics/a" })), "type of resource \"topics\""),
        (with(json!({ "Resource": "arn:aws:iot:::topic/${iot:Thing.ThingName}" })), "is no variable"),
        (with(json!({ "Condition": [] })), "an object"),
        (with(json!({ "Condition": { "StringEquals": {} } })), "has no key"),
        (with(json!({ "Condition": { "DateLessThan": { "aws:CurrentTime": "2030-01-01" } } })), "not known here"),
        (with(json!({ "Condition": { "NumericEquals": { "iot:ClientId": "1" } } })), "not known here"),
        (
            with(json!({ "Condition": { "StringEquals": { "aws:username": "a" } } })),
            "key \"aws:username\" is not known",
        ),
        (with(json!({ "Condition": { "StringEquals": { "iot:ConnectAttributes": "LastWill" } } })), "ForAllValues:"),
        (with(json!({ "Condition": { "StringLike": { "iot:LastWillTopic": "x" } } })), "ArnEquals"),
        (with(json!({ "Condition": { "ArnLike": { "iot:ClientId": "*" } } })), "StringLike"),
        (with(json!({ "Condition": { "Bool": { "iot:Connection.Thing.IsAttached": "yes" } } })), "true or false"),
        (with(json!({ "Condition": { "IpAddress": { "aws:SourceIp": "10.0.0.0/33" } } })), "a network such as"),
        (with(json!({ "Condition": { "IpAddress": { "iot:ClientId": "10.0.0.0" } } })), "aws:SourceIp"),
        (with(json!({ "Condition": { "NullIfExists": { "iot:ClientId": "true" } } })), "not known here"),
        (with(json!({ "Condition": { "ForSome:StringEquals": { "iot:ClientId": "a" } } })), "not known here"),
        (with(json!({ "Condition": { "StringEquals": { "iot:ClientId": [["a", "b"]] } } })), "a list within a list"),
    ];
    for (document, reason) in cases {
        let text = document.to_string();
        let problem = read(&text).expect_err(&text).to_string();
        assert!(problem.contains(reason), "{text}: {problem}");
    }
    for text in ["", "{", "null", "\u{0}"] {
        assert!(matches!(read(text), Err(DocumentError::Form(_))), "{text:?}");
    }
}

#[test]
fn an_element_that_comes_twice_is_refused() {
    let plain = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#;
    assert!(read(plain).is_ok());
    for (at, twice) in [
        (r#""Effect":"Allow""#, r#""Effect":"Deny","Effect":"Allow""#),
        (r#""Version":"2012-10-17""#, r#""Version":"2012-10-17","Version":"2012-10-17""#),
        (r#""Action":"*""#, r#""Action":"*","Condition":{"Bool":{},"Bool":{}}"#),
    ] {
        let problem = read(&plain.replace(at, twice)).unwrap_err().to_string();
        assert!(problem.contains("duplicate field"), "{problem}");
    }
    let two = json!({ "Version": "2012-10-17", "Statement": [
        { "Sid": "a", "Effect": "Allow", "Action": "*", "Resource": "*" },
        { "Sid": "a", "Effect": "Deny", "Action": "*", "Resource": "*" }] });
    let problem = read(&two.to_string()).unwrap_err().to_string();
    assert!(problem.starts_with("statement 2 (\"a\"): its Sid is that of an earlier statement"), "{problem}");
}

#[test]
fn variables_need_the_version_that_has_them() {
    for version in [json!({ "Version": "2008-10-17" }), json!({})] {
        let mut document = with(json!({ "Resource": "arn:aws:iot:::topic/${iot:ClientId}" }));
        document.as_object_mut().unwrap().remove("Version");
        document.as_object_mut().unwrap().extend(version.as_object().unwrap().clone());
        let problem = read(&document.to_string()).unwrap_err().to_string();
        assert!(problem.contains("2012-10-17"), "{problem}");
        document["Statement"][0]["Resource"] = json!("arn:aws:iot:::topic/plain");
        assert!(read(&document.to_string()).is_ok());
    }
}

#[test]
fn awss_limit_counts_no_white_space() {
    let text = |length: usize| {
        let document = |topic: &str| with(json!({ "Resource": format!("arn:aws:iot:::topic/{topic}") })).to_string();
        document(&"x".repeat(length - document("").len()))
    };
    assert!(read(&text(LONGEST_DOCUMENT)).is_ok());
    assert!(read(&(" \n".repeat(2000) + &text(LONGEST_DOCUMENT))).is_ok());
    assert_eq!(read(&text(LONGEST_DOCUMENT + 1)), Err(DocumentError::TooLong));
    assert_eq!(read(&" ".repeat(40_000)), Err(DocumentError::TooLong));
}
