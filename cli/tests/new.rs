//! `debfleet new`: what it makes builds at once, and what it read is carried over or named.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Scratch, debfleet, run, tool};
use std::process::Command;

const MAINTAINER: &str = "Jo Doe <jo@example.org>";

/// `debfleet new`, knowing nobody: neither git's user nor Debian's variables.
fn new(scratch: &Scratch, arguments: &[&str]) -> Command {
    let mut command = debfleet(&[&["new"], arguments].concat());
    command.current_dir(scratch.path(""));
    for name in ["DEBFULLNAME", "DEBEMAIL", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL"] {
        command.env_remove(name);
    }
    command.env("HOME", scratch.path("")).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
}

fn field(deb: &str, name: &str) -> String {
    tool("dpkg-deb", &["-f", deb, name]).ok().trim_end().to_owned()
}

/// Mode, owner, path and the target of a link, one line each, without what every package has.
fn contents(deb: &str) -> Vec<String> {
    let listed = tool("dpkg-deb", &["-c", deb]).ok();
    let lines = listed.lines().map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        format!("{} {} {}", words[0], words[1], words[5..].join(" "))
    });
    lines.filter(|line| !line.contains("/usr/share/doc/") && !line.contains("/usr/share/lintian")).collect()
}

#[test]
fn a_name_becomes_a_project_that_builds_installs_and_bumps() {
    let scratch = Scratch::new();
    let key = scratch.key("keys");
    let told = run(&mut new(&scratch, &["hi", "--maintainer", MAINTAINER]));
    assert!(told.stderr.contains("cd hi\n") && told.stderr.contains("debfleet build --out out"), "{}", told.stderr);
    let made = told.ok();
    for path in ["hi/debfleet.toml", "hi/hi", "hi/hi.service", "hi/README.md", "hi/.gitignore"] {
        assert!(made.lines().any(|line| line == path), "{path} is not in {made}");
    }
    let source = scratch.text("hi");
    let first = scratch.build(&source, "out", &key);
    tool("lintian", &["--fail-on", "error,warning", &first]).ok();
    run(&mut debfleet(&["bump", "minor", &source])).ok();
    let second = scratch.build(&source, "out", &key);
    tool("dpkg-deb", &["-x", &second, &scratch.text("root")]).ok();
    assert_eq!(run(&mut Command::new(scratch.path("root/usr/lib/hi/hi"))).ok(), "hi 0.2.0\n");
}

#[test]
fn nothing_is_overwritten_and_nothing_is_left_half_made() {
    let scratch = Scratch::new();
    scratch.write("hi/README.md", "mine");
    let refused = run(&mut new(&scratch, &["hi", "--out", "hi", "--maintainer", MAINTAINER]));
    refused.fails(1, &["hi/README.md is there already"]);
    assert_eq!(scratch.read("hi/README.md"), "mine");
    assert_eq!(scratch.path("hi").read_dir().unwrap().count(), 1);
}

#[test]
fn a_name_that_policy_forbids_is_answered_with_the_nearest_one() {
    let scratch = Scratch::new();
    run(&mut new(&scratch, &["My_App", "--maintainer", MAINTAINER])).fails(1, &["Policy 5.6.1", "is `my-app`"]);
    run(&mut new(&scratch, &["h", "--maintainer", MAINTAINER])).fails(1, &["is `h-app`"]);
    run(&mut new(&scratch, &["../..", "--out", "x", "--maintainer", MAINTAINER])).fails(1, &["not valid"]);
    assert_eq!(scratch.path("").read_dir().unwrap().count(), 0);
}

