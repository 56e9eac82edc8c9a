//! `cargo xtask tidy`: the rules of docs/architecture.md that a machine can hold.

use crate::program::workspace;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Which of our crates each crate may import. They meet only through .deb files, HTTP and MQTT where they are not
/// named here.
const MAY_IMPORT: [(&str, &[&str]); 11] = [
    ("debian-formats", &[]),
    ("fleet-protocol", &[]),
    ("durable-files", &[]),
    ("command-manual", &["durable-files"]),
    ("builder", &["debian-formats", "durable-files", "fleet-protocol"]),
    ("repo-server", &["command-manual", "debian-formats", "durable-files", "fleet-protocol"]),
    ("updater", &["command-manual", "debian-formats", "durable-files", "fleet-protocol"]),
    ("cli", &["builder", "command-manual", "debian-formats", "durable-files", "fleet-protocol"]),
    ("tests", &[]),
    ("xtask", &[]),
    ("xtask/fleet-load", &["durable-files", "fleet-protocol"]),
];

/// Within a crate: files below the first path (or that file) may not contain the text; why.
const MAY_NOT_CONTAIN: &[(&str, &str, &str)] = &[
    ("debian-formats/src", "std::process", "formats start no processes"),
    ("debian-formats/src", "Timestamp::now", "formats ask no clock; the time is passed in"),
    ("fleet-protocol/src", "std::net", "the protocol has no sockets"),
    ("fleet-protocol/src", "Timestamp::now", "the protocol has no clock"),
    ("builder/src", "Timestamp::now", "the same source gives the same bytes; the time is passed in"),
    ("builder/src/plan", "std::fs", "a plan is decided without a look at the disk"),
    ("builder/src/scripts/parts.rs", "std::fs", "generated scripts follow from values alone"),
    ("updater/src/transaction", "std::process", "the state machine is pure"),
    ("updater/src/transaction/machine.rs", "Timestamp::now", "the state machine asks no clock"),
    ("updater/src/policy", "::now()", "when to poll and install is decided from what is passed in"),
    ("updater/src/policy", "std::fs", "when to poll and install is decided from what is passed in"),
    ("repo-server/src/repository", "axum", "a domain knows nothing of HTTP"),
    ("repo-server/src/access", "axum", "a domain knows nothing of HTTP"),
    ("repo-server/src/audit", "axum", "a domain knows nothing of HTTP"),
    ("repo-server/src/certificates", "axum", "a domain knows nothing of HTTP"),
    ("repo-server/src/certificates/standing.rs", "sqlx", "what counts is decided without a look at the database"),
    ("repo-server/src/fleet_ca", "axum", "a domain knows nothing of HTTP"),
    ("repo-server/src/provisioning", "axum", "a domain knows nothing of HTTP"),
    ("repo-server/src/provisioning/rules.rs", "sqlx", "keys and names are judged without a look at the database"),
    ("repo-server/src/fleet_ca/request.rs", "std::fs", "a request is judged by itself"),
    ("repo-server/src/broker", "axum", "the broker is served by whoever accepts connections"),
    ("repo-server/src/mqtt", "rmqtt_codec", "services answer messages, whichever broker carries them"),
    ("repo-server/src/http", "rmqtt_codec", "the HTTP side knows only the broker's front"),
    ("repo-server/src/broker/connection", "rmqtt_codec", "only broker/wire knows the codec"),
    ("repo-server/src/broker/sessions", "rmqtt_codec", "only broker/wire knows the codec"),
    ("repo-server/src/broker/client/mod.rs", "sqlx", "a session is decided without a look at the database"),
    ("repo-server/src/broker/client/mod.rs", "::now()", "a session asks no clock; the time is passed in"),
    ("repo-server/src/broker/wire", "tokio::", "packets know no socket"),
    ("repo-server/src/external_broker", "axum", "a broker's client knows nothing of HTTP"),
    ("repo-server/src/external_broker/mosquitto/acl.rs", "sqlx", "a list of rights follows from what is granted"),
    ("repo-server/src/mqtt", "rumqttc", "services answer messages, whichever broker carries them"),
    ("repo-server/src/policies", "rumqttc", "a domain knows nothing of a broker"),
    (
        "repo-server/src/broker/admission.rs",
        "sqlx",
        "who may have a client id is decided without a look at the database",
    ),
    ("repo-server/src/repeats.rs", "axum", "a domain knows nothing of HTTP"),
    ("repo-server/src/people", "axum", "a domain knows nothing of HTTP"),
    ("repo-server/src/people", "rmqtt_codec", "a domain knows nothing of a broker"),
    ("repo-server/src/web_origins.rs", "axum", "an origin is judged by itself"),
    ("repo-server/src/policies", "axum", "a domain knows nothing of HTTP"),
    ("repo-server/src/policies", "rmqtt_codec", "a domain knows nothing of the broker"),
    ("repo-server/src/shadows", "axum", "a domain knows nothing of HTTP"),
    ("repo-server/src/shadows", "rmqtt_codec", "a domain knows nothing of a broker"),
    ("repo-server/src/mqtt", "axum", "MQTT handlers know nothing of HTTP"),
    ("repo-server/src/access/decision.rs", "sqlx", "who may do what is decided without a look at the database"),
    ("repo-server/src/access/throttle.rs", "Instant::now", "the throttle asks no clock; the time is passed in"),
];

