//! The version of a release: raised, committed and tagged once, however often the command is run.

use anyhow::{Context, Result, bail};
use builder::bump::{Bump, Options, Record, Step, Target};
use builder::git::Repository;
use builder::{Source, time};
use debian_formats::PackageName;
use debian_formats::control::Control;
use jiff::Timestamp;
use std::path::Path;

/// Which version to release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The one that the source says.
    Present,
    /// The one that a step leads to.
    Step(Step),
    /// One of the commit that is checked out.
    Snapshot,
}

/// What is to be done before the build. Nothing is done yet.
pub(crate) struct Plan {
    package: PackageName,
    version: String,
    work: Work,
}

enum Work {
    /// The source is built as it stands, perhaps with a file that differs from the commit.
    Present { change: Option<String> },
    /// An earlier run raised the version.
    Done { tag: String },
    /// The version is raised; its tag is missing.
    Tag { repository: Repository, name: String },
    /// Files change, are committed and tagged.
    Bump(Bump),
    /// The version stands in the packages alone.
    Snapshot,
}

impl Plan {
    /// Looks at a source's history. `planned` is the control file of a package that would be built without a bump, where
    /// one could be.
    pub(crate) fn new(folder: &Path, out: &Path, wanted: &Wanted, planned: Option<&Control>) -> Result<Self> {
        let (package, version) = match planned {
            Some(control) if *wanted == Wanted::Snapshot => of_control(control),
            _ => present(&Source::open(folder)?),
        };
        let work = match wanted {
            Wanted::Present => {
                let repository = Repository::find(folder)?;
                let change = repository.map(|repository| repository.first_change_besides(out)).transpose()?;
                Work::Present { change: change.flatten() }
            }
            Wanted::Snapshot => Work::Snapshot,
            Wanted::Step(step) => {
                let repository = Repository::open(folder).context("a release with a STEP is committed and tagged")?;
                let state = State::look(&repository, out, &package, version.clone())?;
                let name = tag_of(&version);
                match decide(step, &state)? {
                    Decision::Continue => Work::Done { tag: name },
                    Decision::Tag => Work::Tag { repository, name },
                    Decision::Bump => Work::Bump(bump(folder, step)?),
                }
            }
        };
        let version = match &work {
            Work::Bump(bump) => bump.new_version().to_string(),
            Work::Present { .. } | Work::Done { .. } | Work::Tag { .. } | Work::Snapshot => version,
        };
        Ok(Self { package, version, work })
    }

    /// The package's name.
    pub(crate) fn package(&self) -> &PackageName {
        &self.package
    }

    /// The version that will be released, as people bump it.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// A file that differs from the commit, where that is no error.
    pub(crate) fn change(&self) -> Option<&str> {
        if let Work::Present { change } = &self.work { change.as_deref() } else { None }
    }

    /// Whether a commit or a tag is made that others do not have yet.
    pub(crate) fn is_to_be_pushed(&self) -> bool {
        matches!(self.work, Work::Bump(_) | Work::Tag { .. } | Work::Done { .. })
    }

    /// What is done, in words.
    pub(crate) fn explain(&self) -> String {
        let Self { package, version, work } = self;
        match work {
            Work::Present { .. } => format!("{package} {version}, as the source says it"),
            Work::Done { tag } => {
                format!("{package} {version}: the commit that is checked out is {tag} already, so nothing is raised")
            }
            Work::Tag { name, .. } => {
                format!("{package} {version}: the source says it already; only the tag {name} is made")
            }
            Work::Bump(bump) => {
                format!("{package} {} -> {version}, to be committed and tagged {}", bump.old(), tag_of(version))
            }
            Work::Snapshot => format!("{package} {version}, a snapshot of the commit that is checked out"),
        }
    }

    /// Does it; gives the tag at the commit that is checked out then.
    pub(crate) fn carry_out(&self) -> Result<Option<String>> {
        Ok(match &self.work {
            Work::Present { .. } | Work::Snapshot => None,
            Work::Done { tag } => Some(tag.clone()),
            Work::Tag { repository, name } => {
                repository.tag(name, &release_message(&self.package, &self.version))?;
                Some(name.clone())
            }
            Work::Bump(bump) => {
                bump.apply().context("could not raise the version")?;
                Some(tag_of(&self.version))
            }
        })
    }
}

/// The name, and the version as people bump it.
fn present(source: &Source) -> (PackageName, String) {
    match source {
        Source::Manifest(manifest) => (manifest.package().name().clone(), manifest.package().version().to_string()),
        Source::Tree(tree) => of_control(tree.control()),
    }
}

/// The way back from Debian's form, as `debfleet bump` takes it: `1.3.0~rc.1` was `1.3.0-rc.1`.
fn of_control(control: &Control) -> (PackageName, String) {
    (control.package().clone(), control.version().upstream().replacen('~', "-", 1))
}

