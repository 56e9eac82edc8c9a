//! The pipelines of `examples/ci`: their steps, as they stand there, run by bash in a fresh clone against a real server,
//! with the variables that the services set. The runners themselves are not here: what only they do is listed below.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use end_to_end::program::{target_dir, workspace};
use end_to_end::{Ended, PackageKey, Server, Source, run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// Steps of GitHub's file that are not run here: it downloads and installs, and needs sudo.
const NOT_RUN_GITHUB: [&str; 1] = ["Install debfleet"];
/// Parts of GitLab's file that are not run here: it downloads and installs.
const NOT_RUN_GITLAB: [&str; 1] = ["before_script"];

/// A project that people work on, where its history is shared, and the server for its packages.
struct Project {
    source: Source,
    shared: TempDir,
    key: PackageKey,
    server: Server,
}

impl Project {
    fn new() -> Self {
        let (key, shared) = (PackageKey::new(), tempfile::tempdir().unwrap());
        let source = Source::hi().committed();
        run(Command::new("git").args(["init", "--quiet", "--bare", "--initial-branch=main"]).arg(shared.path()))
            .success();
        source.git(&["remote", "add", "origin", shared.path().to_str().unwrap()]);
        source.git(&["push", "--quiet", "--set-upstream", "origin", "main"]);
        Self { source, shared, server: Server::start(&key), key }
    }

    /// What `debfleet bump minor --tag && git push --follow-tags` does, as the examples' README says it.
    fn tag(&self) {
        run(self.server.debfleet(&["bump", "minor", "--tag"]).current_dir(self.source.path())).success();
        self.source.git(&["push", "--quiet", "--follow-tags"]);
    }

    /// A fresh clone, as a runner makes it; 0 is all of the history.
    fn clone_to(&self, folder: &Path, depth: &str, revision: &str) {
        let url = format!("file://{}", self.shared.path().display());
        let mut command = Command::new("git");
        command.args(["clone", "--quiet", "--branch", revision, "-c", "advice.detachedHead=false"]);
        if depth != "0" {
            command.args(["--depth", depth]);
        }
        run(command.arg(url).arg(folder)).success();
    }

    /// bash with nothing but what is named here.
    fn bash(
        &self,
        options: &[&str],
        script: &str,
        folder: &Path,
        home: &Path,
        variables: &BTreeMap<String, String>,
    ) -> Ended {
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", target_dir().display());
        let mut command = Command::new("bash");
        command.args(options).arg("-c").arg(script).current_dir(folder);
        run(command.env_clear().env("PATH", path).env("HOME", home).env("CI", "true").envs(variables))
    }

    /// What is released, by the names in the suite's index.
    fn published(&self) -> Vec<String> {
        let index = self.server.get("/debian/dists/stable/main/binary-amd64/Packages");
        let index = String::from_utf8(index).unwrap();
        index.lines().filter_map(|line| line.strip_prefix("Version: ")).map(str::to_owned).collect()
    }
}

/// Reads YAML as the services do.
fn yaml(path: &str) -> Value {
    let program = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let read = run(Command::new("/usr/bin/python3").args(["-c", program]).arg(workspace(path))).success();
    serde_json::from_str(&read).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// Fills in `${{ … }}`; one that is not known here fails the test.
fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let mut parts = text.split("${{");
    let mut expanded = parts.next().unwrap().to_owned();
    for part in parts {
        let (expression, rest) = part.split_once("}}").expect("an expression that ends");
        let value = known.get(expression.trim()).unwrap_or_else(|| panic!("{} is not known", expression.trim()));
        expanded = expanded + value + rest;
    }
    expanded
}

/// The outputs that a step wrote, as GitHub reads them.
fn outputs(file: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let (mut found, mut lines) = (BTreeMap::new(), text.lines());
    while let Some(line) = lines.next() {
        let (name, end) = line.split_once("<<").expect("a multiline output");
        let value: Vec<&str> = lines.by_ref().take_while(|line| *line != end).collect();
        found.insert(name.to_owned(), value.join("\n"));
    }
    found
}

/// Runs a job of GitHub's example; gives what its steps printed.
fn github(project: &Project, job: &str, reference: (&str, &str)) -> String {
    let workflow = yaml("examples/ci/github-actions/release.yml");
    let (runner, clone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut known = BTreeMap::from(
        [
            ("vars.DEBFLEET_SERVER", project.server.url().to_owned()),
            ("vars.DEBFLEET_DEB", String::new()),
            ("vars.DEBFLEET_DEB_SHA256", String::new()),
            ("vars.DEBFLEET_SNAPSHOT_SUITE", "stable".to_owned()),
            ("secrets.DEBFLEET_TOKEN", project.server.token().to_owned()),
            ("secrets.DEBFLEET_KEY", std::fs::read_to_string(project.key.secret()).unwrap()),
            // A secret that is not set is empty.
            ("secrets.DEBFLEET_PASSPHRASE", String::new()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let environment = |value: &Value, known: &BTreeMap<String, String>| -> BTreeMap<String, String> {
        let variables = value.as_object().into_iter().flatten();
        variables.map(|(name, value)| (name.clone(), expand(text(value), known))).collect()
    };
    let (mut printed, mut not_run) = (String::new(), Vec::new());
    for (index, step) in workflow["jobs"][job]["steps"].as_array().expect("steps").iter().enumerate() {
        let name = text(&step["name"]);
        if let Some(action) = step["uses"].as_str() {
            match action {
                "actions/checkout@v4" => {
                    // Without the key it is 1.
                    let depth = step["with"]["fetch-depth"].as_u64().unwrap_or(1).to_string();
                    project.clone_to(clone.path(), &depth, reference.1);
                }
                "actions/upload-artifact@v4" => {
                    let kept = clone.path().join(text(&step["with"]["path"]));
                    assert!(kept.read_dir().unwrap().count() >= 2, "{name} would keep a .deb and its .buildinfo");
                }
                other => panic!("{other} is not known here"),
            }
            continue;
        }
        if NOT_RUN_GITHUB.contains(&name) {
            not_run.push(name);
            continue;
        }
        let file = |name: &str| runner.path().join(format!("{name}-{index}"));
        let mut variables = environment(&workflow["env"], &known);
        variables.extend(environment(&step["env"], &known));
        for (name, value) in [
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("GITHUB_REF_TYPE", reference.0.to_owned()),
            ("GITHUB_REF_NAME", reference.1.to_owned()),
            ("RUNNER_TEMP", runner.path().display().to_string()),
            ("GITHUB_OUTPUT", file("outputs").display().to_string()),
            ("GITHUB_STEP_SUMMARY", file("summary").display().to_string()),
        ] {
            variables.insert(name.to_owned(), value);
        }
        // `bash -e` is what a step without `shell` gets.
        let ended = project.bash(&["-e"], text(&step["run"]), clone.path(), runner.path(), &variables);
        assert!(ended.code == 0, "{name}: {ended}");
        printed += &ended.stdout;
        if let Some(id) = step["id"].as_str() {
            let outputs = outputs(&file("outputs"));
            known.extend(outputs.into_iter().map(|(name, value)| (format!("steps.{id}.outputs.{name}"), value)));
            assert!(std::fs::read_to_string(file("summary")).unwrap().contains("| published |"));
        }
    }
    assert_eq!(not_run, NOT_RUN_GITHUB, "the list of what is not run here must be true");
    printed
}

#[test]
fn github_releases_a_tag_and_a_snapshot_of_main() {
    let project = Project::new();
    project.tag();
    let link = format!("{}/debian/pool/main/h/hi/hi_0.2.0-1_all.deb", project.server.url());
    let printed = github(&project, "release", ("tag", "v0.2.0"));
    assert_eq!(printed, format!("{link}\nreleased 0.2.0:\n{link}\n"));
    project.source.git(&["commit", "--quiet", "--allow-empty", "--message", "More"]);
    project.source.git(&["push", "--quiet"]);
    assert!(github(&project, "snapshot", ("branch", "main")).contains("/hi_0.2.1~git"));
    assert_eq!(project.published().len(), 2);
}

/// Runs a job of GitLab's example; gives what it printed, and the variables that later jobs get.
fn gitlab(
    project: &Project,
    job: &str,
    reference: (&str, &str),
    given: &BTreeMap<String, String>,
) -> (String, BTreeMap<String, String>) {
    let pipeline = yaml("examples/ci/gitlab-ci/.gitlab-ci.yml");
    let (home, clone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let job = &pipeline[job];
    let base = job["extends"].as_str().map_or(&Value::Null, |name| &pipeline[name]);
    project.clone_to(clone.path(), text(&pipeline["variables"]["GIT_DEPTH"]), reference.1);
    let mut variables = given.clone();
    for (name, value) in [
        ("GITLAB_CI", "true".to_owned()),
        (reference.0, reference.1.to_owned()),
        ("CI_PROJECT_DIR", clone.path().display().to_string()),
        ("DEBFLEET_SERVER", project.server.url().to_owned()),
        ("DEBFLEET_TOKEN", project.server.token().to_owned()),
        // A variable of type File is a path.
        ("DEBFLEET_KEY_FILE", project.key.secret().display().to_string()),
        ("DEBFLEET_SNAPSHOT_SUITE", "stable".to_owned()),
    ] {
        variables.insert(name.to_owned(), value);
    }
    let not_run: Vec<&str> = NOT_RUN_GITLAB.into_iter().filter(|part| !base[part].is_null()).collect();
    assert!(base.is_null() || not_run == NOT_RUN_GITLAB, "the list of what is not run here must be true");
    let script: Vec<&str> = job["script"].as_array().expect("a script").iter().map(text).collect();
    // The runner's shell ends at the first command that fails, also in a pipe.
    let ended = project.bash(&["-eo", "pipefail"], &script.join("\n"), clone.path(), home.path(), &variables);
    assert!(ended.code == 0, "{ended}");
    let mut reported = BTreeMap::new();
    if let Some(path) = base["artifacts"]["reports"]["dotenv"].as_str() {
        for line in std::fs::read_to_string(clone.path().join(path)).unwrap().lines() {
            let (name, value) = line.split_once('=').unwrap();
            // GitLab refuses a report with anything else in it.
            assert!(
                name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') && !value.contains([' ', '"', '\'']),
                "{line}"
            );
            reported.insert(name.to_owned(), value.to_owned());
        }
        for path in base["artifacts"]["paths"].as_array().unwrap() {
            assert!(
                clone.path().join(text(path)).read_dir().unwrap().count() >= 2,
                "a .deb and its .buildinfo are kept"
            );
        }
    }
    (ended.stdout, reported)
}

#[test]
fn gitlab_releases_a_tag_announces_it_and_a_snapshot_of_main() {
    let project = Project::new();
    project.tag();
    let link = format!("{}/debian/pool/main/h/hi/hi_0.2.0-1_all.deb", project.server.url());
    let tag = ("CI_COMMIT_TAG", "v0.2.0");
    let (printed, reported) = gitlab(&project, "release", tag, &BTreeMap::new());
    assert_eq!(printed, format!("{link}\n"));
    let (announced, _) = gitlab(&project, "announce", tag, &reported);
    assert_eq!(announced, format!("released hi 0.2.0\n{link}\n"));
    // The job once more, on another runner.
    assert_eq!(gitlab(&project, "release", tag, &BTreeMap::new()).0, printed);
    project.source.git(&["commit", "--quiet", "--allow-empty", "--message", "More"]);
    project.source.git(&["push", "--quiet"]);
    let (printed, _) = gitlab(&project, "snapshot", ("CI_COMMIT_BRANCH", "main"), &BTreeMap::new());
    assert!(printed.contains("/hi_0.2.1~git"), "{printed}");
    assert_eq!(project.published().len(), 2);
}

#[test]
fn a_shell_releases_and_pushes_and_continues_when_it_failed() {
    let mut project = Project::new();
    let script = workspace("examples/ci/shell/release.sh");
    let release = |project: &Project, arguments: &[&str]| {
        let mut command = project.server.debfleet(&[]);
        let path = format!("{}:{}", target_dir().display(), std::env::var("PATH").unwrap());
        let variables: Vec<_> =
            command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
        command = Command::new(&script);
        command.args(arguments).current_dir(project.source.path()).envs(variables).env("PATH", path);
        run(command.env("DEBFLEET_KEY_FILE", project.key.secret()))
    };
    release(&project, &[]).fails(2, "usage: release.sh STEP");
    project.server.kill();
    release(&project, &["minor"]).fails(1, "run the same command again");
    project.server.resume();
    let printed = release(&project, &["minor"]).success();
    assert!(printed.ends_with("/hi_0.2.0-1_all.deb\nreleased hi 0.2.0\n"), "{printed}");
    assert_eq!(project.published(), ["0.2.0-1"]);
    let shared = run(Command::new("git").arg("-C").arg(project.shared.path()).args(["log", "--format=%s%d"])).success();
    assert_eq!(shared.trim(), "Release hi 0.2.0 (HEAD -> main, tag: v0.2.0)\nThe beginning");
}