#[test]
fn the_maintainer_is_asked_for_or_taken_from_the_environment() {
    let scratch = Scratch::new();
    run(&mut new(&scratch, &["hi"])).fails(1, &["no maintainer is known", "--maintainer"]);
    run(&mut new(&scratch, &["hi", "--maintainer", "Jo"])).fails(1, &["Name <mail@example.org>"]);
    run(new(&scratch, &["hi"]).env("DEBFULLNAME", "Di").env("DEBEMAIL", "di@example.org")).ok();
    assert!(scratch.read("hi/debfleet.toml").contains("maintainer = \"Di <di@example.org>\""));
    tool("git", &["init", "-q", &scratch.text("")]).ok();
    for (key, value) in [("user.name", "Gi"), ("user.email", "gi@example.org")] {
        tool("git", &["-C", &scratch.text(""), "config", key, value]).ok();
    }
    run(&mut new(&scratch, &["ho"])).ok();
    assert!(scratch.read("ho/debfleet.toml").contains("maintainer = \"Gi <gi@example.org>\""));
}

#[test]
fn a_crate_brings_its_programs_and_inherits_from_its_workspace() {
    let scratch = Scratch::new();
    scratch.write(
        "Cargo.toml",
        "[workspace]\nmembers = [\"app\"]\n[workspace.package]\nversion = \"1.4.0\"\nauthors = [\"Jo Doe <jo@example.org>\"]\n\
         license = \"MIT OR Apache-2.0\"\n[profile.release]\nstrip = true\n",
    );
    scratch.write(
        "app/Cargo.toml",
        "[package]\nname = \"lamp_app\"\nversion.workspace = true\nauthors.workspace = true\nlicense.workspace = true\n\
         description = \"A lamp's application.\"\nrepository = \"https://example.org/lamp\"\n\
         [[bin]]\nname = \"lamp\"\npath = \"src/main.rs\"\n",
    );
    scratch.write("app/src/main.rs", "fn main() {}\n");
    scratch.write("app/src/bin/lampctl.rs", "fn main() {}\n");
    let told = run(&mut new(&scratch, &["app"]));
    for text in ["\"lamp_app\" is written lamp-app", "version.workspace", "cargo build --release --target-dir target"] {
        assert!(told.stderr.contains(text), "{text:?} is not in {}", told.stderr);
    }
    assert_eq!(told.ok(), "app/debfleet.toml\n");
    let manifest = scratch.read("app/debfleet.toml");
    assert!(manifest.contains("depends = [\"${auto}\"]"), "{manifest}");
    // Any ELF file will do for a program.
    for name in ["lamp", "lampctl"] {
        let path = scratch.text(&format!("app/target/release/{name}"));
        tool("install", &["-D", "/bin/true", &path]).ok();
    }
    let deb = scratch.build(&scratch.text("app"), "out", &scratch.key("keys"));
    assert_eq!(field(&deb, "Version"), "1.4.0-1");
    assert_eq!(field(&deb, "Maintainer"), MAINTAINER);
    assert_eq!(field(&deb, "Homepage"), "https://example.org/lamp");
    assert!(field(&deb, "Description").starts_with("lamp's application\n"));
    assert!(field(&deb, "Depends").contains("libc6"));
    let contents = contents(&deb);
    for program in ["-rwxr-xr-x root/root ./usr/bin/lamp", "-rwxr-xr-x root/root ./usr/bin/lampctl"] {
        assert!(contents.iter().any(|line| line == program), "{program} is not in {contents:?}");
    }
    assert!(!contents.iter().any(|line| line.contains("lamp_app")));
}

