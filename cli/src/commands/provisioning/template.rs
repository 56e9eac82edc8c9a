//! `debfleet provisioning template`: what devices become.

use crate::report::{self, printable, url_encoded};
use crate::server::{Refusal, Server, ServerOptions};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use fleet_protocol::names::TemplateName;
use fleet_protocol::provisioning::rest::{TEMPLATES_PATH, TemplateInfo, TemplatePage, TemplateSettings, template_path};
use fleet_protocol::provisioning::template::Template;
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum TemplateCommand {
    Set(Set),
    List(List),
    Show(Show),
    Delete(Delete),
}

/// Makes a template, or changes what is given of one.
///
/// It is JSON in AWS IoT's form: parameters that devices send, and the thing, certificate and policies that come of them.
/// The list of serial numbers is held against the parameter SerialNumber.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  debfleet provisioning template set lamps --file lamps.json --listed-only true\n  \
                  debfleet provisioning template set lamps --hook https://factory.example.org/hook\n  \
                  debfleet provisioning template set lamps --enabled false"
)]
pub(super) struct Set {
    /// The template's name
    #[arg(value_name = "NAME")]
    name: TemplateName,
    /// The template, a JSON file; needed for a new one
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What it is for, for people to read
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// URL that is asked before a device is registered, within five seconds
    #[arg(long, value_name = "URL", conflicts_with = "no_hook")]
    hook: Option<String>,
    /// Ask nobody before a device is registered
    #[arg(long)]
    no_hook: bool,
    /// Whether only devices are registered whose serial number is on the template's list
    #[arg(long, value_name = "true|false")]
    listed_only: Option<bool>,
    /// Whether devices are registered by it
    #[arg(long, value_name = "true|false")]
    enabled: Option<bool>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Lists the templates, by name.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet provisioning template list")]
pub(super) struct List {
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object on each line
    #[arg(long)]
    json: bool,
}

/// Prints a template itself, or all that is known of it.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet provisioning template show lamps > lamps.json")]
pub(super) struct Show {
    /// The template's name
    #[arg(value_name = "NAME")]
    name: TemplateName,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object with its settings
    #[arg(long)]
    json: bool,
}

/// Deletes a template with its list of serial numbers, if no claim for it counts.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet provisioning template delete lamps")]
pub(super) struct Delete {
    /// The template's name
    #[arg(value_name = "NAME")]
    name: TemplateName,
    #[command(flatten)]
    server: ServerOptions,
}

pub(super) fn run(command: &TemplateCommand) -> Result<()> {
    match command {
        TemplateCommand::Set(arguments) => set(arguments),
        TemplateCommand::List(arguments) => list(arguments),
        TemplateCommand::Show(arguments) => show(arguments),
        TemplateCommand::Delete(arguments) => delete(arguments),
    }
}

fn set(arguments: &Set) -> Result<()> {
    let Set { name, file, description, hook, no_hook, listed_only, enabled, server, json } = arguments;
    let body = file.as_ref().map(|file| {
        let shown = file.display();
        let text = std::fs::read_to_string(file).with_context(|| format!("could not read {shown}"))?;
        // A mistake is told without asking a server.
        Template::parse(&text).with_context(|| format!("{shown} is no template"))?;
        anyhow::Ok(text)
    });
    let body = body.transpose()?;
    let server = server.connect()?;
    let failed = || format!("could not set the template {name} on {}", server.address());
    let known = known(&server, name).with_context(failed)?;
    let mut settings = match (known, body.clone()) {
        (Some(known), _) => known.settings,
        (None, Some(template_body)) => TemplateSettings {
            description: String::new(),
            template_body,
            enabled: true,
            hook_url: None,
            listed_only: false,
        },
        (None, None) => bail!("there is no template {name} on {}; give a new one with --file", server.address()),
    };
    if let Some(body) = body {
        settings.template_body = body;
    }
    if let Some(description) = description {
        settings.description.clone_from(description);
    }
    if hook.is_some() || *no_hook {
        settings.hook_url.clone_from(hook);
    }
    settings.listed_only = listed_only.unwrap_or(settings.listed_only);
    settings.enabled = enabled.unwrap_or(settings.enabled);
    let set: TemplateInfo = server.put(&template_path(name), &settings).with_context(failed)?;
    report::result(&if *json { serde_json::to_string(&set)? } else { line(&set) })
}

/// None: there is no such template.
fn known(server: &Server, name: &TemplateName) -> Result<Option<TemplateInfo>> {
    match server.get(&template_path(name)) {
        Ok(known) => Ok(Some(known)),
        Err(error) if error.downcast_ref::<Refusal>().is_some_and(Refusal::is_missing) => Ok(None),
        Err(error) => Err(error),
    }
}

fn list(arguments: &List) -> Result<()> {
    let server = arguments.server.connect()?;
    server.pages(|after| {
        let TemplatePage { templates, next } = server
            .get(&format!("{TEMPLATES_PATH}?after={}", url_encoded(after)))
            .with_context(|| format!("could not list the templates of {}", server.address()))?;
        for template in &templates {
            report::result(&if arguments.json { serde_json::to_string(template)? } else { line(template) })?;
        }
        Ok(next)
    })
}

fn show(arguments: &Show) -> Result<()> {
    let server = arguments.server.connect()?;
    let template: TemplateInfo = server
        .get(&template_path(&arguments.name))
        .with_context(|| format!("could not read the template on {}", server.address()))?;
    if arguments.json {
        return report::result(&serde_json::to_string(&template)?);
    }
    template.settings.template_body.lines().try_for_each(|line| report::result(&printable(line)))
}

fn delete(arguments: &Delete) -> Result<()> {
    let server = arguments.server.connect()?;
    let gone: TemplateInfo = server
        .delete(&template_path(&arguments.name))
        .with_context(|| format!("could not delete the template on {}", server.address()))?;
    report::result(&format!("the template {} is gone", gone.template_name))
}

fn line(template: &TemplateInfo) -> String {
    let TemplateSettings { description, enabled, hook_url, listed_only, .. } = &template.settings;
    let state = if *enabled { "enabled" } else { "disabled" };
    let serials = if *listed_only { "only listed serial numbers" } else { "any serial number" };
    let hook = hook_url.as_ref().map_or_else(String::new, |url| format!("; asks {url}"));
    let description = if description.is_empty() { String::new() } else { format!("; {description}") };
    printable(&format!("{}: {state}; {serials}{hook}{description}", template.template_name))
}
