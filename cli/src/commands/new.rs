//! `debfleet new`: the first manifest of a project.

use crate::report;
use anyhow::{Context, Result, bail};
use builder::starter::{self, Note, Starter, Surroundings};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Makes a project from a name, or a debfleet.toml for a project that is there already.
///
/// A NAME that is no folder yet becomes a folder with a small program and its debfleet.toml, which build, install and
/// update at once. In a folder with a Cargo.toml, package.json, pyproject.toml or nfpm.yaml, the debfleet.toml is
/// written beside that file and says the same. What could not be carried over is told, and stands at the top of the new
/// file. No file is ever overwritten. The paths of new files go to stdout.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet new hi                           a new project in ./hi\n  \
                  debfleet new                              for the project in this folder\n  \
                  debfleet new --from packaging/nfpm.yaml   convert a configuration of nfpm")]
pub(crate) struct Arguments {
    /// The name of a new package, or the folder of a project
    #[arg(value_name = "NAME | DIR")]
    name: Option<String>,
    /// Begin from this Cargo.toml, package.json, pyproject.toml or nfpm configuration
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "out"])]
    from: Option<PathBuf>,
    /// The folder of a new project, if it is not ./NAME
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Who maintains the package; else whom the file or git names, or DEBFULLNAME and DEBEMAIL
    #[arg(long, value_name = "NAME <MAIL>")]
    maintainer: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let user = user();
    let variable = |name: &str| std::env::var(name).ok();
    let surroundings =
        Surroundings { maintainer: arguments.maintainer.as_deref(), user: user.as_deref(), variable: &variable };
    let (starter, from) = plan(arguments, &surroundings)?;
    let written = starter.write().context("could not make the project")?;
    if let Some(from) = from {
        tell("changed", starter.changed(), &from);
        tell("not carried over", starter.dropped(), &from);
    }
    for path in &written {
        report::result(path.to_str().context("the path of a new file is not UTF-8, so it cannot be printed")?)?;
    }
    tell_next(&starter);
    Ok(())
}

/// The project, and the file that it was made from.
fn plan(arguments: &Arguments, surroundings: &Surroundings) -> Result<(Starter, Option<PathBuf>)> {
    let file = match (&arguments.from, &arguments.name) {
        (Some(file), _) => file.clone(),
        (None, Some(name)) if arguments.out.is_some() || !Path::new(name).is_dir() => {
            let folder = arguments.out.clone().unwrap_or_else(|| PathBuf::from(name));
            let starter = starter::from_name(name, &folder, surroundings);
            return Ok((starter.with_context(|| format!("could not make the project {name:?}"))?, None));
        }
        (None, None) if arguments.out.is_some() => bail!("--out is the folder of a new project; give its name, too"),
        (None, name) => {
            let folder = name.as_deref().unwrap_or(".");
            starter::find_in(Path::new(folder)).context("could not find a file to begin from")?
        }
    };
    let starter = starter::from_file(&file, surroundings);
    Ok((starter.with_context(|| format!("could not begin from {}", file.display()))?, Some(file)))
}

fn tell(what: &str, notes: &[Note], from: &Path) {
    for Note { key, text } in notes {
        let line: String =
            format!("{what}: {key}: {text}").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        eprintln!("{}: {line}", from.display());
    }
}

/// The commands that come now.
fn tell_next(starter: &Starter) {
    let folder = starter.folder();
    let here = folder == Path::new(".");
    eprintln!("next:");
    if !here {
        eprintln!("  cd {}", quoted(folder));
    }
    for command in starter.first() {
        eprintln!("  {command}");
    }
    if !folder.join("keys/package.key").exists() && std::env::var_os("DEBFLEET_KEY_FILE").is_none() {
        eprintln!("  debfleet key new package --out keys    # keep keys/package.key secret, out of git");
    }
    eprintln!("  debfleet build --out out --key keys/package.key");
}

/// As a shell reads it back.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._+-".contains(&b));
    if plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Whom git knows as its user here, else whom Debian's tools do (DEBFULLNAME and DEBEMAIL, as for dch).
fn user() -> Option<String> {
    let pair = |name: Option<String>, mail: Option<String>| Some(format!("{} <{}>", name?, mail?));
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.trim().is_empty());
    pair(git_says("user.name"), git_says("user.email")).or_else(|| pair(variable("DEBFULLNAME"), variable("DEBEMAIL")))
}

/// A git that is not there, or knows nothing, is no error: there are other ways to a maintainer.
fn git_says(key: &str) -> Option<String> {
    let asked = Command::new("git").args(["config", "--get", key]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let text = String::from_utf8(asked.ok().filter(|output| output.status.success())?.stdout).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
