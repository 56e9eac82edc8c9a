//! `debfleet release`: from the source to the server, in one command that may be run again.

use super::build::{origin_key, text_of};
use crate::release::ci::Job;
use crate::release::readback;
use crate::release::told::{Released, ReleasedPackage};
use crate::release::version::{Plan, Wanted};
use crate::report;
use crate::server::{Refusal, Server, ServerOptions};
use crate::signing_keys::SigningKeyArguments;
use anyhow::{Context, Result, bail};
use builder::bump::Step;
use builder::git::{GitError, Repository};
use builder::provenance::{self, Circumstances};
use builder::{Built, Source, time};
use clap::Args;
use clap::error::ErrorKind;
use debian_formats::Architecture;
use debian_formats::deb::SignatureRole;
use debian_formats::names::SuiteName;
use debian_formats::openpgp::SigningKey;
use std::path::{Path, PathBuf};

/// Raises the version, builds for every architecture, signs, verifies, writes the provenance, uploads, prints the links.
///
/// With a STEP the new version is committed and tagged (and not pushed); without one the version is released that the
/// source says, as in a CI job that runs for a tag. Nothing is uploaded before all is built and verified. After a
/// failure the same command continues: it raises no version twice, and a package that the suite holds already is a
/// success. Other content under a version that was published is an error.
///
/// The token comes from DEBFLEET_TOKEN, the key from --key, DEBFLEET_KEY_FILE or DEBFLEET_KEY.
#[derive(Args)]
#[command(
    override_usage = "debfleet release [OPTIONS] --suite <NAME> --server <URL> [STEP] [DIR]",
    after_help = "Steps: as for `debfleet bump`: patch, minor, major, prerelease, release, or a version\n\n\
                  Examples:\n  debfleet release minor --suite stable --key keys/package.key && git push --follow-tags\n  \
                  debfleet release --suite stable                 in a CI job for a tag, DEBFLEET_SERVER being set\n  \
                  debfleet release --snapshot --suite edge        in a CI job for every commit\n  \
                  debfleet release patch hi --suite stable --dry-run"
)]
pub(crate) struct Arguments {
    /// How to raise the version; absent: not at all
    #[arg(value_name = "STEP")]
    step: Option<String>,
    /// The source folder [default: .]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Give the packages a version of the commit that is checked out, such as 1.3.0-git20261120.abc1234
    #[arg(long)]
    snapshot: bool,
    /// The suite to publish in
    #[arg(long, value_name = "NAME")]
    suite: SuiteName,
    #[command(flatten)]
    server: ServerOptions,
    #[command(flatten)]
    signing: SigningKeyArguments,
    /// Folder for the packages and their .buildinfo; it is created if absent
    #[arg(long, value_name = "DIR", default_value = "dist")]
    out: PathBuf,
    /// Build only for this architecture; may be given several times. Absent: for all that the source names
    #[arg(long, value_name = "ARCH")]
    architecture: Vec<Architecture>,
    /// Check all that can be checked, say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Write DEBFLEET_RELEASED_VERSION and others as NAME=value lines, such as for GitLab's dotenv reports
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Print one JSON object instead of the links
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (wanted, folder) = wanted(arguments).unwrap_or_else(|error| error.exit());
    // Whatever would fail later for sure is found before anything is changed.
    let signers = arguments.signing.load()?;
    if origin_key(&signers).is_none() {
        bail!(
            "a release is signed: give --key, DEBFLEET_KEY_FILE or DEBFLEET_KEY; `debfleet key new package` makes a key"
        );
    }
    let server = arguments.server.connect()?;
    let time = time_of_variable();
    let planned = match builder::check(&folder, &options(arguments, &signers, time.as_deref())) {
        Ok(planned) => planned,
        Err(error) if matches!(wanted, Wanted::Step(_)) && error.is_mended_by_bump() => Vec::new(),
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be released as it stands", folder.display()));
        }
    };
    check_history(&folder)?;
    let plan = Plan::new(&folder, &arguments.out, &wanted, planned.first())?;
    let job = Job::from_environment();
    if wanted != Wanted::Snapshot {
        job.check_tag(plan.version())?;
    }
    eprintln!("{}", plan.explain());
    if arguments.dry_run {
        let architectures = Source::open(&folder)?.architectures(&arguments.architecture)?;
        let architectures: Vec<&str> = architectures.iter().map(Architecture::as_str).collect();
        eprintln!(
            "would build for {}, and publish in {} of {}; nothing was changed (--dry-run)",
            architectures.join(", "),
            arguments.suite,
            server.address()
        );
        return Ok(());
    }
    release(arguments, &folder, &plan, &signers, &server, &job)
}

