//! `debfleet release` against a real server: one command, which may be run again whatever became of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use end_to_end::server::get;
use end_to_end::{Ended, PackageKey, Server, Source, run};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

/// A project in git, the key of its packages, and the server that knows it.
struct Project {
    source: Source,
    key: PackageKey,
    server: Server,
}

impl Project {
    fn new() -> Self {
        Self::of(Source::hi())
    }

    fn of(source: Source) -> Self {
        let key = PackageKey::new();
        let server = Server::start(&key);
        Self { source: source.with_file(".gitignore", "/dist\n").committed(), key, server }
    }

    /// `debfleet release` in the source's folder, not yet started.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.server.debfleet(&["release", "--suite", "stable"]);
        command.args(arguments).env("DEBFLEET_KEY_FILE", self.key.secret()).current_dir(self.source.path());
        command
    }

    #[track_caller]
    fn release(&self, arguments: &[&str]) -> Ended {
        run(&mut self.command(arguments))
    }

    /// What the suite is, all of it.
    fn suite(&self) -> Vec<u8> {
        self.server.get("/debian/dists/stable/InRelease")
    }

    /// Subjects and tags, the newest first.
    fn history(&self) -> String {
        self.source.git(&["log", "--format=%s%d"])
    }

    fn dist(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.source.path().join("dist").join(name)).unwrap()
    }
}

const RELEASED: &str = "Release hi 0.2.0 (HEAD -> main, tag: v0.2.0)\nThe beginning";

#[test]
fn a_release_that_is_repeated_changes_nothing() {
    let project = Project::new();
    let first = project.release(&["minor"]).success();
    let link = format!("{}/debian/pool/main/h/hi/hi_0.2.0-1_all.deb", project.server.url());
    assert_eq!(first.trim(), link);
    assert_eq!(get(&link), project.dist("hi_0.2.0-1_all.deb"));
    assert_eq!(project.history(), RELEASED);
    assert_eq!(project.source.git(&["status", "--porcelain"]), "");
    let suite = project.suite();
    for step in ["minor", "0.2.0"] {
        let again = project.release(&[step]);
        assert!(
            again.stderr.contains("was already in stable") && again.stderr.contains("nothing is raised"),
            "{again}"
        );
        assert_eq!(again.success(), first);
    }
    assert_eq!(project.suite(), suite);
    assert_eq!(project.history(), RELEASED);
    // As a CI job does it, in a clone of its own.
    let clone = tempfile::tempdir().unwrap();
    project.source.git(&["clone", "--quiet", ".", clone.path().to_str().unwrap()]);
    let in_ci = run(project.command(&[]).current_dir(clone.path()).env("CI_COMMIT_TAG", "v0.2.0"));
    assert!(in_ci.stderr.contains("was already in stable"), "{in_ci}");
    assert_eq!(in_ci.success(), first);
}

#[test]
fn other_content_under_a_published_version_is_an_error_and_changes_nothing() {
    let project = Project::new();
    project.release(&["minor"]).success();
    let suite = project.suite();
    let source = project.source.with_file("hi", "#!/bin/sh\necho another\n");
    source.git(&["commit", "--quiet", "--all", "--message", "Another"]);
    let project = Project { source, ..project };
    let refused = project.release(&[]).fails(1, "(409)").fails(1, "under a new version (`debfleet release patch`)");
    assert_eq!(refused.stdout, "");
    assert_eq!(project.suite(), suite);
    assert!(project.release(&["patch"]).success().ends_with("hi_0.2.1-1_all.deb\n"));
}

#[test]
fn the_bump_writes_the_entry_that_the_changelog_lacks() {
    let manifest = "[package]\nchangelog = \"changelog\"\n";
    let project = Project::of(Source::hi().with_text("debfleet.toml", "[package]\n", manifest));
    project.release(&[]).fails(1, "there is no ./changelog");
    project.release(&["minor", "--dry-run"]).success();
    project.release(&["minor"]).success();
    assert_eq!(project.history(), RELEASED);
    let entry = std::fs::read_to_string(project.source.path().join("changelog")).unwrap();
    assert!(entry.starts_with("hi (0.2.0-1) stable; urgency=medium\n"), "{entry}");
}

/// The upload is met by a server that takes the connection and says nothing, until the command is killed.
#[test]
fn killed_between_bump_and_upload() {
    let project = Project::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", silent.local_addr().unwrap());
    let mut command = project.command(&["minor"]);
    let mut child = command.env("DEBFLEET_SERVER", address).stderr(Stdio::null()).spawn().unwrap();
    let connection = silent.accept().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    drop(connection);
    assert_eq!(project.history(), RELEASED);
    let built = project.dist("hi_0.2.0-1_all.deb");
    assert!(project.release(&["minor"]).success().ends_with("/hi_0.2.0-1_all.deb\n"));
    assert_eq!(project.history(), RELEASED);
    assert_eq!(project.dist("hi_0.2.0-1_all.deb"), built);
}

