//! `debfleet build --changes`: what dput uploads, read back by Debian's own tools.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Outcome, Scratch, debfleet, run, tool};
use std::process::Command;

/// Builds `examples/hi`, changed as said; gives the printed paths.
fn build(scratch: &Scratch, change: impl Fn(String) -> String, more: &[&str]) -> Vec<String> {
    let key = scratch.key("keys");
    let source = scratch.copy_example("hi", "src");
    scratch.write("src/debfleet.toml", &change(scratch.read("src/debfleet.toml")));
    let out = scratch.text("out");
    let arguments = [&["build", &source, "--out", &out, "--key", &key, "--changes"], more].concat();
    run(&mut debfleet(&arguments)).ok().lines().map(str::to_owned).collect()
}

/// `dput` into a folder, with a GnuPG that trusts the package key as its owner would.
fn dput(scratch: &Scratch, changes: &str) -> Outcome {
    let home = scratch.text("gnupg");
    run(Command::new("install").args(["-d", "-m", "700", &home])).ok();
    let gpg = |arguments: &[&str]| {
        run(Command::new("gpg").args(["--homedir", &home, "--batch", "--quiet"]).args(arguments)).ok()
    };
    gpg(&["--import", &scratch.text("keys/package.gpg")]);
    let listed = gpg(&["--with-colons", "--list-keys"]);
    let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':');
    let trust = scratch.write("trust", &format!("{fingerprint}:6:\n"));
    gpg(&["--import-ownertrust", trust.to_str().unwrap()]);
    let incoming = scratch.text("incoming");
    run(Command::new("mkdir").args(["-p", &incoming])).ok();
    let config = format!(
        "[here]\nmethod = local\nfqdn = localhost\nincoming = {incoming}\nallow_unsigned_uploads = 0\n\
         allowed_distributions = stable\n"
    );
    let config = scratch.write("dput.cf", &config);
    run(Command::new("dput")
        .arg("--config")
        .arg(config)
        .args(["here", changes])
        .env("GNUPGHOME", home)
        .env("USER", "ci"))
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

fn names(paths: &[String]) -> Vec<&str> {
    paths.iter().map(|path| name_of(path)).collect()
}

#[test]
fn dput_takes_the_upload_and_dscverify_the_signatures() {
    let scratch = Scratch::new();
    let built = build(&scratch, |manifest| manifest, &[]);
    assert_eq!(names(&built), ["hi_0.1.0-1_all.deb", "hi_0.1.0-1_all.buildinfo", "hi_0.1.0-1_all.changes"]);
    let uploaded = dput(&scratch, &built[2]);
    assert!(uploaded.stderr.contains("Valid signature from"), "{}{}", uploaded.stdout, uploaded.stderr);
    uploaded.ok();
    for path in &built {
        let arrived = scratch.path("incoming").join(name_of(path));
        assert_eq!(std::fs::read(arrived).unwrap(), std::fs::read(path).unwrap());
    }
    let keyring = scratch.text("keys/package.gpg");
    for signed in &built[1..] {
        tool("dscverify", &["--no-default-keyrings", "--keyring", &keyring, signed]).ok();
        tool("gpgv", &["--keyring", &keyring, signed]).ok();
    }
}

#[test]
fn dput_refuses_a_package_that_was_changed_after_it_was_signed() {
    let scratch = Scratch::new();
    let built = build(&scratch, |manifest| manifest, &[]);
    let mut deb = std::fs::read(&built[0]).unwrap();
    *deb.last_mut().unwrap() ^= 1;
    #[allow(clippy::disallowed_methods, reason = "a test's own scratch file")]
    std::fs::write(&built[0], deb).unwrap();
    let refused = dput(&scratch, &built[2]);
    assert!(
        refused.code != 0 && refused.stdout.contains("Checksum doesn't match"),
        "{}{}",
        refused.stdout,
        refused.stderr
    );
}

