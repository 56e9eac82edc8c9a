//! `debfleet bump` with a history: the changelog, the commit, the tag and the version of a snapshot, in real
//! repositories.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Outcome, Scratch, debfleet, run, tool};
use std::process::Command;

/// A repository that holds the example `hi` with a changelog, in its first commit.
struct Source {
    scratch: Scratch,
    folder: String,
}

impl Source {
    fn new() -> Self {
        let scratch = Scratch::new();
        let folder = scratch.copy_example("hi", "src");
        let manifest = scratch.read("src/debfleet.toml");
        scratch.write("src/debfleet.toml", &manifest.replace("license =", "changelog = \"changelog\"\nlicense ="));
        let source = Self { scratch, folder };
        source.git(&["init", "--quiet"]);
        source.git(&["config", "user.name", "A"]);
        source.git(&["config", "user.email", "a@example.org"]);
        source.save("Say hi");
        source
    }

    #[track_caller]
    fn git(&self, arguments: &[&str]) -> String {
        let date = "2026-11-20T23:30:00-01:00";
        let dated = [("GIT_AUTHOR_DATE", date), ("GIT_COMMITTER_DATE", date)];
        run(Command::new("git").args(["-C", &self.folder]).args(arguments).envs(dated)).ok()
    }

    fn save(&self, subject: &str) {
        self.scratch.write("src/notes", subject);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", subject]);
    }

    fn bump(&self, arguments: &[&str]) -> Outcome {
        let arguments = [&["bump"], arguments, &[self.folder.as_str()]].concat();
        run(debfleet(&arguments).env("SOURCE_DATE_EPOCH", "1795218303"))
    }

    fn version(&self) -> String {
        self.scratch.read("src/__VERSION__").trim().to_owned()
    }

    fn parsed(&self) -> String {
        let parsed = tool("dpkg-parsechangelog", &["-l", &format!("{}/changelog", self.folder)]);
        assert_eq!(parsed.stderr, "");
        parsed.ok()
    }
}

#[track_caller]
fn lintian_is_silent(deb: &str) {
    assert_eq!(tool("lintian", &["--allow-root", deb]).ok(), "");
}

