//! What a manifest says, seen in the package by Debian's own tools.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Scratch, debfleet, run, tool};

const HEAD: &str = "[package]\nname = \"kit\"\nversion = \"1.2.0\"\nmaintainer = \"A <a@example.org>\"\n\
                    description = \"\"\"box of many parts\nIt has all that a package can have, so that whoever reads \
                    it can see\nwhat becomes of each part on a device.\"\"\"\nlicense = \"GPL-3.0-or-later\"\n";

fn build(scratch: &Scratch, arguments: &[&str]) -> Vec<String> {
    let (src, out) = (scratch.text("src"), scratch.text("out"));
    let stdout = run(debfleet(&["build", &src, "--out", &out]).args(arguments)).ok();
    stdout.lines().map(str::to_owned).collect()
}

fn fails(scratch: &Scratch, arguments: &[&str], texts: &[&str]) {
    let (src, out) = (scratch.text("src"), scratch.text("out"));
    run(debfleet(&["build", &src, "--out", &out]).args(arguments)).fails(1, texts);
    assert!(!scratch.path("out").exists() || scratch.path("out").read_dir().unwrap().next().is_none());
}

/// `mode owner/group path [-> target]` of everything in data.tar, without sizes and times.
fn contents(deb: &str) -> Vec<String> {
    let listing = tool("dpkg-deb", &["--contents", deb]).ok();
    let short = |line: &str| {
        let parts: Vec<&str> = line.split_whitespace().collect();
        format!("{} {} {}", parts[0], parts[1], parts[5..].join(" "))
    };
    listing.lines().map(short).filter(|line| !line.contains("/usr/share/")).collect()
}

fn field(deb: &str, name: &str) -> String {
    tool("dpkg-deb", &["--field", deb, name]).ok().trim_end().to_owned()
}

#[test]
fn patterns_links_empty_folders_and_conffiles_arrive() {
    let scratch = Scratch::new();
    scratch.write(
        "src/debfleet.toml",
        &(HEAD.to_owned()
            + "\n[[files]]\nsource = \"lib/**/*.py\"\nexclude = [\"tests\", \"*_test.py\"]\ndestination = \"/usr/lib/{name}\"\n\
               \n[[files]]\nsource = \"bin/kit\"\ndestination = \"/usr/bin/\"\n\
               \n[[files]]\nsymlink = \"kit\"\ndestination = \"/usr/bin/kit-{version}\"\n\
               \n[[files]]\ndirectory = true\ndestination = \"/var/lib/kit\"\nmode = \"2750\"\nowner = \"root:adm\"\n\
               \n[[files]]\nsource = \"etc\"\ndestination = \"/etc/kit\"\n\
               \n[[files]]\nsource = \"data\"\ndestination = \"/etc/kit/data\"\nconffile = false\n"),
    );
    for name in ["lib/a.py", "lib/b/c.py", "lib/b/c_test.py", "lib/tests/d.py", "lib/.hidden/e.py", "lib/b/note.txt"] {
        scratch.write(&format!("src/{name}"), "pass\n");
    }
    scratch.write_mode("src/bin/kit", "#!/bin/sh\n", 0o755);
    scratch.write("src/etc/kit.conf", "x\n");
    scratch.write("src/etc/more/b.conf", "x\n");
    scratch.write("src/data", "x\n");
    let debs = build(&scratch, &[]);
    let expected = "drwxr-xr-x root/root ./
drwxr-xr-x root/root ./etc/
drwxr-xr-x root/root ./etc/kit/
-rw-r--r-- root/root ./etc/kit/data
-rw-r--r-- root/root ./etc/kit/kit.conf
drwxr-xr-x root/root ./etc/kit/more/
-rw-r--r-- root/root ./etc/kit/more/b.conf
drwxr-xr-x root/root ./usr/
drwxr-xr-x root/root ./usr/bin/
-rwxr-xr-x root/root ./usr/bin/kit
lrwxrwxrwx root/root ./usr/bin/kit-1.2.0 -> kit
drwxr-xr-x root/root ./usr/lib/
drwxr-xr-x root/root ./usr/lib/kit/
-rw-r--r-- root/root ./usr/lib/kit/a.py
drwxr-xr-x root/root ./usr/lib/kit/b/
-rw-r--r-- root/root ./usr/lib/kit/b/c.py
drwxr-xr-x root/root ./var/
drwxr-xr-x root/root ./var/lib/
drwxr-s--- root/adm ./var/lib/kit/";
    let found = contents(&debs[0]);
    let found: Vec<&str> = found.iter().map(String::as_str).filter(|line| !line.ends_with("./usr/share/")).collect();
    assert_eq!(found, expected.lines().collect::<Vec<_>>());
    assert_eq!(tool("dpkg-deb", &["--info", &debs[0], "conffiles"]).ok(), "/etc/kit/kit.conf\n/etc/kit/more/b.conf\n");
}

