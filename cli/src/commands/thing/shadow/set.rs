//! `debfleet thing shadow set`: changing what is desired of a thing.

use super::WhichShadow;
use crate::report;
use crate::server::{Refusal, ServerOptions};
use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value, json};

/// Changes a shadow, or makes it. What is given is merged into what is there; null removes.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet thing shadow set lamp-1 --desired '{\"on\":true,\"hue\":30}'\n  \
                  debfleet thing shadow set lamp-1 --desired '{\"hue\":null}' --expected-version 7\n  \
                  debfleet thing shadow set lamp-1 --desired null")]
pub(crate) struct Arguments {
    #[command(flatten)]
    shadow: WhichShadow,
    /// What is desired: a JSON object, or null to remove all of it
    #[arg(long, value_name = "JSON", value_parser = section, required_unless_present = "reported")]
    desired: Option<Value>,
    /// What is reported, in place of the device
    #[arg(long, value_name = "JSON", value_parser = section)]
    reported: Option<Value>,
    /// Only if this is the shadow's version
    #[arg(long, value_name = "NUMBER")]
    expected_version: Option<u64>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print what was written as a JSON object
    #[arg(long)]
    json: bool,
}

fn section(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Object(_) | Value::Null)) => Ok(value),
        Ok(_) => Err("give a JSON object such as {\"on\":true}, or null".to_owned()),
        Err(error) => Err(format!("{error}; give a JSON object such as {{\"on\":true}}, in quotes of the shell")),
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let server = arguments.server.connect()?;
    let shadow = arguments.shadow.id();
    let sections = [("desired", &arguments.desired), ("reported", &arguments.reported)];
    let state: Map<String, Value> =
        sections.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect();
    let mut request = json!({ "state": state });
    if let Some(version) = arguments.expected_version {
        request["version"] = version.into();
    }
    let accepted: Value = server
        .post(&shadow.path(), &request)
        .map_err(advise)
        .with_context(|| format!("could not change the shadow of {} on {}", shadow.label(), server.address()))?;
    if arguments.json {
        return report::result(&accepted.to_string());
    }
    report::result(&format!("{}: version {}", shadow.label(), accepted.get("version").unwrap_or(&Value::Null)))
}

/// AWS's words for a conflict do not say what to do.
fn advise(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<Refusal>() {
        Some(refusal) if refusal.is_conflict() => {
            let advice =
                "the shadow was changed since; look with `debfleet thing shadow get`, and give the version it shows";
            error.context(advice)
        }
        _ => error,
    }
}