/// The changelog's entry is of now, unless SOURCE_DATE_EPOCH says otherwise.
fn bump(folder: &Path, step: &Step) -> Result<Bump> {
    let failed = || format!("could not raise the version in {}", folder.display());
    let time = match std::env::var_os(time::VARIABLE) {
        Some(text) => time::of_variable(&text.to_string_lossy()).with_context(failed)?,
        None => Timestamp::now(),
    };
    Bump::plan(folder, &Target::Step(step.clone()), Options { record: Record::Tag, time }).with_context(failed)
}

/// As `debfleet bump --tag` names it.
fn tag_of(version: &str) -> String {
    format!("v{version}")
}

/// The subject of the commit that `debfleet bump --commit` makes.
fn release_message(package: &PackageName, version: &str) -> String {
    format!("Release {package} {version}")
}

/// What the source and its history say.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    /// The version that the source says now.
    version: String,
    /// Where that version's tag stands.
    tag: Tag,
    /// A file that differs from the commit that is checked out.
    change: Option<String>,
    /// Whether that commit is the one that raised the version to this.
    is_release_commit: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    Absent,
    AtHead,
    Elsewhere,
}

impl State {
    fn look(repository: &Repository, out: &Path, package: &PackageName, version: String) -> Result<Self> {
        let head = repository.head()?.id;
        let tag = match repository.tagged_commit(&tag_of(&version))? {
            None => Tag::Absent,
            Some(commit) if commit == head => Tag::AtHead,
            Some(_) => Tag::Elsewhere,
        };
        let is_newest = repository.last_commit_of_folder()?.is_some_and(|commit| commit.id == head);
        let subject = repository.subjects(None, 1)?.into_iter().next();
        let is_release_commit = is_newest && subject.is_some_and(|it| it == release_message(package, &version));
        Ok(Self { version, tag, change: repository.first_change_besides(out)?, is_release_commit })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// An earlier run did all of it.
    Continue,
    /// The version is raised; its tag is missing.
    Tag,
    Bump,
}

/// Whoever runs the same command again after a failure gets the version of the first run: it is raised only if the
/// commit that is checked out is not its release already.
fn decide(step: &Step, state: &State) -> Result<Decision> {
    let State { version, tag, change, is_release_commit } = state;
    if let Some(change) = change {
        bail!(
            "{change} is not committed, and a release is built from a commit; commit it, or put it aside (`git stash`)"
        );
    }
    let (is_present, is_other) = match step {
        Step::To(wanted) => (wanted.to_string() == *version, wanted.to_string() != *version),
        _ => (false, false),
    };
    match tag {
        Tag::AtHead if !is_other => Ok(Decision::Continue),
        Tag::Elsewhere if is_present => {
            let tag = tag_of(version);
            bail!("{tag} is at another commit, so {version} was released from there; name a higher version");
        }
        Tag::Absent if is_present || (*is_release_commit && !is_other) => Ok(Decision::Tag),
        _ => Ok(Decision::Bump),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(tag: Tag) -> State {
        State { version: "1.2.0".into(), tag, change: None, is_release_commit: false }
    }

    fn decided(step: &str, state: &State) -> String {
        decide(&step.parse().unwrap(), state).map_or_else(|error| error.to_string(), |it| format!("{it:?}"))
    }

    #[test]
    fn the_same_command_again_raises_nothing() {
        for step in ["patch", "minor", "1.2.0"] {
            assert_eq!(decided(step, &state(Tag::AtHead)), "Continue", "{step}");
        }
        // Killed between the commit and its tag.
        let untagged = State { is_release_commit: true, ..state(Tag::Absent) };
        assert_eq!(decided("patch", &untagged), "Tag");
        assert_eq!(decided("1.3.0", &untagged), "Bump");
    }

    #[test]
    fn a_commit_after_the_release_is_a_new_one() {
        for step in ["patch", "1.3.0"] {
            assert_eq!(decided(step, &state(Tag::Elsewhere)), "Bump", "{step}");
            assert_eq!(decided(step, &state(Tag::Absent)), "Bump", "{step}");
        }
        assert_eq!(decided("1.3.0", &state(Tag::AtHead)), "Bump");
        // The first release of a new project.
        assert_eq!(decided("1.2.0", &state(Tag::Absent)), "Tag");
    }

    #[test]
    fn what_cannot_be_repeated_is_not_begun() {
        assert!(decided("1.2.0", &state(Tag::Elsewhere)).contains("v1.2.0 is at another commit"));
        let changed = State { change: Some("src/a".into()), ..state(Tag::AtHead) };
        assert!(decided("patch", &changed).starts_with("src/a is not committed"));
    }
}