#[test]
fn killed_between_the_commit_and_its_tag() {
    let project = Project::new();
    project.release(&["minor"]).success();
    project.source.git(&["tag", "--delete", "v0.2.0"]);
    let again = project.release(&["minor"]);
    assert!(again.stderr.contains("only the tag v0.2.0 is made"), "{again}");
    again.success();
    assert_eq!(project.history(), RELEASED);
}

#[test]
fn the_server_is_down() {
    let mut project = Project::new();
    project.server.kill();
    let failed = project.release(&["minor"]).fails(1, "nothing answers there");
    assert!(failed.stderr.contains("0 of 1 packages are published, and what was built is in dist"), "{failed}");
    assert!(failed.stderr.contains("run the same command again: it continues with this version"), "{failed}");
    for name in ["hi_0.2.0-1_all.deb", "hi_0.2.0-1_all.buildinfo"] {
        assert!(!project.dist(name).is_empty());
    }
    project.server.resume();
    project.release(&["minor"]).success();
    assert_eq!(project.history(), RELEASED);
}

#[test]
fn a_key_that_the_server_does_not_know() {
    let project = Project::new();
    let suite = project.suite();
    let stranger = PackageKey::new();
    let refused = run(project.command(&["minor"]).env("DEBFLEET_KEY_FILE", stranger.secret()));
    let refused = refused.fails(1, "(422)").fails(1, "correct that, and run the same command again");
    assert!(refused.stderr.contains("init --package-key"), "{refused}");
    assert_eq!(project.suite(), suite);
    project.release(&["minor"]).success();
    assert_eq!(project.history(), RELEASED);
}

#[test]
fn what_is_missing_is_noticed_before_anything_is_raised() {
    let project = Project::new();
    let before = project.history();
    let without = |change: &dyn Fn(&mut Command) -> &mut Command| run(change(&mut project.command(&["minor"])));
    without(&|it| it.env_remove("DEBFLEET_TOKEN")).fails(1, "DEBFLEET_TOKEN is not set");
    without(&|it| it.env_remove("DEBFLEET_KEY_FILE")).fails(1, "a release is signed: give --key");
    without(&|it| it.env("DEBFLEET_KEY_FILE", "/nowhere")).fails(1, "/nowhere");
    without(&|it| it.env("DEBFLEET_SERVER", "http://fleet.example.org")).fails(1, "would carry the token in clear");
    without(&|it| it.env_remove("DEBFLEET_SERVER")).fails(2, "--server");
    without(&|it| it.args(["--architecture", "riscv64"])).fails(1, "riscv64");
    project.release(&["bigger"]).fails(2, "no folder has that name");
    project.release(&["minor", "--dry-run"]).success();
    assert_eq!(project.history(), before);
    assert_eq!(project.source.git(&["status", "--porcelain", "--ignored"]), "");
    // A release that is committed must be of what is committed.
    let source = project.source.with_file("hi", "#!/bin/sh\n");
    let project = Project { source, ..project };
    project.release(&["minor"]).fails(1, "hi is not committed");
    assert_eq!(project.history(), before);
}

#[test]
fn every_architecture_is_built_before_the_first_is_uploaded() {
    let manifest = "[package]\narchitecture = [\"amd64\", \"arm64\"]\n";
    let project = Project::of(Source::hi().with_text("debfleet.toml", "[package]\n", manifest));
    let links = project.release(&["minor", "--json"]).success();
    let told: serde_json::Value = serde_json::from_str(&links).unwrap();
    let packages = told["packages"].as_array().unwrap();
    let architectures: Vec<&str> = packages.iter().map(|it| it["architecture"].as_str().unwrap()).collect();
    assert_eq!(architectures, ["amd64", "arm64"]);
    assert_eq!((&told["tag"], &told["debian-version"]), (&"v0.2.0".into(), &"0.2.0-1".into()));
    assert_eq!(told["install"], "apt install hi=0.2.0-1");
    for package in packages {
        assert_eq!(package["created"], true);
        let path = project.source.path().join(package["path"].as_str().unwrap());
        assert_eq!(get(package["link"].as_str().unwrap()), std::fs::read(path).unwrap());
    }
    assert!(!get(told["sources"].as_str().unwrap()).is_empty());
    // One of them cannot be built: none is uploaded.
    let (suite, text) = (
        project.suite(),
        "[[files]]\nsource = \"for-arm\"\ndestination = \"/opt/hi/for-arm\"\narchitectures = [\"arm64\"]\n",
    );
    let source = project.source.with_lines("debfleet.toml", text);
    source.git(&["commit", "--quiet", "--all", "--message", "Broken for one"]);
    let project = Project { source, ..project };
    let history = project.history();
    project.release(&["patch"]).fails(1, "cannot be released as it stands").fails(1, "for-arm");
    assert_eq!(project.suite(), suite);
    assert_eq!(project.history(), history, "what cannot be built is not raised");
}

