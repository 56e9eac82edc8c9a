//! What bad input gets: a clear error that names the file and what to do, exit code 1, and nothing written.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Scratch, debfleet, run, tool};

const MANIFEST: &str = "[package]\nname = \"hi\"\nversion = \"0.1.0\"\nmaintainer = \"A <a@example.org>\"\n\
                        description = \"says hi\"\n";

/// Builds `src` and demands that it fails with these texts and leaves nothing.
#[track_caller]
fn build_fails(scratch: &Scratch, texts: &[&str]) {
    let (source, out) = (scratch.text("src"), scratch.text("out"));
    run(&mut debfleet(&["build", &source, "--out", &out])).fails(1, texts);
    assert!(!scratch.path("out").exists(), "the folder for the output was made");
}

#[test]
fn manifest_faults_are_named_with_file_and_line() {
    let cases = [
        (MANIFEST.replace("maintainer = \"A <a@example.org>\"\n", ""), "src/debfleet.toml:1: the key `maintainer`"),
        (MANIFEST.replace("\"0.1.0\"", "0.1.0"), "src/debfleet.toml:3: "),
        (MANIFEST.replace("maintainer", "maintaner"), "src/debfleet.toml:4: unknown key `maintaner`; did you mean"),
        (MANIFEST.replace("\"hi\"", "\"Hi There\""), "src/debfleet.toml:2: package name \"Hi There\""),
        (MANIFEST.replace("0.1.0", "1.0"), "src/debfleet.toml:3: version = \"1.0\""),
    ];
    for (manifest, expected) in cases {
        let scratch = Scratch::new();
        scratch.write("src/debfleet.toml", &manifest);
        build_fails(&scratch, &["error: could not build the package in ", expected]);
    }
}

#[test]
fn sources_that_are_missing_or_outside_are_refused() {
    let cases = [
        ("nothing", "src/nothing; create it or correct the path"),
        ("../secret", "\"../secret\" leaves the folder"),
        ("/etc/passwd", "\"/etc/passwd\" leaves the folder"),
        ("link/secret", "through a symbolic link"),
    ];
    for (source, expected) in cases {
        let scratch = Scratch::new();
        scratch.write("secret", "s");
        let rule = format!("\n[[files]]\nsource = \"{source}\"\ndestination = \"/opt/x\"\n");
        scratch.write("src/debfleet.toml", &(MANIFEST.to_owned() + &rule));
        std::os::unix::fs::symlink(scratch.path(""), scratch.path("src/link")).unwrap();
        build_fails(&scratch, &["src/debfleet.toml:8: source: ", expected]);
    }
}

#[test]
fn a_script_without_interpreter_is_refused_in_both_forms() {
    let scratch = Scratch::new();
    scratch.write("src/debfleet.toml", &(MANIFEST.to_owned() + "\n[scripts]\npostinst = \"postinst\"\n"));
    scratch.write("src/postinst", "echo hi\n");
    build_fails(&scratch, &["src/debfleet.toml:8: ", "src/postinst does not begin with `#!`"]);
    let scratch = Scratch::new();
    scratch.copy_example("hi-tree", "src");
    scratch.write("src/DEBIAN/postinst", "echo hi\n");
    build_fails(&scratch, &["src/DEBIAN/postinst does not begin with `#!`"]);
}

#[test]
fn faults_of_a_tree_are_named() {
    let faulty = |fault: fn(&Scratch), texts: &[&str]| {
        let scratch = Scratch::new();
        scratch.copy_example("hi-tree", "src");
        fault(&scratch);
        build_fails(&scratch, texts);
    };
    faulty(|s| drop(s.write("src/DEBIAN/control", "Package: hi\n")), &["src/DEBIAN/control", "Version is missing"]);
    faulty(|s| drop(s.write("src/DEBIAN/control", "Package hi\n")), &["src/DEBIAN/control", "line 1"]);
    faulty(|s| drop(s.write("src/DEBIAN/conffiles", "/etc/hi\n")), &["src/DEBIAN/conffiles", "/etc/hi"]);
    faulty(
        |s| drop(s.write("src/usr/lib/debfleet/update.d/hi.toml", "commit-timeout = 0\n")),
        &["src/usr/lib/debfleet/update.d/hi.toml", "commit-timeout"],
    );
    faulty(|s| drop(s.write("src/usr/lib/debfleet/update.d/ho.toml", "")), &["update.d/ho.toml", "never be read"]);
    faulty(
        |s| drop(tool("mkfifo", &[&s.text("src/opt/pipe")])),
        &["src/opt/pipe is neither file, folder nor symbolic link"],
    );
    faulty(|s| drop(s.write("src/debfleet.toml", MANIFEST)), &["holds both"]);
}

