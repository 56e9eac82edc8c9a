//! `debfleet policy test`: whether and why a client may do something.

use super::read_document;
use crate::report::{self, printable};
use crate::server::ServerOptions;
use anyhow::{Context, Result, bail};
use clap::Args;
use fleet_protocol::names::{CertificateId, PolicyName, ThingName, ThingTypeName, UserName};
use fleet_protocol::people::CLIENT_IDS_OF_PEOPLE;
use fleet_protocol::policies::{AuthorizationAnswer, AuthorizationTest, TEST_AUTHORIZATION_PATH};
use fleet_protocol::policy::{
    Action, Client, Effect, Finding, NamedPolicy, Request, ThingFacts, Verdict, decide, explain,
};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Says whether a client may do something, and which statement of which policy decides. Exits with 1 if it may not.
///
/// It asks the server with what is attached there. With --document it asks nobody, and takes those documents alone.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  debfleet policy test publish sensor/device/lamp-1 --thing lamp-1\n  \
                  debfleet policy test subscribe 'command/#' --certificate 94edb1639ec8… --client lamp-1\n  \
                  debfleet policy test receive sensor/device/lamp-1 --user anna\n  \
                  debfleet policy test connect lamp-1 --thing lamp-1 --persistent --will status/lamp-1\n  \
                  debfleet policy test publish berlin/x --document site.json --thing lamp-1 --attribute site=berlin",
    mut_arg("server", |arg| arg.required(false).required_unless_present("document").default_value("").hide_default_value(true))
)]
pub(crate) struct Arguments {
    /// What it wants to do: connect, publish, retainpublish, subscribe, receive, or any action such as iot:GetThingShadow
    #[arg(value_name = "ACTION")]
    action: Action,
    /// With what: a client id, a topic, a topic filter, or a thing's name
    #[arg(value_name = "RESOURCE")]
    resource: String,
    /// The thing that it connects as
    #[arg(long, value_name = "NAME")]
    thing: Option<ThingName>,
    /// The certificate that it connects with [default: the one that is attached to the thing]
    #[arg(long, value_name = "ID")]
    certificate: Option<CertificateId>,
    /// The person who wants to do it, in place of a device
    #[arg(long, value_name = "NAME", conflicts_with_all = ["thing", "certificate", "document"])]
    user: Option<UserName>,
    /// Its client id [default: the thing's name]
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Where it connects from
    #[arg(long, value_name = "ADDRESS")]
    source_ip: Option<IpAddr>,
    /// It asks for a session that lasts, when it connects
    #[arg(long)]
    persistent: bool,
    /// The topic of its will, when it connects
    #[arg(long, value_name = "TOPIC")]
    will: Option<String>,
    /// Take this document in place of a server's policies; may be given several times
    #[arg(long, value_name = "FILE")]
    document: Vec<PathBuf>,
    /// With --document: the thing's type
    #[arg(long, value_name = "TYPE", requires_all = ["document", "thing"])]
    thing_type: Option<ThingTypeName>,
    /// With --document: an attribute of the thing; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = attribute, requires_all = ["document", "thing"])]
    attribute: Vec<(String, String)>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object, what each statement has to do with it in it
    #[arg(long)]
    json: bool,
}

fn attribute(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("give a name and a value, such as site=berlin")?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let answer = if arguments.document.is_empty() { ask(arguments)? } else { decide_here(arguments)? };
    if arguments.json {
        report::result(&serde_json::to_string(&answer).context("could not write the answer as JSON")?)?;
    } else {
        lines_of(&answer, arguments.action, &arguments.resource)
            .iter()
            .try_for_each(|line| report::result(&printable(line)))?;
    }
    if answer.decision != Verdict::Allowed {
        bail!("the client {:?} may not do that", printable(&answer.client_id));
    }
    Ok(())
}