#[test]
fn the_provenance_is_signed_and_names_the_commit_of_the_tag() {
    let project = Project::new();
    project.release(&["minor"]).success();
    let buildinfo = project.source.path().join("dist/hi_0.2.0-1_all.buildinfo");
    run(Command::new("gpgv").arg("--keyring").arg(project.key.keyring()).arg(&buildinfo)).success();
    let text = std::fs::read_to_string(&buildinfo).unwrap();
    let commit = project.source.git(&["rev-parse", "v0.2.0^{commit}"]);
    assert!(text.contains(&format!("\nGit-Commit: {commit}\nGit-Tree: clean\n")), "{text}");
    let deb = run(Command::new("sha256sum").arg(buildinfo.with_extension("deb"))).success();
    assert!(text.contains(deb.split(' ').next().unwrap()), "{text}");
    // What was not committed is built only where nothing is committed, and is told.
    let source = project.source.with_file("hi", "#!/bin/sh\necho changed\n");
    let project = Project { source, ..project };
    project.release(&[]).fails(1, "(409)").fails(1, "warning: hi is not as committed");
    assert!(std::fs::read_to_string(&buildinfo).unwrap().contains("\nGit-Tree: dirty\n"));
}

#[test]
fn a_snapshot_of_every_commit_leaves_the_source_as_it_was() {
    let project = Project::of(Source::hi().with_file(".gitignore", "").with_text("debfleet.toml", "[package]\n", "[package]\nchangelog = \"changelog\"\n").with_file("changelog", "hi (0.1.0-1) stable; urgency=medium\n\n  * First.\n\n -- A <a@example.org>  Fri, 20 Nov 2026 10:00:00 +0000\n"));
    project.release(&["0.1.0"]).success();
    // What was built is no change of the source, also where git does not ignore it.
    project.source.git(&["rm", "--quiet", ".gitignore"]);
    project.source.git(&["commit", "--quiet", "--message", "More"]);
    let history = project.history();
    let first = project.release(&["--snapshot"]).success();
    let commit = project.source.git(&["rev-parse", "--short=7", "HEAD"]);
    let name = first.trim().rsplit('/').next().unwrap().to_owned();
    assert!(name.starts_with("hi_0.1.1~git") && name.ends_with(&format!(".{commit}-1_all.deb")), "{name}");
    assert_eq!(project.history(), history);
    assert_eq!(project.source.git(&["status", "--porcelain"]), "?? dist/");
    assert_eq!(project.release(&["--snapshot"]).success(), first);
    // The same job once more, in another clone at another time.
    let clone = tempfile::tempdir().unwrap();
    project.source.git(&["clone", "--quiet", ".", clone.path().to_str().unwrap()]);
    let again = run(project.command(&["--snapshot"]).current_dir(clone.path()));
    assert!(again.stderr.contains("was already in stable"), "{again}");
    assert_eq!(again.success(), first);
}

#[test]
fn ci_services_are_told_where_they_ask() {
    let project = Project::new();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let read = |name: &str| std::fs::read_to_string(file(name)).unwrap();
    let mut command = project.command(&["--env-file"]);
    command.arg(file("release.env")).env("GITHUB_OUTPUT", file("outputs")).env("GITHUB_STEP_SUMMARY", file("summary"));
    let link = run(&mut command).success();
    assert!(read("outputs").contains(&format!("links<<END-OF-links\n{}\nEND-OF-links\n", link.trim())));
    assert!(read("summary").contains("| published |"));
    let sourced = "set -eu; . \"$1\"; echo \"$DEBFLEET_RELEASED_VERSION $DEBFLEET_RELEASED_LINKS\"";
    let sourced = run(Command::new("sh").args(["-c", sourced, "sh"]).arg(file("release.env"))).success();
    assert_eq!(sourced, format!("0.1.0 {link}"));
    // The commit that raised the version was not tagged, but another one.
    for (name, tag) in [("GITHUB_REF_NAME", "v0.2.0"), ("CI_COMMIT_TAG", "v0.2.0")] {
        let wrong = run(project.command(&[]).env("GITHUB_REF_TYPE", "tag").env(name, tag));
        wrong.fails(1, "runs for the tag v0.2.0, and the source says 0.1.0");
    }
}

#[test]
fn a_clone_whose_history_is_not_known_is_refused() {
    let project = Project::new();
    project.source.git(&["commit", "--quiet", "--allow-empty", "--message", "More"]);
    let clone = tempfile::tempdir().unwrap();
    let url = format!("file://{}", project.source.path().display());
    project.source.git(&["clone", "--quiet", "--depth=1", &url, clone.path().to_str().unwrap()]);
    let shallow = |command: &mut Command| run(command.current_dir::<&Path>(clone.path()));
    shallow(&mut project.command(&[])).fails(1, "fetch-depth: 0");
    // A container without git, in which the clone's files are all of today.
    let without_git = tempfile::tempdir().unwrap();
    shallow(project.command(&[]).env("PATH", without_git.path())).fails(1, "git is needed for the history");
    shallow(project.command(&[]).env("SOURCE_DATE_EPOCH", "1700000000")).success();
}
