//! `debfleet bump`: the next version, everywhere it stands.

use crate::report;
use anyhow::{Context, Result};
use builder::bump::{Bump, Change, Options, PrereleaseWord, Record, Step, Target};
use builder::git::Commit;
use builder::time;
use clap::Args;
use clap::error::ErrorKind;
use jiff::Timestamp;
use serde_json::json;
use std::path::PathBuf;

/// Raises the version in debfleet.toml, and in every file that its [bump] names.
///
/// In a tree with a DEBIAN/ it raises Version in DEBIAN/control, and the files that the [bump] of an optional
/// DEBIAN/debfleet.toml names. Nothing is written unless every file holds the old version where its pattern says.
///
/// If the manifest names a changelog, it gets an entry with the subjects of the commits since the present version. Its
/// date is SOURCE_DATE_EPOCH if that is set.
#[derive(Args)]
#[command(
    override_usage = "debfleet bump [OPTIONS] <STEP> [DIR]\n       debfleet bump [OPTIONS] --snapshot [DIR]",
    after_help = "Steps:\n  patch       1.2.3 -> 1.2.4         release     1.3.0-rc.2 -> 1.3.0\n  \
                  minor       1.2.3 -> 1.3.0         prerelease  1.2.3 -> 1.2.4-rc.1 -> 1.2.4-rc.2\n  \
                  major       1.2.3 -> 2.0.0         1.4.0-rc.1  exactly this version (semver)\n\n\
                  Examples:\n  debfleet bump minor --dry-run\n  debfleet bump 1.4.0-rc.1 examples/hi\n  \
                  debfleet bump prerelease --pre beta\n  debfleet bump release --tag && git push --follow-tags\n  \
                  debfleet bump --snapshot     in CI, before a build between two releases"
)]
pub(crate) struct Arguments {
    /// patch, minor, major, prerelease, release, or the new version (semver)
    #[arg(value_name = "STEP")]
    step: Option<String>,
    /// The source folder
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// To the version of the commit that is checked out, such as 1.3.0-git20261120.abc1234
    #[arg(long, conflicts_with_all = ["pre", "commit", "tag"])]
    snapshot: bool,
    /// What a new prerelease is called
    #[arg(long, value_name = "WORD")]
    pre: Option<PrereleaseWord>,
    /// Show what would change, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Commit the changed files, as `Release NAME VERSION`
    #[arg(long)]
    commit: bool,
    /// Commit, and tag the commit as vVERSION
    #[arg(long)]
    tag: bool,
    /// Print a JSON object instead of the changes
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (target, folder) = target(arguments).unwrap_or_else(|error| error.exit());
    let failed = || format!("could not bump the version in {}", folder.display());
    let time = match std::env::var_os(time::VARIABLE) {
        Some(text) => time::of_variable(&text.to_string_lossy()).with_context(failed)?,
        None => Timestamp::now(),
    };
    let record = match (arguments.tag, arguments.commit) {
        (true, _) => Record::Tag,
        (_, true) => Record::Commit,
        _ => Record::Files,
    };
    let bump = Bump::plan(&folder, &target, Options { record, time }).with_context(failed)?;
    let commit = if arguments.dry_run { None } else { bump.apply().with_context(failed)? };
    if arguments.json {
        report::result(&to_json(&bump, commit.as_ref(), arguments.dry_run).to_string())?;
    } else {
        bump.changes().iter().flat_map(to_lines).try_for_each(|line| report::result(&line))?;
    }
    let package = bump.package();
    eprintln!("{package} {} -> {}, {} for Debian", bump.old(), bump.new_version(), bump.debian_version());
    match (&commit, bump.tag()) {
        _ if arguments.dry_run => eprintln!("nothing was written (--dry-run)"),
        (Some(commit), Some(tag)) => eprintln!("committed as {}, tagged {tag}", commit.short_id()),
        (Some(commit), None) => eprintln!("committed as {}", commit.short_id()),
        (None, _) => {}
    }
    Ok(())
}

/// Which version, and of what folder.
fn target(arguments: &Arguments) -> Result<(Target, PathBuf), clap::Error> {
    let wrong =
        |kind, text: &str| Err(clap::Error::raw(kind, format!("{text}\n\nFor more information, try '--help'.\n")));
    let here = || PathBuf::from(".");
    let (step, folder) = (arguments.step.as_deref(), arguments.folder.clone());
    if arguments.snapshot {
        return match (step, folder) {
            (step, None) => Ok((Target::Snapshot, step.map_or_else(here, PathBuf::from))),
            (_, Some(_)) => wrong(ErrorKind::ArgumentConflict, "--snapshot takes no STEP, only a DIR"),
        };
    }
    let Some(step) = step else {
        return wrong(
            ErrorKind::MissingRequiredArgument,
            "name a STEP: patch, minor, major, prerelease, release or a version",
        );
    };
    let step = match (step.parse::<Step>(), arguments.pre.clone()) {
        (Ok(Step::Prerelease(_)), word) => Step::Prerelease(word),
        (Ok(_), Some(_)) => return wrong(ErrorKind::ArgumentConflict, "--pre goes with the step `prerelease` alone"),
        (Ok(step), None) => step,
        (Err(error), _) => return wrong(ErrorKind::InvalidValue, &error.to_string()),
    };
    Ok((Target::Step(step), folder.unwrap_or_else(here)))
}

/// The place, the lines that go, the lines that come.
fn to_lines(change: &Change) -> Vec<String> {
    let path = change.path.strip_prefix(".").unwrap_or(&change.path);
    let place = format!("{}:{}", path.display(), change.line);
    let old = change.old.iter().map(|line| format!("- {line}"));
    let new = change.new.iter().map(|line| format!("+ {line}"));
    std::iter::once(place).chain(old).chain(new).map(|line| line.trim_end().to_owned()).collect()
}

fn to_json(bump: &Bump, commit: Option<&Commit>, is_dry_run: bool) -> serde_json::Value {
    let changes = bump.changes();
    let changes = changes.iter().map(|change| {
        json!({
            "path": change.path.to_string_lossy(),
            "line": change.line,
            "old": change.old,
            "new": change.new,
        })
    });
    json!({
        "package": bump.package().as_str(),
        "old": bump.old(),
        "new": bump.new_version().to_string(),
        "debian-version": bump.debian_version().as_str(),
        "written": !is_dry_run,
        "commit": commit.map(|commit| &commit.id),
        "tag": bump.tag(),
        "changes": changes.collect::<Vec<_>>(),
    })
}