/// What python3-debian reads, as `tab`-separated lines.
const READ: &str = "
import sys
from debian.deb822 import Changes, BuildInfo
changes, buildinfo = Changes(open(sys.argv[1])), BuildInfo(open(sys.argv[2]))
for field in ['Source', 'Binary', 'Architecture', 'Version', 'Distribution', 'Urgency', 'Maintainer']:
    print(field, changes[field], sep='\\t')
for one, sha1, sha256 in zip(changes['Files'], changes['Checksums-Sha1'], changes['Checksums-Sha256']):
    assert one['name'] == sha1['name'] == sha256['name'] and one['size'] == sha1['size'] == sha256['size']
    print('file', one['md5sum'], sha1['sha1'], sha256['sha256'], one['section'], one['name'], sep='\\t')
print('environment', buildinfo.get_environment(), sep='\\t')
print('date', buildinfo.get_build_date().isoformat(), sep='\\t')
print('installed', [(one[0]['name'], one[0]['version']) for one in buildinfo.relations['installed-build-depends']], sep='\\t')
print('built', [one['sha256'] for one in buildinfo['Checksums-Sha256']], sep='\\t')
";

#[test]
fn python3_debian_reads_both_files_as_they_were_meant() {
    let scratch = Scratch::new();
    let two = |manifest: String| {
        manifest.replace("[package]\n", "[package]\narchitecture = [\"amd64\", \"arm64\"]\nepoch = 2\n")
    };
    let built = build(&scratch, two, &["--suite", "beta"]);
    let expected = [
        "hi_0.1.0-1_amd64.deb",
        "hi_0.1.0-1_arm64.deb",
        "hi_0.1.0-1_amd64.buildinfo",
        "hi_0.1.0-1_arm64.buildinfo",
        "hi_0.1.0-1_multi.changes",
    ];
    assert_eq!(names(&built), expected);
    let read = run(Command::new("/usr/bin/python3").args(["-c", READ, &built[4], &built[2]])).ok();
    let field = |name: &str| read.lines().find_map(|line| line.strip_prefix(&format!("{name}\t"))).unwrap();
    assert_eq!((field("Source"), field("Binary"), field("Architecture")), ("hi", "hi", "amd64 arm64"));
    assert_eq!((field("Version"), field("Distribution"), field("Urgency")), ("2:0.1.0-1", "beta", "medium"));
    let files: Vec<&str> = read.lines().filter(|line| line.starts_with("file\t")).collect();
    assert_eq!(files.len(), 4);
    for path in &built[..4] {
        let sum = |program: &str| tool(program, &[path]).ok().split(' ').next().unwrap().to_owned();
        let line =
            format!("file\t{}\t{}\t{}\tmisc\t{}", sum("md5sum"), sum("sha1sum"), sum("sha256sum"), name_of(path));
        assert!(files.contains(&line.as_str()), "{line}\nis not in\n{read}");
    }
    let deb = tool("sha256sum", &[&built[0]]).ok();
    assert_eq!(field("built"), format!("['{}']", deb.split(' ').next().unwrap()));
    assert!(field("installed").starts_with("[('debfleet', ('=', '"), "{read}");
}

/// The text of a clear-signed file.
fn text(path: &str) -> String {
    let signed = std::fs::read_to_string(path).unwrap();
    let text = signed.split("\n\n").nth(1).unwrap();
    text.split("\n-----BEGIN PGP SIGNATURE").next().unwrap().to_owned()
}

#[test]
fn the_provenance_names_every_source_file_by_its_hash() {
    let scratch = Scratch::new();
    let built = build(&scratch, |manifest| manifest, &[]);
    let provenance = text(&built[1]);
    let inputs = provenance.split("Inputs-Sha256:\n").nth(1).unwrap();
    // `hash size path`, as sha256sum checks it.
    let sums: String = inputs
        .lines()
        .map(|line| {
            let mut words = line.trim_start().splitn(3, ' ');
            let (hash, _, path) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            format!("{hash}  {path}\n")
        })
        .collect();
    let list = scratch.write("sums", &sums);
    let checked = run(Command::new("sha256sum").arg("--check").arg(list).current_dir(scratch.path("src"))).ok();
    let mut found: Vec<&str> = checked.lines().map(|line| line.strip_suffix(": OK").unwrap()).collect();
    found.sort_unstable();
    let every = [
        "__VERSION__",
        "debfleet.toml",
        "hi",
        "scripts/postinst",
        "scripts/postrm",
        "scripts/preinst",
        "scripts/prerm",
    ];
    assert_eq!(found, every);
    assert!(!provenance.contains(&scratch.text("")), "an absolute path tells of the machine:\n{provenance}");
}