#[test]
fn what_cargo_deb_was_told_is_carried_over() {
    let scratch = Scratch::new();
    scratch.write(
        "Cargo.toml",
        "[package]\nname = \"lamp\"\nversion = \"1.0.0\"\nauthors = [\"No Mail\"]\ndescription = \"lamp\"\n\
         [package.metadata.deb]\nmaintainer = \"Jo Doe <jo@example.org>\"\nextended-description = \"Long.\"\n\
         depends = \"$auto, adduser\"\nsection = \"utils\"\nrevision = \"2\"\nfeatures = [\"x\"]\n\
         conf-files = [\"/opt/lamp.conf\"]\nmaintainer-scripts = \"debian\"\nsystemd-units = { enable = false }\n\
         assets = [[\"target/release/lamp\", \"usr/sbin/\", \"755\"], [\"lamp.conf\", \"opt/lamp.conf\", \"640\"],\n\
         [\"../secret\", \"etc/\", \"644\"]]\n",
    );
    scratch.write("src/main.rs", "fn main() {}\n");
    scratch.write("lamp.conf", "x\n");
    scratch.write("debian/postinst", "#!/bin/sh\nset -e\n#DEBHELPER#\n");
    scratch
        .write("debian/lamp.service", "[Service]\nExecStart=/usr/sbin/lamp\n[Install]\nWantedBy=multi-user.target\n");
    tool("install", &["-D", "/bin/true", &scratch.text("target/release/lamp")]).ok();
    let told = run(&mut new(&scratch, &[]));
    assert!(
        told.stderr.contains("metadata.deb.features") && told.stderr.contains("\"../secret\" leaves"),
        "{}",
        told.stderr
    );
    assert!(scratch.read("debfleet.toml").contains("# - metadata.deb.features"));
    told.ok();
    let deb = scratch.build(&scratch.text(""), "out", &scratch.key("keys"));
    assert_eq!(field(&deb, "Version"), "1.0.0-2");
    assert!(field(&deb, "Depends").contains("adduser"));
    assert!(contents(&deb).contains(&"-rwxr-xr-x root/root ./usr/sbin/lamp".to_owned()));
    assert!(contents(&deb).contains(&"-rw-r----- root/root ./opt/lamp.conf".to_owned()));
    assert_eq!(tool("dpkg-deb", &["-I", &deb, "conffiles"]).ok(), "/opt/lamp.conf\n");
    assert!(contents(&deb).iter().any(|line| line.ends_with("/usr/lib/systemd/system/lamp.service")));
    let postinst = tool("dpkg-deb", &["-I", &deb, "postinst"]).ok();
    assert!(postinst.starts_with("#!/bin/sh\n") && postinst.contains("lamp.service"), "{postinst}");
    assert!(scratch.read("debfleet.toml").contains("enable = false, on-upgrade = \"stop\""));
    run(&mut debfleet(&["bump", "minor", &scratch.text("")])).ok();
    assert!(scratch.read("Cargo.toml").contains("version = \"1.1.0\""));
}

#[test]
fn a_crate_without_a_program_or_package_says_what_to_do() {
    let scratch = Scratch::new();
    scratch.write("Cargo.toml", "[workspace]\nmembers = [\"app\"]\n");
    run(&mut new(&scratch, &[])).fails(1, &["--from app/Cargo.toml"]);
    scratch.write("Cargo.toml", "[package]\nname = \"lib\"\nversion = \"1.0.0\"\n");
    run(&mut new(&scratch, &["--maintainer", MAINTAINER])).fails(1, &["no binary"]);
    scratch.write("Cargo.toml", "[package]\nname = 1\n");
    run(&mut new(&scratch, &[])).fails(1, &["Cargo.toml:2: invalid type"]);
}