fn ask(arguments: &Arguments) -> Result<AuthorizationAnswer> {
    let test = AuthorizationTest {
        certificate: arguments.certificate.clone(),
        user: arguments.user.clone(),
        thing: arguments.thing.clone(),
        client_id: arguments.client.clone(),
        source_ip: arguments.source_ip.map(|address| address.to_string()),
        action: arguments.action.to_string(),
        resource: arguments.resource.clone(),
        persistent: arguments.persistent,
        will_topic: arguments.will.clone(),
    };
    let server = arguments.server.connect()?;
    let failed = || format!("could not test the policies of {}", server.address());
    server.post(TEST_AUTHORIZATION_PATH, &test).with_context(failed)
}

fn decide_here(arguments: &Arguments) -> Result<AuthorizationAnswer> {
    let facts = arguments.thing.clone().map(|name| ThingFacts {
        name,
        type_name: arguments.thing_type.clone(),
        attributes: arguments.attribute.iter().cloned().collect(),
    });
    let thing_name = || arguments.thing.as_ref().map(ThingName::to_string);
    let client_id = arguments.client.clone().or_else(thing_name);
    let client_id = client_id.context("give --client or --thing, so that it is known who wants to do it")?;
    let policies = arguments.document.iter().map(|path| named(path)).collect::<Result<Vec<_>>>()?;
    let client = Client {
        client_id: &client_id,
        source_ip: arguments.source_ip,
        thing: facts.as_ref(),
        certificate_id: arguments.certificate.as_ref(),
        certificate: None,
        persistent: arguments.persistent,
        will_topic: arguments.will.as_deref(),
    };
    let request = Request { action: arguments.action, resource: &arguments.resource, client: &client };
    let decision = decide(&policies, &request);
    Ok(AuthorizationAnswer {
        decision: decision.verdict,
        reason: decision.to_string(),
        certificate: arguments.certificate.clone(),
        thing: arguments.thing.clone(),
        things: Vec::new(),
        policies: Vec::new(),
        findings: explain(&policies, &request),
        client_id,
    })
}

/// A document by the name of its file, as far as that can be a policy's.
fn named(path: &Path) -> Result<Arc<NamedPolicy>> {
    let (_, document) = read_document(path)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name: Option<PolicyName> = stem.parse().ok();
    let name = match name {
        Some(name) => name,
        None => "document".parse().context("a file's name is no policy's name")?,
    };
    Ok(Arc::new(NamedPolicy { name, version: 1, document }))
}

fn lines_of(answer: &AuthorizationAnswer, action: Action, resource: &str) -> Vec<String> {
    let mut lines = vec![answer.reason.clone()];
    if answer.client_id.starts_with(CLIENT_IDS_OF_PEOPLE) {
        let seen: Vec<&str> = answer.things.iter().map(ThingName::as_str).collect();
        let seen = if seen.is_empty() { "none that they see".to_owned() } else { seen.join(", ") };
        lines.push(format!("the person {:?}; things in {:?}: {seen}", answer.client_id, resource));
        lines.extend(lines_of_policies(answer, action));
        return lines;
    }
    let thing = answer.thing.as_ref().map_or_else(|| "as no thing".to_owned(), |thing| format!("as the thing {thing}"));
    let certificate = answer.certificate.as_ref().map(|id| format!(", with the certificate {id}")).unwrap_or_default();
    lines.push(format!("the client {:?} connects {thing}{certificate}", answer.client_id));
    lines.extend(lines_of_policies(answer, action));
    lines
}

fn lines_of_policies(answer: &AuthorizationAnswer, action: Action) -> Vec<String> {
    let mut lines = Vec::new();
    for policy in &answer.policies {
        lines.push(format!("policy {}, version {}: attached to {}", policy.name, policy.version, policy.target));
    }
    if answer.findings.is_empty() {
        lines.push(format!("no statement is about {action}"));
    }
    for Finding { policy, statement, sid, effect, applies, reason, .. } in &answer.findings {
        let sid = sid.as_ref().map(|sid| format!(" ({sid:?})")).unwrap_or_default();
        let verb = match (applies, effect) {
            (true, Effect::Allow) => "allows it",
            (true, Effect::Deny) => "denies it",
            (false, Effect::Allow) => "does not allow it",
            (false, Effect::Deny) => "does not deny it",
        };
        lines.push(format!("  {policy}, statement {statement}{sid} {verb}: {reason}"));
    }
    lines
}
