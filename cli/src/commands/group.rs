//! `debfleet group`: which things belong together.

use crate::commands::thing::{attributes, in_line, pair};
use crate::report::{self, printable, url_encoded};
use crate::server::ServerOptions;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use fleet_protocol::fleet_query::Query;
use fleet_protocol::names::{GroupName, ThingName};
use fleet_protocol::things::{
    AttributePayload, Done, GroupMembers, NewThingGroup, THING_GROUPS_PATH, ThingGroup, ThingGroupChange,
    ThingGroupPage, ThingGroupProperties, group_path, group_thing_path, group_things_path,
};

/// Sets up thing groups, and what is in them.
///
/// Things are put into static groups by hand; groups may stand in one another, and what is true of a group is true of
/// those below it. A dynamic group holds what its query finds. DEBFLEET_TOKEN holds a token: one of the role viewer
/// reads, one of the role operator changes.
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: GroupCommand,
}

#[derive(Subcommand)]
enum GroupCommand {
    Create(Create),
    List(List),
    Show(Show),
    Update(Update),
    Delete(Delete),
    Things(Things),
    Add(Add),
    Remove(Remove),
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match &arguments.command {
        GroupCommand::Create(arguments) => create(arguments),
        GroupCommand::List(arguments) => list(arguments),
        GroupCommand::Show(arguments) => show(arguments),
        GroupCommand::Update(arguments) => update(arguments),
        GroupCommand::Delete(arguments) => delete(arguments),
        GroupCommand::Things(arguments) => things(arguments),
        GroupCommand::Add(Add { members }) => change_members(members, true),
        GroupCommand::Remove(Remove { members }) => change_members(members, false),
    }
}

/// What is said of a group.
#[derive(Args)]
struct Properties {
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// What is noted about it; may be given several times
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = pair)]
    attributes: Vec<(String, String)>,
}

impl Properties {
    fn checked(&self, merge: bool) -> Result<ThingGroupProperties> {
        let attributes = attributes(&self.attributes)?;
        Ok(ThingGroupProperties {
            thing_group_description: self.description.clone().map(TryInto::try_into).transpose()?,
            attribute_payload: (!self.attributes.is_empty()).then_some(AttributePayload { attributes, merge }),
        })
    }
}

/// Makes a group. One that is there already, just so, stays.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet group create kitchen --parent ground-floor\n  \
                  debfleet group create low --query 'shadow.reported.battery<20'\n  \
                  debfleet group create behind --query 'NOT shadow.name.$package.reported.hi.version:1.3.0-1'")]