#[test]
fn a_node_package_runs_from_a_link_that_is_executable() {
    let scratch = Scratch::new();
    scratch.write(
        "package.json",
        r#"{"name": "@acme/lamp-ui", "version": "2.0.1", "description": "The lamp's user interface.", "license": "MIT",
            "author": {"name": "Jo Doe", "email": "jo@example.org"}, "bin": {"lamp-ui": "bin/cli.js", "../evil": "x"},
            "engines": {"node": ">=18.2"}, "files": ["bin", "lib/*.js"], "dependencies": {"x": "1"}}"#,
    );
    scratch.write("bin/cli.js", "#!/usr/bin/env node\n");
    scratch.write("bin/help.txt", "help\n");
    scratch.write("lib/a.js", "1\n");
    scratch.write("test/a.js", "1\n");
    scratch.write("node_modules/x/index.js", "1\n");
    let told = run(&mut new(&scratch, &[]));
    assert!(told.stderr.contains("npm ci --omit=dev") && told.stderr.contains("\"../evil\""), "{}", told.stderr);
    told.ok();
    let deb = scratch.build(&scratch.text(""), "out", &scratch.key("keys"));
    assert_eq!(field(&deb, "Package"), "acme-lamp-ui");
    assert_eq!(field(&deb, "Depends"), "nodejs (>= 18.2)");
    let contents = contents(&deb);
    for line in [
        "lrwxrwxrwx root/root ./usr/bin/lamp-ui -> ../lib/acme-lamp-ui/bin/cli.js",
        "-rwxr-xr-x root/root ./usr/lib/acme-lamp-ui/bin/cli.js",
        "-rw-r--r-- root/root ./usr/lib/acme-lamp-ui/bin/help.txt",
        "-rw-r--r-- root/root ./usr/lib/acme-lamp-ui/lib/a.js",
        "-rw-r--r-- root/root ./usr/lib/acme-lamp-ui/node_modules/x/index.js",
        "-rw-r--r-- root/root ./usr/lib/acme-lamp-ui/package.json",
    ] {
        assert!(contents.iter().any(|there| there == line), "{line} is not in {contents:?}");
    }
    assert!(!contents.iter().any(|line| line.contains("/test/")), "{contents:?}");
    run(&mut debfleet(&["bump", "patch", &scratch.text("")])).ok();
    assert!(scratch.read("package.json").contains("\"version\": \"2.0.2\""));
}

#[test]
fn a_python_project_gets_launchers_that_run() {
    let scratch = Scratch::new();
    scratch.write(
        "pyproject.toml",
        "[project]\nname = \"Lamp.HW\"\ndynamic = [\"version\"]\ndescription = \"hardware service\"\nrequires-python = \">=3.9,<4\"\n\
         authors = [{name = \"Jo Doe\", email = \"jo@example.org\"}]\ndependencies = [\"requests>=2\"]\n\
         [project.scripts]\nlamp-hw = \"lamp_hw:main\"\nevil = \"os\\nimport x:y\"\n",
    );
    scratch.write("src/lamp_hw/__init__.py", "__version__ = \"1.2.0\"\ndef main():\n    print(__version__)\n");
    scratch.write("src/lamp_hw/__pycache__/x.pyc", "");
    let told = run(&mut new(&scratch, &[]));
    for text in ["python3-requests", "no `module:function`", "python3 (>= 3.9)"] {
        assert!(told.stderr.contains(text), "{text:?} is not in {}", told.stderr);
    }
    assert_eq!(told.ok(), "debfleet.toml\npackaging/bin/lamp-hw\n");
    run(&mut debfleet(&["bump", "minor", &scratch.text("")])).ok();
    let deb = scratch.build(&scratch.text(""), "out", &scratch.key("keys"));
    assert_eq!((&*field(&deb, "Version"), &*field(&deb, "Depends")), ("1.3.0-1", "python3 (>= 3.9)"));
    assert!(!contents(&deb).iter().any(|line| line.contains("pycache")));
    tool("dpkg-deb", &["-x", &deb, &scratch.text("root")]).ok();
    let launcher = std::fs::read_to_string(scratch.path("root/usr/bin/lamp-hw")).unwrap();
    let moved = launcher.replace("/usr/lib/", &scratch.text("root/usr/lib/"));
    assert_ne!(launcher, moved);
    assert_eq!(run(Command::new("python3").args(["-B", "-c", &moved])).ok(), "1.3.0\n");
}

const NFPM: &str = r#"
name: Lamp_X
arch: amd64
version: v1.2-beta.1
epoch: 2
release: 3
section: net
vendor: Acme
license: MIT
homepage: https://example.org
maintainer: Jo Doe <jo@example.org>
description: |
  The lamp.

  Long text.