/// In these crates only these places may start processes.
const STARTS_PROCESSES: [(&str, &[&str]); 3] = [
    ("builder/src", &["builder/src/git/", "builder/src/installed.rs", "builder/src/shared_libraries.rs"]),
    ("repo-server/src", &["repo-server/src/fleet_ca/sign_command.rs"]),
    ("updater/src", &["updater/src/system/"]),
];

/// Only this may make a write durable.
const DURABLE_WRITES: &str = "durable-files/src";

/// Checks every rule and names each place that breaks one.
pub(crate) fn tidy() -> Result<()> {
    let mut broken = Vec::new();
    for (name, allowed) in MAY_IMPORT {
        broken.extend(check_imports(name, allowed)?);
    }
    broken.extend(check_members()?);
    for file in source_files(&workspace())? {
        let path = file.strip_prefix(workspace()).unwrap_or(&file).to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).with_context(|| format!("could not read {path}"))?;
        broken.extend(check_source(&path, &text));
    }
    if broken.is_empty() {
        println!("tidy: the rules of docs/architecture.md hold");
        Ok(())
    } else {
        bail!("rules of docs/architecture.md are broken:\n  {}", broken.join("\n  "))
    }
}

fn manifest(folder: &Path) -> Result<toml::Table> {
    let path = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    text.parse().with_context(|| format!("{} is no TOML", path.display()))
}

fn check_imports(name: &str, allowed: &[&str]) -> Result<Vec<String>> {
    let manifest = manifest(&workspace().join(name))?;
    let ours: BTreeSet<&str> = MAY_IMPORT.iter().map(|(name, _)| *name).collect();
    // Test dependencies count too: a test that reaches across would need the same import.
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
    let imported =
        sections.iter().filter_map(|section| manifest.get(*section)?.as_table()).flat_map(|table| table.keys());
    let wrong =
        imported.filter(|crate_name| ours.contains(crate_name.as_str()) && !allowed.contains(&crate_name.as_str()));
    Ok(wrong.map(|crate_name| format!("{name} may not import {crate_name}")).collect())
}

/// A new crate gets its rule before it gets its first import.
fn check_members() -> Result<Vec<String>> {
    let manifest = manifest(&workspace())?;
    let members = manifest.get("workspace").and_then(|workspace| workspace.get("members")?.as_array());
    let members = members.context("the workspace lists no members")?;
    let known = |member: &&str| MAY_IMPORT.iter().any(|(name, _)| name == member);
    let unknown = members.iter().filter_map(toml::Value::as_str).filter(|member| !known(member));
    Ok(unknown.map(|member| format!("{member} has no import rule in xtask/src/tidy.rs")).collect())
}

fn check_source(path: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    // What tests do is their own business.
    let code = text.split("#[cfg(test)]").next().unwrap_or(text);
    for &(place, forbidden, why) in MAY_NOT_CONTAIN {
        if path.starts_with(place) && code.contains(forbidden) {
            broken.push(format!("{path} contains {forbidden}: {why}"));
        }
    }
    let starts = code.contains("process::Command") || code.contains("Command::new(");
    for (place, allowed) in STARTS_PROCESSES {
        if path.starts_with(place) && !allowed.iter().any(|allowed| path.starts_with(allowed)) && starts {
            broken.push(format!("{path} starts a process: only {} may", allowed.join(", ")));
        }
    }
    let shipped =
        ["builder/src", "repo-server/src", "updater/src", "cli/src", "fleet-protocol/src", "debian-formats/src"];
    if shipped.iter().any(|place| path.starts_with(place))
        && (code.contains("sync_all()") && code.contains("fs::rename("))
    {
        broken.push(format!("{path} makes a write durable by itself: only {DURABLE_WRITES} may"));
    }
    broken
}

fn source_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in folder.read_dir().with_context(|| format!("could not read {}", folder.display()))? {
        let path = entry?.path();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.') || name == "target");
        if path.is_dir() && !hidden {
            files.extend(source_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_rule_is_named_and_a_test_may_do_as_it_likes() {
        let broken = check_source("updater/src/agent/mod.rs", "std::process::Command::new(\"rm\")");
        assert!(broken[0].contains("only updater/src/system/ may"), "{broken:?}");
        assert!(
            check_source("repo-server/src/repository/mod.rs", "use axum::Router;")[0].contains("knows nothing of HTTP")
        );
        assert_eq!(
            check_source("updater/src/memory.rs", "#[cfg(test)] mod tests { Command::new(\"rm\") }"),
            Vec::<String>::new()
        );
    }
}