fn release(
    arguments: &Arguments,
    folder: &Path,
    plan: &Plan,
    signers: &[(SignatureRole, SigningKey)],
    server: &Server,
    job: &Job,
) -> Result<()> {
    if let Some(change) = plan.change() {
        eprintln!("warning: {change} is not as committed; the provenance will say `Git-Tree: dirty`");
    }
    let tag = plan.carry_out()?;
    let (packages, buildinfos) = build(arguments, folder, signers)
        .with_context(|| format!("{} {} was not built, so nothing was uploaded", plan.package(), plan.version()))?;
    let mut released = Vec::new();
    for (built, buildinfo) in packages.iter().zip(&buildinfos) {
        let answer = server.upload(&built.path, &arguments.suite).map_err(|error| {
            let next = next_step(error.downcast_ref());
            let (done, all, out) = (released.len(), packages.len(), arguments.out.display());
            error.context(format!(
                "{} {} is not released: {done} of {all} packages are published, and what was built is in {out}; {next}",
                plan.package(),
                plan.version()
            ))
        })?;
        if answer.sha256 != built.checksums()?.sha256 {
            bail!(
                "{} says that it holds another file than {}; look into its log",
                server.address(),
                built.path.display()
            );
        }
        let outcome = if answer.created { "published in" } else { "was already in" };
        eprintln!("{} {} for {} {outcome} {}", answer.package, answer.version, answer.architecture, answer.suite);
        released.push(ReleasedPackage {
            architecture: answer.architecture,
            path: text_of(&built.path)?.to_owned(),
            buildinfo: text_of(buildinfo)?.to_owned(),
            sha256: answer.sha256,
            link: server.repository_link(&answer.filename),
            created: answer.created,
        });
    }
    let released = Released {
        package: plan.package().to_string(),
        version: plan.version().to_owned(),
        debian_version: packages.first().map(|built| built.control.version().to_string()).unwrap_or_default(),
        suite: arguments.suite.to_string(),
        tag,
        sources: server.repository_link(&format!("{}.sources", arguments.suite)),
        packages: released,
    };
    job.tell(&released)?;
    if let Some(path) = &arguments.env_file {
        durable_files::replace(path, released.dotenv().as_bytes(), 0o644).context("all is published")?;
    }
    tell(&released, arguments.json)?;
    if plan.is_to_be_pushed() {
        eprintln!("the commit and its tag are in this clone alone unless you pushed them: git push --follow-tags");
    }
    Ok(())
}

/// What to do after an upload that failed.
fn next_step(refusal: Option<&Refusal>) -> &'static str {
    match refusal {
        Some(refusal) if refusal.is_conflict() => {
            "release what changed under a new version (`debfleet release patch`); if nothing should have changed, \
             compare the Inputs-Sha256 in the .buildinfo of both builds"
        }
        Some(refusal) if refusal.is_final() => {
            "correct that, and run the same command again: it continues with this version"
        }
        _ => "run the same command again: it continues with this version",
    }
}

fn time_of_variable() -> Option<String> {
    std::env::var_os(time::VARIABLE).map(|value| value.to_string_lossy().into_owned())
}

fn options<'a>(
    arguments: &'a Arguments,
    signers: &'a [(SignatureRole, SigningKey)],
    source_date_epoch: Option<&'a str>,
) -> builder::Options<'a> {
    builder::Options {
        out: &arguments.out,
        snapshot: arguments.snapshot,
        architectures: &arguments.architecture,
        signers,
        source_date_epoch,
        compression: None,
        threads: None,
        record_inputs: true,
    }
}

/// Builds, signs and reads back every package, and writes where each comes from.
fn build(
    arguments: &Arguments,
    folder: &Path,
    signers: &[(SignatureRole, SigningKey)],
) -> Result<(Vec<Built>, Vec<PathBuf>)> {
    let time = time_of_variable();
    let packages = builder::build(folder, &options(arguments, signers, time.as_deref()))?;
    let circumstances = Circumstances::look(folder, &arguments.out, env!("CARGO_PKG_VERSION"))?;
    let mut buildinfos = Vec::new();
    for built in &packages {
        readback::check(built, signers)?;
        let control = &built.control;
        let (version, architecture) = (control.version(), control.architecture());
        eprintln!("built, signed and verified {} {version} for {architecture}", control.package());
        buildinfos.push(provenance::write(built, &circumstances, origin_key(signers))?);
    }
    Ok((packages, buildinfos))
}

fn tell(released: &Released, json: bool) -> Result<()> {
    if json {
        return report::result(&released.json().to_string());
    }
    released.packages.iter().try_for_each(|package| report::result(&package.link))?;
    eprintln!("on a device with {}: {}", released.sources, released.install());
    Ok(())
}

/// The date of the last commit that touched the source is in every package. Where it is not known for sure, the same
/// version could get other bytes here than elsewhere, which the server would refuse.
fn check_history(folder: &Path) -> Result<()> {
    if std::env::var_os(time::VARIABLE).is_some() {
        return Ok(());
    }
    let why = "the same version could get other bytes here than elsewhere, unless SOURCE_DATE_EPOCH is set";
    match Repository::open(folder) {
        Ok(repository) => repository.check_whole().context(why),
        // Without any history the newest file gives the time.
        Err(GitError::NoRepository { .. }) => Ok(()),
        Err(GitError::NotInstalled { .. }) if !is_in_clone(folder) => Ok(()),
        Err(error) => Err(error).context(why),
    }
}

fn is_in_clone(folder: &Path) -> bool {
    let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    real.ancestors().any(|above| above.join(".git").exists())
}

/// Which version, and of what folder. A first word that is no step is the folder.
fn wanted(arguments: &Arguments) -> Result<(Wanted, PathBuf), clap::Error> {
    let wrong =
        |kind, text: String| Err(clap::Error::raw(kind, format!("{text}\n\nFor more information, try '--help'.\n")));
    let here = || PathBuf::from(".");
    match (arguments.step.as_deref(), arguments.folder.clone()) {
        (step, None) if arguments.snapshot => Ok((Wanted::Snapshot, step.map_or_else(here, PathBuf::from))),
        (_, Some(_)) if arguments.snapshot => {
            wrong(ErrorKind::ArgumentConflict, "--snapshot takes no STEP, only a DIR".to_owned())
        }
        (None, folder) => Ok((Wanted::Present, folder.unwrap_or_else(here))),
        (Some(first), folder) => match (first.parse::<Step>(), folder) {
            (Ok(step), folder) => Ok((Wanted::Step(step), folder.unwrap_or_else(here))),
            (Err(_), None) if Path::new(first).is_dir() => Ok((Wanted::Present, first.into())),
            (Err(error), _) => wrong(ErrorKind::InvalidValue, format!("{error}, and no folder has that name")),
        },
    }
}