depends: [libc6, "bar (>= 1)", "Not A Relation!"]
replaces: [old]
contents:
  - {src: app, dst: /usr/bin/app}
  - {src: app.conf, dst: /etc/a.conf, type: config|noreplace}
  - {src: app.conf, dst: /etc/b.conf}
  - {src: app.conf, dst: /opt/c.conf, type: config}
  - {src: "lib/{x,y}.so", dst: /usr/lib/lamp/}
  - {src: lib/*.so, dst: /usr/lib/all}
  - {src: lib, dst: /usr/share/lib, type: tree}
  - {dst: /var/lib/lamp, type: dir, file_info: {mode: 0700, owner: www-data, group: adm}}
  - {src: /usr/bin/app, dst: /usr/bin/link, type: symlink}
  - {src: app.conf, dst: /opt/decimal, file_info: {mode: 384, mtime: 2020-01-01T00:00:00Z}}
  - {src: app.conf, dst: /opt/rpm, packager: rpm}
  - {src: app.conf, dst: "/opt/${WHERE}", expand: true}
  - {src: ../secret, dst: /opt/secret}
  - {dst: /var/ghost, type: ghost}
scripts: {postinstall: postinst.sh}
deb:
  breaks: [broken]
  scripts: {config: debconf.sh, templates: t}
  triggers: {interest: [lamp-plugins], activate_noawait: [ldconfig]}
  predepends: [early]
  fields: {Bugs: "https://example.org/bugs", X-Team: "lamps"}
  compression: gzip
  signature: {key_file: x.gpg}
rpm: {group: x}
colour: red
"#;

#[test]
fn an_nfpm_configuration_gives_the_same_package_and_names_the_rest() {
    let scratch = Scratch::new();
    scratch.write_mode("app", "#!/bin/sh\n", 0o755);
    for (name, content) in [("app.conf", "c\n"), ("lib/x.so", "x\n"), ("lib/y.so", "y\n")] {
        scratch.write(name, content);
    }
    scratch.write("postinst.sh", "#!/bin/sh\nset -e\n");
    scratch.write("debconf.sh", "#!/bin/sh\n");
    scratch.write("nfpm.yaml", NFPM);
    let told = run(new(&scratch, &["--from", "nfpm.yaml"]).env("WHERE", "here"));
    let dropped = [
        "vendor",
        "contents.file_info.mtime",
        "deb.signature",
        "deb.compression",
        "rpm",
        "colour",
        "depends",
        "contents",
    ];
    let manifest = scratch.read("debfleet.toml");
    for key in dropped {
        let line = format!("not carried over: {key}: ");
        assert!(told.stderr.contains(&line), "{line:?} is not in {}", told.stderr);
        assert!(manifest.contains(&format!("\n# - {key}: ")), "{key} is not in {manifest}");
    }
    assert!(told.stderr.contains("changed: name: \"Lamp_X\" is written lamp-x"), "{}", told.stderr);
    told.ok();
    let deb = scratch.build(&scratch.text(""), "out", &scratch.key("keys"));
    for (name, value) in [
        ("Package", "lamp-x"),
        ("Version", "2:1.2.0~beta.1-3"),
        ("Architecture", "amd64"),
        ("Section", "net"),
        ("Homepage", "https://example.org"),
        ("Depends", "libc6, bar (>= 1)"),
        ("Pre-Depends", "early"),
        ("Breaks", "broken"),
        ("Replaces", "old"),
        ("Bugs", "https://example.org/bugs"),
        ("X-Team", "lamps"),
        ("Description", "lamp\n Long text."),
    ] {
        assert_eq!(field(&deb, name), value, "{name}");
    }
    // As nfpm 2.48 packs the same configuration.
    let files: Vec<String> =
        contents(&deb).into_iter().filter(|line| !line.ends_with('/') || line.contains("lamp/")).collect();
    assert_eq!(
        files,
        [
            "-rw-r--r-- root/root ./etc/a.conf",
            "-rw-r--r-- root/root ./etc/b.conf",
            "-rw-r--r-- root/root ./opt/c.conf",
            "-rw------- root/root ./opt/decimal",
            "-rw-r--r-- root/root ./opt/here",
            "-rwxr-xr-x root/root ./usr/bin/app",
            "lrwxrwxrwx root/root ./usr/bin/link -> /usr/bin/app",
            "-rw-r--r-- root/root ./usr/lib/all/x.so",
            "-rw-r--r-- root/root ./usr/lib/all/y.so",
            "drwxr-xr-x root/root ./usr/lib/lamp/",
            "-rw-r--r-- root/root ./usr/lib/lamp/x.so",
            "-rw-r--r-- root/root ./usr/lib/lamp/y.so",
            "-rw-r--r-- root/root ./usr/share/lib/x.so",
            "-rw-r--r-- root/root ./usr/share/lib/y.so",
            "drwx------ www-data/adm ./var/lib/lamp/",
        ]
    );
    assert_eq!(tool("dpkg-deb", &["-I", &deb, "conffiles"]).ok(), "/etc/a.conf\n/opt/c.conf\n");
    assert_eq!(tool("dpkg-deb", &["-I", &deb, "postinst"]).ok(), "#!/bin/sh\nset -e\n");
    assert_eq!(tool("dpkg-deb", &["-I", &deb, "config"]).ok(), "#!/bin/sh\n");
    assert_eq!(tool("dpkg-deb", &["-I", &deb, "triggers"]).ok(), "interest lamp-plugins\nactivate-noawait ldconfig\n");
}

#[test]
fn overrides_for_debs_replace_what_all_formats_have() {
    let scratch = Scratch::new();
    scratch.write("a", "1\n");
    scratch.write(
        "x.yml",
        "name: hi\narch: all\nversion: 1.0.0\nmaintainer: Jo Doe <jo@example.org>\ndepends: [a1]\ncontents: [{src: a, dst: /a}]\n\
         overrides: {deb: {depends: [b1], contents: [{src: a, dst: /b}]}, rpm: {depends: [c1]}}\n",
    );
    run(&mut new(&scratch, &["--from", "x.yml"])).ok();
    let deb = scratch.build(&scratch.text(""), "out", &scratch.key("keys"));
    assert_eq!((&*field(&deb, "Depends"), &*field(&deb, "Version")), ("b1", "1.0.0-1"));
    assert!(contents(&deb).iter().any(|line| line.ends_with(" ./b")));
    assert!(!contents(&deb).iter().any(|line| line.ends_with(" ./a")));
}

#[test]
fn a_variable_that_is_not_set_is_named_and_never_guessed() {
    let scratch = Scratch::new();
    scratch
        .write("nfpm.yaml", "name: hi\narch: ${GOARCH_X}\nversion: $VERSION_X\nmaintainer: Jo Doe <jo@example.org>\n");
    let told = run(new(&scratch, &[]).env_remove("VERSION_X").env_remove("GOARCH_X"));
    assert!(told.stderr.contains("version: \"$VERSION_X\": the variable is not set here"), "{}", told.stderr);
    told.ok();
    let manifest = scratch.read("debfleet.toml");
    assert!(manifest.contains("version = \"0.1.0\"") && manifest.contains("architecture = \"any\""), "{manifest}");
    tool("rm", &[&scratch.text("debfleet.toml")]).ok();
    run(new(&scratch, &[]).env("VERSION_X", "v3.1.0").env("GOARCH_X", "arm64")).ok();
    let manifest = scratch.read("debfleet.toml");
    assert!(manifest.contains("version = \"3.1.0\"") && manifest.contains("architecture = \"arm64\""), "{manifest}");
}

#[test]
fn texts_of_a_stranger_stay_inside_their_quotes() {
    let scratch = Scratch::new();
    let evil = "x\"\"\"\\n[scripts]\\npostinst = \\\"evil\\\"\\u001b[2J";
    scratch.write("a", "1\n");
    scratch.write(
        "nfpm.yaml",
        &format!(
            "name: \"{}\"\narch: all\nversion: 1.0.0\nmaintainer: Jo Doe <jo@example.org>\ndescription: \"{}\"\nvendor: \"{}\"\n\
             license: \"{}\"\ncontents: [{{src: a, dst: \"/a\\\"b\"}}]\n",
            evil.replace("\"\"\"", ""),
            evil.replace("\"\"\"", "\\\"\\\"\\\""),
            evil.replace("\"\"\"", ""),
            evil.replace("\"\"\"", ""),
        ),
    );
    let told = run(&mut new(&scratch, &[]));
    assert!(!told.stderr.contains('\u{1b}'), "{}", told.stderr);
    told.ok();
    let deb = scratch.build(&scratch.text(""), "out", &scratch.key("keys"));
    assert_eq!(tool("dpkg-deb", &["-I", &deb, "control"]).ok().matches("Package:").count(), 1);
    tool("dpkg-deb", &["-e", &deb, &scratch.text("control")]).ok();
    assert!(scratch.path("control/control").exists() && !scratch.path("control/postinst").exists());
}

#[test]
fn bad_files_are_clear_errors_and_write_nothing() {
    let scratch = Scratch::new();
    let mut bomb = "name: hi\narch: all\nversion: 1.0.0\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for i in 1..30 {
        bomb += &format!("a{i}: &a{i} [{}]\n", [&*format!("*a{}", i - 1); 10].join(","));
    }
    let cases: [(&str, &str, &str); 10] = [
        ("bomb.yaml", &bomb, "bomb.yaml:"),
        ("deep.yaml", &format!("name: hi\narch: all\nx: {}", "[".repeat(100_000)), "deep.yaml:3"),
        ("list.yaml", "name: [hi]\narch: all\n", "list.yaml:1: name must be one text"),
        ("contents.yaml", "name: hi\narch: all\nmaintainer: J <j@e.org>\ncontents: x\n", "contents.yaml:4"),
        ("other.yaml", "jobs: {}\n", "is none of"),
        ("twice.yml", "name: hi\narch: all\nname: ho\n", "twice.yml:3"),
        ("package.json", "{\"name\": ", "package.json:1"),
        ("pyproject.toml", "[project\n", "pyproject.toml:1"),
        ("Makefile", "all:\n", "is none of"),
        ("missing.yaml", "", "missing.yaml"),
    ];
    for (name, text, expected) in cases {
        if name != "missing.yaml" {
            scratch.write(&format!("x/{name}"), text);
        }
        let from = format!("x/{name}");
        run(&mut new(&scratch, &["--from", &from, "--maintainer", MAINTAINER])).fails(1, &[expected]);
        assert!(!scratch.path("x/debfleet.toml").exists(), "{name}");
    }
    tool("truncate", &["-s", "100M", &scratch.text("x/large.yaml")]).ok();
    run(&mut new(&scratch, &["--from", "x/large.yaml"])).fails(1, &["larger than 4194304 bytes"]);
    run(&mut new(&scratch, &["--from", "x"])).fails(1, &["not a regular file"]);
}

#[test]
fn several_files_to_begin_from_are_a_question() {
    let scratch = Scratch::new();
    run(&mut new(&scratch, &[])).fails(1, &["holds no Cargo.toml"]);
    scratch.write("package.json", "{}");
    scratch.write("nfpm.yaml", "name: hi\narch: all\n");
    run(&mut new(&scratch, &[])).fails(1, &["--from package.json", "--from nfpm.yaml"]);
    // A pyproject.toml that only configures tools names no project.
    tool("rm", &[&scratch.text("nfpm.yaml")]).ok();
    scratch.write("pyproject.toml", "[tool.black]\n");
    run(&mut new(&scratch, &["--maintainer", MAINTAINER])).fails(1, &["package.json: it has no name"]);
}