#[test]
fn the_changelog_tells_what_was_committed_since_the_last_version() {
    let source = Source::new();
    source.save("Say hi in French");
    source.git(&["checkout", "--quiet", "-b", "side", "HEAD~1"]);
    source.git(&["commit", "--quiet", "--allow-empty", "--message", "Touch nothing here"]);
    source.git(&["checkout", "--quiet", "-"]);
    source.git(&["merge", "--quiet", "--no-ff", "--message", "Merge side", "side"]);
    source.save("Greet whoever stands in the next room, or in the garden if the weather is good enough for that");
    source.bump(&["minor", "--tag"]).ok();
    assert_eq!(
        source.scratch.read("src/changelog"),
        "hi (0.2.0-1) stable; urgency=medium\n\n  * Say hi in French\n  * Greet whoever stands in the next room, or in the \
         garden if the weather is\n    good enough for that\n\n -- debfleet maintainers <maintainers@example.org>  Fri, 20 \
         Nov 2026 23:45:03 +0000\n"
    );
    source.parsed();
    source.save("Wave");
    source.bump(&["prerelease", "--commit"]).ok();
    source.save("Smile");
    source.bump(&["release", "--tag"]).ok();
    let changelog = source.scratch.read("src/changelog");
    let points = |version: &str| {
        let entry = changelog.split_once(&format!("hi ({version})")).unwrap().1;
        entry.lines().filter(|line| line.starts_with("  * ")).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    // The first is by the tag, the second by the commit of the changelog, as --commit alone makes no tag.
    assert_eq!(points("0.2.1~rc.1-1"), ["  * Wave", "  * Say hi in French"]);
    assert_eq!(points("0.2.1-1"), ["  * Smile", "  * Wave"]);
    assert!(source.parsed().contains("Version: 0.2.1-1\n"));
    assert_eq!(source.git(&["tag"]), "v0.2.0\nv0.2.1\n");
}

#[test]
fn a_packed_changelog_is_the_one_that_bump_wrote() {
    let source = Source::new();
    source.save("Wave");
    source.bump(&["minor"]).ok();
    let key = source.scratch.key("keys");
    lintian_is_silent(&source.scratch.build(&source.folder, "out", &key));
    run(&mut debfleet(&["bump", "patch", &source.folder])).ok();
    let deb = source.scratch.build(&source.folder, "out", &key);
    tool("dpkg-deb", &["-x", &deb, &source.scratch.text("root")]).ok();
    let packed = source.scratch.text("root/usr/share/doc/hi/changelog.Debian.gz");
    let packed = tool("zcat", &[&packed]).ok();
    assert!(packed.starts_with("hi (0.2.1-1)"), "{packed}");
    // The second bump had nothing more to tell: the first entry was not even committed.
    assert_eq!(packed.matches("  * Wave\n").count(), 1, "{packed}");
    assert!(packed.contains("  * New release.\n"), "{packed}");
    lintian_is_silent(&deb);
}

#[test]
fn another_changelog_is_refused() {
    let source = Source::new();
    let refused = |text: &str, told: &str| {
        source.scratch.write("src/changelog", text);
        source.bump(&["minor"]).fails(1, &["changelog: ", told]);
        assert_eq!(source.scratch.read("src/__VERSION__"), "0.1.0\n");
    };
    refused("# Changes\n\n## 0.1.0\n", "its first line must be like `hi (1.3.0-1) stable");
    refused("ho (0.1.0-1) stable; urgency=low\n", "its newest entry is of the package ho, not of hi");
    refused("hi (0.2.0-1) stable; urgency=low\n", "its newest entry is of 0.2.0-1, which is not below 0.2.0-1");
    let manifest = source.scratch.read("src/debfleet.toml");
    source.scratch.write("src/debfleet.toml", &manifest.replace("\"changelog\"", "\"no/changelog\""));
    source.bump(&["minor"]).fails(1, &["changelog: there is no", "src/no"]);
    source.scratch.write("src/debfleet.toml", &manifest.replace("\"changelog\"", "\"../changelog\""));
    source.bump(&["minor"]).fails(1, &["leaves the folder"]);
    assert!(!source.scratch.path("changelog").exists());
}

#[test]
fn the_commit_holds_the_bumped_files_alone() {
    let source = Source::new();
    source.scratch.write("src/notes", "mine, not finished");
    source.scratch.write("src/staged", "mine, staged");
    source.git(&["add", "staged"]);
    let bumped = source.bump(&["minor", "--tag"]);
    let head = source.git(&["rev-parse", "--short=7", "HEAD"]);
    assert!(bumped.stderr.ends_with(&format!("committed as {}, tagged v0.2.0\n", head.trim())), "{}", bumped.stderr);
    bumped.ok();
    let committed = source.git(&["show", "--format=%s", "--name-only", "HEAD"]);
    assert_eq!(committed, "Release hi 0.2.0\n\n__VERSION__\nchangelog\ndebfleet.toml\n");
    assert_eq!(source.git(&["status", "--porcelain"]), " M notes\nA  staged\n");
    assert_eq!(source.git(&["cat-file", "-t", "v0.2.0"]), "tag\n");
}

#[test]
fn what_stands_in_the_way_of_a_commit_is_told_before_anything_is_written() {
    let source = Source::new();
    let unwritten = |outcome: Outcome, told: &[&str]| {
        outcome.fails(1, told);
        assert_eq!(source.scratch.read("src/debfleet.toml").matches("0.1.0").count(), 1);
        assert!(!source.scratch.path("src/changelog").exists());
        assert_eq!(source.git(&["diff", "--cached", "--name-only"]), "");
    };
    source.git(&["tag", "v0.2.0"]);
    unwritten(source.bump(&["minor", "--tag"]), &["the tag v0.2.0 is there already"]);
    source.scratch.write("src/__VERSION__", "0.1.0\nmore\n");
    unwritten(source.bump(&["patch", "--commit"]), &["other changes would be committed", "__VERSION__"]);
    source.git(&["checkout", "--quiet", "."]);
    source.scratch.write_mode("src/.git/hooks/pre-commit", "#!/bin/sh\necho not on Fridays >&2\nexit 1\n", 0o755);
    unwritten(source.bump(&["patch", "--commit"]), &["`git commit` failed", "not on Fridays"]);
    assert_eq!(source.git(&["status", "--porcelain"]), "");
    std::fs::remove_file(source.scratch.path("src/.git/hooks/pre-commit")).unwrap();
    source.git(&["config", "--unset", "user.name"]);
    source.git(&["config", "--unset", "user.email"]);
    source.git(&["config", "user.useConfigOnly", "true"]);
    let mut nobody = debfleet(&["bump", "patch", "--commit", &source.folder]);
    nobody.env("HOME", source.scratch.path("nobody")).env("GIT_CONFIG_NOSYSTEM", "1");
    for name in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"] {
        nobody.env_remove(name);
    }
    unwritten(run(&mut nobody), &["`git commit` failed", "user.email"]);
}

#[test]
fn no_commit_is_made_without_git() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi", "src");
    run(&mut debfleet(&["bump", "minor", "--commit", &source])).fails(1, &["is in no git work tree"]);
    run(&mut debfleet(&["bump", "--snapshot", &source]))
        .fails(1, &["named after its commit", "is in no git work tree"]);
    assert_eq!(scratch.read("src/__VERSION__"), "0.1.0\n");
}

