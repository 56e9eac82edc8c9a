//! What a CI service says by its variables, and where it wants to be told of the outcome.

use super::told::Released;
use anyhow::{Context, Result, bail};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The job that this runs in; on a person's machine nothing of it is there.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Job {
    /// The tag that the job runs for.
    tag: Option<String>,
    /// GitHub's files for a step's outputs and for its summary.
    outputs: Option<PathBuf>,
    summary: Option<PathBuf>,
}

impl Job {
    /// Reads GitHub's and GitLab's variables.
    pub(crate) fn from_environment() -> Self {
        Self::from_variables(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        // A branch may be called v1.2.3, too.
        let is_github_tag = variable("GITHUB_REF_TYPE").is_some_and(|kind| kind == "tag");
        let github_tag = variable("GITHUB_REF_NAME").filter(|_| is_github_tag);
        Self {
            tag: github_tag.or_else(|| variable("CI_COMMIT_TAG")),
            outputs: variable("GITHUB_OUTPUT").map(PathBuf::from),
            summary: variable("GITHUB_STEP_SUMMARY").map(PathBuf::from),
        }
    }

    /// A job for the tag of a version must release that version. Tags of another form are about something else.
    pub(crate) fn check_tag(&self, version: &str) -> Result<()> {
        let Some(tag) = &self.tag else { return Ok(()) };
        let tagged = tag.strip_prefix('v').filter(|tagged| tagged.starts_with(|c: char| c.is_ascii_digit()));
        if let Some(tagged) = tagged
            && tagged != version
        {
            bail!(
                "this CI job runs for the tag {tag}, and the source says {version}; tag the commit in which the \
                 version was raised (`debfleet bump {tagged}`, commit, then the tag), and remove the wrong tag"
            );
        }
        Ok(())
    }

    /// Tells the service of the outcome, where it asked for that.
    pub(crate) fn tell(&self, released: &Released) -> Result<()> {
        let files = [(&self.outputs, released.github_outputs()), (&self.summary, released.github_summary())];
        for (path, text) in files {
            if let Some(path) = path {
                append(path, &text)?;
            }
        }
        Ok(())
    }
}

/// Other steps of the job may have written before, and may write after.
fn append(path: &Path, text: &str) -> Result<()> {
    let written =
        OpenOptions::new().append(true).create(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| {
        format!("all is published, but the CI service could not be told: could not write {}", path.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(variables: &[(&str, &str)]) -> Job {
        Job::from_variables(|name| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_job_for_the_tag_of_another_version_is_stopped() {
        let github = |kind, name| job(&[("GITHUB_REF_TYPE", kind), ("GITHUB_REF_NAME", name)]);
        let gitlab = |tag| job(&[("CI_COMMIT_TAG", tag)]);
        for good in [
            github("tag", "v1.2.3"),
            gitlab("v1.2.3"),
            github("branch", "v9.9.9"),
            gitlab("nightly"),
            gitlab("vnext"),
            Job::default(),
        ] {
            good.check_tag("1.2.3").unwrap();
        }
        for bad in [github("tag", "v1.2.4"), gitlab("v1.2"), gitlab("v1.2.3-rc.1")] {
            let error = bad.check_tag("1.2.3").unwrap_err().to_string();
            assert!(error.contains("the source says 1.2.3"), "{error}");
        }
    }
}