#[test]
fn a_folder_that_is_no_source_is_refused() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("src")).unwrap();
    build_fails(&scratch, &["src holds neither a debfleet.toml nor a DEBIAN/control"]);
    let scratch = Scratch::new();
    build_fails(&scratch, &["src"]);
}

#[test]
fn the_wrong_kind_of_key_is_refused() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi", "src");
    scratch.key("keys");
    let garbage = scratch.write_mode("garbage", "no key\n", 0o600);
    let cases = [
        (scratch.text("keys/package.asc"), "it is a public key"),
        (scratch.text("keys/package.gpg"), "is not text"),
        (garbage.to_str().unwrap().to_owned(), "not an armoured OpenPGP secret key"),
        (scratch.text("absent"), "No such file"),
    ];
    for (key, expected) in cases {
        run(&mut debfleet(&["build", &source, "--out", &scratch.text("out"), "--key", &key]))
            .fails(1, &[&key, expected]);
        assert!(!scratch.path("out").exists());
    }
    let deb = scratch.build(&source, "out", &scratch.text("keys/package.key"));
    run(&mut debfleet(&["verify", &deb, "--keyring", &scratch.text("keys/package.key")]))
        .fails(1, &["it is a secret key"]);
}

#[test]
fn a_key_is_never_overwritten() {
    let scratch = Scratch::new();
    let key = scratch.key("keys");
    let before = std::fs::read(&key).unwrap();
    run(&mut debfleet(&["key", "new", "package", "--out", &scratch.text("keys")])).fails(1, &["package.key is there"]);
    assert_eq!(std::fs::read(&key).unwrap(), before);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&key).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn damaged_packages_do_not_verify() {
    let scratch = Scratch::new();
    let key = scratch.key("keys");
    let deb = scratch.build(&scratch.copy_example("hi", "src"), "out", &key);
    let ring = scratch.text("keys/package.gpg");
    let cut = scratch.text("cut.deb");
    std::fs::copy(&deb, &cut).unwrap();
    tool("truncate", &["-s", "1000", &cut]).ok();
    run(&mut debfleet(&["verify", &cut, "--keyring", &ring])).fails(1, &["cut.deb", "truncated"]);
    let text = scratch.write("text.deb", "hello\n");
    run(&mut debfleet(&["verify", text.to_str().unwrap(), "--keyring", &ring])).fails(1, &["text.deb", "ar archive"]);
    let unsigned = run(&mut debfleet(&["build", &scratch.text("src"), "--out", &scratch.text("unsigned")]));
    assert!(unsigned.stderr.contains("not signed"), "{}", unsigned.stderr);
    let unsigned = unsigned.ok();
    run(&mut debfleet(&["verify", unsigned.trim_end(), "--keyring", &ring])).tells(
        1,
        &["not signed"],
        &["no origin signature"],
    );
    run(&mut debfleet(&["verify", &deb, "--keyring", &ring, "--role", "maint"])).tells(
        1,
        &["origin: good signature"],
        &["no maint signature"],
    );
}

#[test]
fn a_full_disk_leaves_nothing() {
    let scratch = Scratch::new();
    let key = scratch.key("keys");
    scratch.copy_example("hi", "src");
    let manifest =
        scratch.read("src/debfleet.toml") + "\n[[files]]\nsource = \"noise\"\ndestination = \"/opt/hi/noise\"\n";
    scratch.write("src/debfleet.toml", &manifest);
    tool("sh", &["-c", "head -c 3000000 /dev/urandom > \"$0\"", &scratch.text("src/noise")]).ok();
    let small = scratch.text("small");
    std::fs::create_dir(&small).unwrap();
    // Room for the compressed payload, and for half of the package that it becomes part of.
    tool("mount", &["-t", "tmpfs", "-o", "size=4500k", "tmpfs", &small]).ok();
    let outcome = run(&mut debfleet(&["build", &scratch.text("src"), "--out", &small, "--key", &key]));
    let left = std::fs::read_dir(&small).unwrap().count();
    tool("umount", &[&small]).ok();
    outcome.fails(1, &[&format!("the disk that holds {small} is full"), "nothing was left there"]);
    assert_eq!(left, 0);
}

#[test]
fn usage_errors_have_their_own_exit_code() {
    for arguments in [&["build"][..], &["bump", "big"], &["publish"], &["verify", "x"], &["no-such-command"], &[]] {
        assert_eq!(run(&mut debfleet(arguments)).code, 2, "{arguments:?}");
    }
}

#[test]
fn a_tree_does_not_swallow_its_own_package() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi-tree", "src");
    run(&mut debfleet(&["build", &source, "--out", &scratch.text("src/dist")])).fails(1, &["lies inside "]);
}
