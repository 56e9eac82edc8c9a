//! Things as people register, group and find them, with `debfleet`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::{PackageKey, Server, run};
use serde_json::Value;

#[test]
fn a_fleet_is_registered_from_a_file_and_found() {
    let server = Server::start(&PackageKey::new());
    let debfleet = |arguments: &[&str]| run(&mut server.debfleet(arguments));
    debfleet(&["thing", "type", "create", "lamp"]).success();
    debfleet(&["group", "create", "home"]).success();
    debfleet(&["group", "create", "kitchen", "--parent", "home"]).success();
    debfleet(&["group", "create", "warm", "--query", "attributes.color:warm"]).success();
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("lamps.csv");
    let mut lines = "thingName,thingTypeName,thingGroupNames,attributes.color,attributes.number\n".to_owned();
    for number in 0..2_500 {
        let (group, color) = (if number < 3 { "kitchen" } else { "" }, if number == 7 { "warm" } else { "" });
        lines += &format!("lamp-{number},lamp,{group},{color},{number}\n");
    }
    let good = lines.clone();
    lines += "lamp 1,lamp,,,\nlamp-1,,,,\nother,,nowhere,,\n";
    write(&csv, &lines);
    let told = debfleet(&["thing", "import", csv.to_str().unwrap()]).fails(1, "3 of 2503 lines").all();
    for word in [
        "2500 things registered, 3 refused",
        "line 2502: \"lamp 1\" is not a thing name",
        "line 2503: the thing lamp-1 stands in line 3, too",
        "line 2504: there is no thing group nowhere",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    write(&csv, &good);
    let again = debfleet(&["thing", "import", csv.to_str().unwrap(), "--json"]).success();
    let again: Value = serde_json::from_str(&again).unwrap();
    assert!(again["created"] == 0 && again["unchanged"] == 2_500, "{again}");

    assert_eq!(debfleet(&["thing", "list"]).success().lines().count(), 2_500);
    assert_eq!(debfleet(&["group", "things", "home", "--recursive"]).success(), "lamp-0\nlamp-1\nlamp-2\n");
    assert_eq!(debfleet(&["group", "things", "warm"]).success(), "lamp-7\n");
    let found = debfleet(&["thing", "search", "attributes.number:[6 TO 7] AND -attributes.color:*"]).success();
    assert_eq!(found, "lamp-6 (lamp) number=6\n");
    debfleet(&["thing", "update", "lamp-7", "--attribute", "color=cold"]).success();
    assert_eq!(debfleet(&["group", "things", "warm"]).success(), "");
    debfleet(&["group", "add", "verified", "lamp-7"]).success();
    let shown = debfleet(&["thing", "show", "lamp-7"]).success();
    assert!(shown.contains("  color = cold\n") && shown.contains("  in the group verified\n"), "{shown}");
    debfleet(&["thing", "search", "colour:warm"]).fails(1, "there is no field");
    debfleet(&["group", "delete", "home"]).fails(1, "such as kitchen");
    debfleet(&["thing", "delete", "lamp-7"]).success();
    debfleet(&["thing", "show", "lamp-7"]).fails(1, "there is no thing lamp-7");
    assert!(debfleet(&["audit"]).success().contains("thing.delete lamp-7"));
}

#[test]
fn people_are_given_things_and_a_token_says_where_they_hear_them() {
    let server = Server::start(&PackageKey::new());
    let debfleet = |arguments: &[&str]| run(&mut server.debfleet(arguments));
    for arguments in [
        &["group", "create", "house"][..],
        &["group", "create", "kitchen", "--parent", "house"],
        &["thing", "create", "lamp-1", "--group", "kitchen"],
        &["thing", "create", "bell"],
    ] {
        debfleet(arguments).success();
    }
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    write(&password, "correct horse battery\n");
    let source = password.to_str().unwrap();
    let made =
        debfleet(&["user", "create", "anna", "--role", "viewer", "--display-name", "Anna", "--password", source]);
    assert_eq!(made.success(), "anna (Anna) viewer\n");
    assert_eq!(
        debfleet(&["user", "create", "berta", "--role", "operator"]).success(),
        "berta operator, without a password\n"
    );
    debfleet(&["user", "create", "anna", "--role", "admin"]).fails(1, "there is a user anna already");
    let given = debfleet(&["user", "give", "anna", "--group", "house", "--thing", "bell"]).success();
    assert_eq!(given, "anna has the group house\nanna has the thing bell\n");
    assert_eq!(debfleet(&["user", "things", "anna"]).success(), "bell\nlamp-1\n");
    debfleet(&["policy", "test", "receive", "sensor/device/lamp-1", "--user", "anna"]).success();
    let denied =
        debfleet(&["policy", "test", "receive", "sensor/device/other", "--user", "anna"]).fails(1, "may not do that");
    assert!(denied.all().contains("none that they see"), "{}", denied.all());
    assert!(debfleet(&["user", "take", "anna", "--thing", "bell"]).success().contains("does not have the thing bell"));
    assert_eq!(debfleet(&["user", "show", "anna"]).success(), "anna (Anna) viewer\n  the group house\n");
    let token: Value =
        serde_json::from_str(&debfleet(&["user", "token", "anna", "--lifetime", "60"]).success()).unwrap();
    assert!(
        token["clientId"].as_str().unwrap().starts_with("$user/anna/")
            && token["url"].as_str().unwrap().ends_with("/mqtt")
    );
    debfleet(&["user", "password", "berta", "--password", source]).success();
    assert!(debfleet(&["user", "end-sessions", "anna"]).success().starts_with("1 sessions and tokens"));
    debfleet(&["user", "update", "anna", "--disable"]).success();
    assert_eq!(debfleet(&["user", "list"]).success(), "anna (Anna) viewer, disabled\nberta operator\n");
    debfleet(&["user", "token", "anna"]).fails(1, "is disabled");
    debfleet(&["policy", "attach", "standard", "--user", "berta"]).success();
    debfleet(&["user", "delete", "berta"]).fails(1, "policies are attached to the user berta");
    debfleet(&["policy", "detach", "standard", "--user", "berta"]).success();
    debfleet(&["user", "delete", "berta"]).success();
    assert!(debfleet(&["audit"]).success().contains("user.give anna: the group house"));
}

fn write(path: &std::path::Path, text: &str) {
    use std::io::Write as _;
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}
