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

fn write(path: &std::path::Path, text: &str) {
    use std::io::Write as _;
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}