#[test]
fn each_architecture_gets_its_own_files() {
    let scratch = Scratch::new();
    scratch.write(
        "src/debfleet.toml",
        &(HEAD.to_owned()
            + "architecture = [\"amd64\", \"arm64\"]\n\
               \n[[files]]\nsource = \"build/{architecture}/kit\"\ndestination = \"/usr/lib/{multiarch}/kit\"\n\
               \n[[files]]\nsource = \"board\"\ndestination = \"/usr/lib/kit/board\"\narchitectures = [\"arm64\"]\n"),
    );
    for name in ["build/amd64/kit", "build/arm64/kit", "board"] {
        scratch.write(&format!("src/{name}"), name);
    }
    let debs = build(&scratch, &[]);
    let names: Vec<&str> = debs.iter().map(|deb| deb.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["kit_1.2.0-1_amd64.deb", "kit_1.2.0-1_arm64.deb"]);
    let files = |deb: &str| contents(deb).into_iter().filter(|line| line.starts_with('-')).collect::<Vec<_>>();
    assert_eq!(files(&debs[0]), ["-rw-r--r-- root/root ./usr/lib/x86_64-linux-gnu/kit"]);
    assert_eq!(
        files(&debs[1]),
        ["-rw-r--r-- root/root ./usr/lib/aarch64-linux-gnu/kit", "-rw-r--r-- root/root ./usr/lib/kit/board"]
    );
    let one = build(&scratch, &["--architecture", "arm64"]);
    assert_eq!(one, debs[1..]);
    let (src, out) = (scratch.text("src"), scratch.text("out2"));
    run(&mut debfleet(&["build", &src, "--out", &out, "--architecture", "armhf"]))
        .fails(1, &["is not made for armhf, only for amd64, arm64"]);
}

#[test]
fn any_is_the_machines_own_architecture() {
    let scratch = Scratch::new();
    scratch.write("src/debfleet.toml", &(HEAD.to_owned() + "architecture = \"any\"\n"));
    let debs = build(&scratch, &[]);
    assert_eq!(field(&debs[0], "Architecture"), tool("dpkg", &["--print-architecture"]).ok().trim_end());
    let debs = build(&scratch, &["--architecture", "riscv64"]);
    assert_eq!(field(&debs[0], "Architecture"), "riscv64");
}

#[test]
fn auto_finds_the_packages_of_shared_libraries() {
    let scratch = Scratch::new();
    let rule = |source: &str, destination: &str| {
        format!("\n[[files]]\nsource = \"{source}\"\ndestination = \"{destination}\"\n")
    };
    let manifest = HEAD.to_owned()
        + "architecture = \"any\"\ndepends = [\"adduser\", \"${auto}\", \"tar\"]\nrecommends = \"${auto}\"\n"
        + &rule("sh", "/usr/lib/kit/sh")
        + &rule("note", "/usr/lib/kit/note");
    scratch.write("src/debfleet.toml", &manifest);
    scratch.write("src/note", "no program\n");
    // A real program of this machine, linked to libc and to a library that comes in its own package.
    tool("cp", &["/usr/bin/tar", &scratch.text("src/sh")]).ok();
    let debs = build(&scratch, &[]);
    let depends = field(&debs[0], "Depends");
    assert!(depends.starts_with("adduser, lib") && depends.ends_with(", tar"), "{depends}");
    assert!(depends.contains("libc6 (>= ") && depends.contains("libselinux1 (>= "), "{depends}");
    assert_eq!(field(&debs[0], "Recommends"), depends.replace("adduser, ", "").replace(", tar", ""));

    // A library that the package brings itself is no dependency, and one that nobody has is an error.
    let own = Scratch::new();
    own.write("src/own.c", "int own(void) { return 4; }\n");
    own.write("src/main.c", "int own(void);\nint main(void) { return own(); }\n");
    let library = own.text("src/libown.so.1");
    tool("gcc", &["-shared", "-fPIC", "-Wl,-soname,libown.so.1", "-o", &library, &own.text("src/own.c")]).ok();
    tool("gcc", &["-o", &own.text("src/main"), &own.text("src/main.c"), &library, "-Wl,-rpath,/usr/lib/kit"]).ok();
    let with = |files: &str| HEAD.to_owned() + "architecture = \"any\"\ndepends = \"${auto}\"\n" + files;
    own.write("src/debfleet.toml", &with(&rule("main", "/usr/lib/kit/main")));
    fails(&own, &[], &["debfleet.toml: ${auto}: dpkg-shlibdeps failed", "libown.so.1"]);
    let both = rule("main", "/usr/lib/kit/main") + &rule("libown.so.1", "/usr/lib/kit/libown.so.1");
    own.write("src/debfleet.toml", &with(&both));
    let depends = field(&build(&own, &[])[0], "Depends");
    assert!(depends.starts_with("libc6 (>= ") && !depends.contains("own"), "{depends}");
}