#[test]
fn the_same_source_elsewhere_gives_the_same_three_files() {
    let scratch = Scratch::new();
    let key = scratch.key("keys");
    let files = ["a", "some/where/else"].map(|folder| {
        let source = scratch.copy_example("hi", &format!("{}-src", folder.replace('/', "-")));
        let out = scratch.text(folder);
        let arguments = ["build", &source, "--out", &out, "--key", &key, "--changes"];
        let printed = run(debfleet(&arguments).env("SOURCE_DATE_EPOCH", "1700000000")).ok();
        printed.lines().map(|path| std::fs::read(path).unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(files[0], files[1]);
}

#[test]
fn the_commit_is_named_and_whether_the_source_is_the_commits() {
    let scratch = Scratch::new();
    let key = scratch.key("keys");
    let source = scratch.copy_example("hi", "src");
    let git = |arguments: &[&str]| {
        run(Command::new("git").args(["-C", &source, "-c", "user.name=A", "-c", "user.email=a@b.c"]).args(arguments))
            .ok()
    };
    git(&["init", "--quiet"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "one"]);
    let head = git(&["rev-parse", "HEAD"]);
    let provenance = || {
        // Into the source itself: what was built is no change of what it was built from.
        let arguments = ["build", &source, "--out", &format!("{source}/dist"), "--key", &key, "--changes"];
        let printed = run(&mut debfleet(&arguments)).ok();
        text(printed.lines().nth(1).unwrap())
    };
    let first = provenance();
    assert!(first.contains(&format!("\nGit-Commit: {}\nGit-Tree: clean\n", head.trim())), "{first}");
    assert_eq!(provenance(), first);
    scratch.write("src/hi", "#!/bin/sh\necho changed\n");
    assert!(provenance().contains("\nGit-Tree: dirty\n"));
}

#[test]
fn without_a_key_both_files_are_plain_and_dput_refuses_them() {
    let scratch = Scratch::new();
    scratch.key("keys");
    let source = scratch.copy_example("hi", "src");
    let printed = run(&mut debfleet(&["build", &source, "--out", &scratch.text("out"), "--changes"])).ok();
    let changes = printed.lines().last().unwrap();
    assert!(std::fs::read_to_string(changes).unwrap().starts_with("Format: 1.8\n"));
    assert_ne!(dput(&scratch, changes).code, 0);
    run(&mut debfleet(&["build", &source, "--out", &scratch.text("out"), "--suite", "beta"])).fails(2, &["--changes"]);
}

#[test]
fn what_the_system_had_a_part_in_is_named_with_its_version() {
    let scratch = Scratch::new();
    let elf = |manifest: String| {
        manifest.replace("[package]\n", "[package]\narchitecture = \"any\"\ndepends = \"${auto}\"\n")
            + "\n[[files]]\nsource = \"true\"\ndestination = \"/opt/hi/true\"\n"
    };
    scratch.copy_example("hi", "src");
    run(Command::new("cp").args(["/bin/true", &scratch.text("src/true")])).ok();
    let built = build(&scratch, elf, &[]);
    let provenance = text(&built[1]);
    for package in ["dpkg-dev", "libc6"] {
        let version = tool("dpkg-query", &["--show", "--showformat", "${Version}", package]).ok();
        assert!(provenance.contains(&format!("\n {package} (= {version})")), "{package} {version}\n{provenance}");
    }
}