struct Create {
    /// Its name: up to 128 letters, digits, `:`, `_` and `-`
    #[arg(value_name = "NAME")]
    group: GroupName,
    /// The static group that it is a part of
    #[arg(long, value_name = "GROUP", conflicts_with = "query")]
    parent: Option<GroupName>,
    /// Makes it dynamic: it holds what this finds, as `debfleet thing search` does
    #[arg(long, value_name = "QUERY", allow_hyphen_values = true)]
    query: Option<String>,
    #[command(flatten)]
    properties: Properties,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

fn create(arguments: &Create) -> Result<()> {
    let Create { group, parent, query, properties, server, json } = arguments;
    check_query(query.as_deref())?;
    let new = NewThingGroup {
        parent_group_name: parent.clone(),
        thing_group_properties: properties.checked(false)?,
        query_string: query.clone(),
    };
    let server = server.connect()?;
    let made: ThingGroup = server
        .post(&group_path(group), &new)
        .with_context(|| format!("could not make the group {group} on {}", server.address()))?;
    tell(&made, *json)
}

fn check_query(query: Option<&str>) -> Result<()> {
    query.map(str::parse::<Query>).transpose().context("--query cannot be understood")?;
    Ok(())
}

/// Lists all groups, by name.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet group list")]
struct List {
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object on each line
    #[arg(long)]
    json: bool,
}

fn list(arguments: &List) -> Result<()> {
    let server = arguments.server.connect()?;
    server.pages(|after| {
        let ThingGroupPage { thing_groups, next } = server
            .get(&format!("{THING_GROUPS_PATH}?after={}", url_encoded(after)))
            .with_context(|| format!("could not list the groups of {}", server.address()))?;
        thing_groups.iter().try_for_each(|group| tell(group, arguments.json))?;
        Ok(next)
    })
}

/// Shows a group.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet group show kitchen --json")]
struct Show {
    /// The group
    #[arg(value_name = "NAME")]
    group: GroupName,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

fn show(Show { group, server, json }: &Show) -> Result<()> {
    let server = server.connect()?;
    let found: ThingGroup = server
        .get(&group_path(group))
        .with_context(|| format!("could not ask {} for the group {group}", server.address()))?;
    tell(&found, *json)
}

/// Changes what is said of a group, or a dynamic group's query. What is not named stays.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet group update low --query 'shadow.reported.battery<15'")]
struct Update {
    /// The group
    #[arg(value_name = "NAME")]
    group: GroupName,
    /// Another query
    #[arg(long, value_name = "QUERY", allow_hyphen_values = true)]
    query: Option<String>,
    #[command(flatten)]
    properties: Properties,
    /// An attribute that it shall have no longer; may be given several times
    #[arg(long = "remove-attribute", value_name = "NAME")]
    removed: Vec<String>,
    #[command(flatten)]
    server: ServerOptions,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

fn update(arguments: &Update) -> Result<()> {
    let Update { group, query, properties, removed, server, json } = arguments;
    check_query(query.as_deref())?;
    if let Some((name, _)) = properties.attributes.iter().find(|(_, value)| value.is_empty()) {
        bail!("--attribute {name}= has no value; --remove-attribute {name} takes it away");
    }
    let gone = removed.iter().map(|name| (name.clone(), String::new()));
    let attributes = properties.attributes.iter().cloned().chain(gone).collect();
    let properties = Properties { description: properties.description.clone(), attributes }.checked(true)?;
    if properties == ThingGroupProperties::default() && query.is_none() {
        bail!("nothing to change was named; give --query, --description, --attribute or --remove-attribute");
    }
    let change =
        ThingGroupChange { thing_group_properties: properties, query_string: query.clone(), expected_version: None };
    let server = server.connect()?;
    let changed: ThingGroup = server
        .patch(&group_path(group), &change)
        .with_context(|| format!("could not change the group {group} on {}", server.address()))?;
    tell(&changed, *json)
}

/// Deletes groups. Their things stay. Groups that stand in them are deleted first.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet group delete kitchen ground-floor")]
struct Delete {
    /// The groups
    #[arg(value_name = "NAME", required = true)]
    groups: Vec<GroupName>,
    #[command(flatten)]
    server: ServerOptions,
}

fn delete(arguments: &Delete) -> Result<()> {
    let server = arguments.server.connect()?;
    for group in &arguments.groups {
        let gone: ThingGroup = server
            .delete(&group_path(group))
            .with_context(|| format!("could not delete the group {group} on {}", server.address()))?;
        report::result(&format!("{} was deleted", gone.thing_group_name))?;
    }
    Ok(())
}

/// Lists the things of a group, by name.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet group things ground-floor --recursive")]
struct Things {
    /// The group
    #[arg(value_name = "NAME")]
    group: GroupName,
    /// Also those of the groups below it
    #[arg(long)]
    recursive: bool,
    #[command(flatten)]
    server: ServerOptions,
}

fn things(Things { group, recursive, server }: &Things) -> Result<()> {
    let server = server.connect()?;
    server.pages(|after| {
        let path = format!("{}?recursive={recursive}&after={}", group_things_path(group), url_encoded(after));
        let GroupMembers { things, next } = server
            .get(&path)
            .with_context(|| format!("could not list the things of the group {group} on {}", server.address()))?;
        things.iter().try_for_each(|thing| report::result(thing.as_str()))?;
        Ok(next)
    })
}

/// Puts things into a static group.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet group add kitchen lamp-1 lamp-2")]
struct Add {
    #[command(flatten)]
    members: Members,
}

/// Takes things out of a static group.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet group remove kitchen lamp-1")]
struct Remove {
    #[command(flatten)]
    members: Members,
}

#[derive(Args)]
struct Members {
    /// The group
    #[arg(value_name = "GROUP")]
    group: GroupName,
    /// The things
    #[arg(value_name = "THING", required = true)]
    things: Vec<ThingName>,
    #[command(flatten)]
    server: ServerOptions,
}

fn change_members(Members { group, things, server }: &Members, is_in: bool) -> Result<()> {
    let server = server.connect()?;
    let state = if is_in { "is in" } else { "is not in" };
    for thing in things {
        let path = group_thing_path(group, thing);
        let answer = if is_in { server.put(&path, &()) } else { server.delete(&path) };
        let Done { changed } = answer
            .with_context(|| format!("could not see to it that {thing} {state} {group} on {}", server.address()))?;
        let already = if changed { "" } else { " (already)" };
        report::result(&format!("{thing} {state} {group}{already}"))?;
    }
    Ok(())
}

fn tell(group: &ThingGroup, json: bool) -> Result<()> {
    report::result(&if json { serde_json::to_string(group)? } else { line(group) })
}

fn line(group: &ThingGroup) -> String {
    let ThingGroup { thing_group_name: name, thing_group_properties, thing_group_metadata, query_string, .. } = group;
    let ThingGroupProperties { thing_group_description: description, attribute_payload } = thing_group_properties;
    let place = match query_string {
        Some(query) => format!(" (dynamic: {query})"),
        None => {
            thing_group_metadata.parent_group_name.as_ref().map_or(String::new(), |parent| format!(" (in {parent})"))
        }
    };
    let attributes = attribute_payload.as_ref().map_or(String::new(), |payload| in_line(&payload.attributes));
    let description = description.as_ref().map_or(String::new(), |text| format!(": {}", text.as_str()));
    printable(&format!("{name}{place}{attributes}{description}"))
}