#[test]
fn a_snapshot_lies_between_the_last_release_and_the_next() {
    let source = Source::new();
    source.bump(&["minor", "--tag"]).ok();
    source.save("Wave");
    let id = source.git(&["rev-parse", "HEAD"]);
    let told = source.bump(&["--snapshot"]);
    // The date is the commit's, in UTC.
    let version = source.version();
    let (date, short) = version.strip_prefix("0.2.1-git").unwrap().split_once('.').unwrap();
    assert_eq!(date, "20261121");
    assert!(short.len() >= 7 && id.starts_with(short), "{short} {id}");
    assert!(told.stderr.contains(&format!("0.2.1~git20261121.{short}-1 for Debian")), "{}", told.stderr);
    assert!(source.scratch.read("src/changelog").contains("  * Wave\n"));
    source.bump(&["--snapshot"]).fails(1, &["is not as committed", ".gitignore"]);
    // The release that follows needs no tidying up.
    source.bump(&["patch"]).ok();
    assert_eq!(source.version(), "0.2.1");
}

#[test]
fn a_package_between_two_releases_is_built_without_a_change_of_the_source() {
    let source = Source::new();
    source.bump(&["minor", "--tag"]).ok();
    source.save("Wave");
    let build = |out: &str| run(&mut debfleet(&["build", "--snapshot", &source.folder, "--out", out]));
    let out = source.scratch.text("src/dist");
    let deb = build(&out).ok();
    let field = |name: &str| tool("dpkg-deb", &["-f", deb.trim(), name]).ok().trim().to_owned();
    let id = source.git(&["rev-parse", "HEAD"]);
    let version = field("Version");
    let short = version.strip_prefix("0.2.1~git20261121.").and_then(|rest| rest.strip_suffix("-1")).unwrap();
    assert!(id.starts_with(short), "{short} {id}");
    for (low, high) in [("0.2.0-1", version.as_str()), (version.as_str(), "0.2.1-1")] {
        tool("dpkg", &["--compare-versions", low, "lt", high]).ok();
    }
    tool("dpkg-deb", &["-x", deb.trim(), &source.scratch.text("root")]).ok();
    let packed = tool("zcat", &[&source.scratch.text("root/usr/share/doc/hi/changelog.Debian.gz")]).ok();
    let entry = format!("hi ({version}) stable; urgency=medium\n\n  * Snapshot of commit {}.\n", id.trim());
    assert!(packed.starts_with(&entry) && packed.contains("\n\nhi (0.2.0-1) stable"), "{packed}");
    lintian_is_silent(deb.trim());
    // What was built into the source is no change of it: the same commit gives the same bytes.
    let first = std::fs::read(deb.trim()).unwrap();
    assert_eq!(std::fs::read(build(&out).ok().trim()).unwrap(), first);
    assert_eq!(source.git(&["status", "--porcelain"]), "?? dist/\n");
    source.scratch.write("src/hi", "changed");
    build(&out).fails(1, &["hi is not as committed"]);
}

#[test]
fn a_tree_is_built_as_a_snapshot_too() {
    let scratch = Scratch::new();
    let folder = scratch.copy_example("hi-tree", "src");
    let git = |arguments: &[&str]| {
        tool("git", &[&["-C", &folder, "-c", "user.name=A", "-c", "user.email=a@b.c"], arguments].concat()).ok()
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "Say hi"]);
    let deb = run(&mut debfleet(&["build", "--snapshot", &folder, "--out", &scratch.text("out")])).ok();
    assert!(deb.contains("/hi_0.1.0~git20"), "{deb}");
    let control = scratch.read("src/DEBIAN/control");
    scratch.write("src/DEBIAN/control", &control.replace("0.1.0-1", "2024a"));
    git(&["commit", "--quiet", "--all", "--message", "Count by years"]);
    run(&mut debfleet(&["build", "--snapshot", &folder, "--out", &scratch.text("out")]))
        .fails(1, &["the version 2024a is not three numbers"]);
}

#[test]
fn a_shallow_clone_cannot_tell_what_is_new() {
    let source = Source::new();
    source.bump(&["minor", "--tag"]).ok();
    source.save("Wave");
    let clone = source.scratch.text("clone");
    let from = format!("file://{}", source.folder);
    tool("git", &["clone", "--quiet", "--depth=1", "--no-tags", &from, &clone]).ok();
    let told = &["is shallow", "git fetch --unshallow --tags", "fetch-depth: 0"];
    run(&mut debfleet(&["bump", "--snapshot", &clone])).fails(1, told);
    run(&mut debfleet(&["bump", "patch", &clone])).fails(1, told);
    tool("git", &["-C", &clone, "fetch", "--quiet", "--unshallow", "--tags"]).ok();
    run(&mut debfleet(&["bump", "patch", &clone])).ok();
    assert!(source.scratch.read("clone/changelog").contains("(0.2.1-1) stable; urgency=medium\n\n  * Wave\n\n -- "));
}