#[test]
fn without_elf_files_auto_stands_for_nothing() {
    let scratch = Scratch::new();
    scratch.write("src/debfleet.toml", &(HEAD.to_owned() + "depends = \"${auto}\"\n"));
    assert_eq!(field(&build(&scratch, &[])[0], "Depends"), "");
}

#[test]
fn a_changelog_of_ones_own_is_packed_and_must_tell_of_this_version() {
    let scratch = Scratch::new();
    scratch.write(
        "src/debfleet.toml",
        &(HEAD.to_owned()
            + "changelog = \"changelog\"\n\n[[files]]\nsource = \"a\"\ndestination = \"/usr/share/kit/a\"\n"),
    );
    scratch.write("src/a", "a\n");
    let entry = "kit (1.2.0-1) stable; urgency=medium\n\n  * New parts.\n\n -- A <a@example.org>  Tue, 14 Nov 2023 \
                 22:13:20 +0000\n";
    scratch.write("src/changelog", entry);
    let debs = build(&scratch, &["--key", &scratch.key("keys")]);
    tool("dpkg-deb", &["-x", &debs[0], &scratch.text("unpacked")]).ok();
    let packed = scratch.text("unpacked/usr/share/doc/kit/changelog.Debian.gz");
    assert_eq!(tool("zcat", &[&packed]).ok(), entry);
    assert_eq!(
        tool(
            "lintian",
            &[
                "--allow-root",
                "--suppress-tags",
                "initial-upload-closes-no-bugs",
                "--fail-on",
                "error,warning",
                &debs[0]
            ]
        )
        .ok(),
        ""
    );
    let other = Scratch::new();
    other.write("src/debfleet.toml", &(HEAD.to_owned() + "changelog = \"changelog\"\n"));
    fails(&other, &[], &["debfleet.toml:9: changelog: ", "src/changelog"]);
    other.write("src/changelog", &entry.replace("1.2.0", "1.1.0"));
    fails(&other, &[], &["debfleet.toml:9: ", "src/changelog: its newest entry is of version 1.1.0-1"]);
    other.write("src/changelog", "* New parts\n");
    fails(&other, &[], &["src/changelog: its first line must be like", "\"* New parts\""]);
}

#[test]
fn a_source_that_is_not_there_is_named_with_its_line() {
    let scratch = Scratch::new();
    scratch.write("src/a.txt", "x\n");
    let rule = |keys: &str| scratch.write("src/debfleet.toml", &format!("{HEAD}\n[[files]]\n{keys}\n"));
    rule("source = \"*.png\"\ndestination = \"/usr/share/kit\"");
    fails(&scratch, &[], &["debfleet.toml:11: source = \"*.png\" matches nothing in ", "/src; "]);
    rule("source = \"none/*.png\"\ndestination = \"/usr/share/kit\"");
    fails(&scratch, &[], &["debfleet.toml:11: source: ", "src/none"]);
    rule("source = \"../*.png\"\ndestination = \"/usr/share/kit\"");
    fails(&scratch, &[], &["debfleet.toml:11: source: \"..\" leaves the folder"]);
    rule("source = \"a.txt\"\ndestination = \"/usr/share/kit/\"\nexclude = \"b\"");
    fails(&scratch, &[], &["debfleet.toml:11: source: ", "`exclude` is for folders and patterns"]);
    rule("source = \"a.txt\"\ndestination = \"/usr/lib/{multiarch}/a\"");
    fails(&scratch, &[], &["debfleet.toml:11: ", "Debian has no {multiarch} for all"]);
}

#[test]
fn the_package_never_becomes_part_of_itself() {
    let scratch = Scratch::new();
    scratch.write(
        "src/debfleet.toml",
        &format!(
            "{HEAD}\n[[files]]\nsource = \".\"\nexclude = [\"debfleet.toml\"]\ndestination = \"/usr/share/kit\"\n"
        ),
    );
    let (src, out) = (scratch.text("src"), scratch.text("src/dist"));
    run(&mut debfleet(&["build", &src, "--out", &out])).fails(1, &["/src/dist lies inside ", "name another --out"]);
}
