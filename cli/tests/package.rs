//! The built package before Debian's own tools, in both source forms.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Scratch, debfleet, run, tool};
use std::path::Path;
use std::process::Command;

const FORMS: [&str; 2] = ["hi", "hi-tree"];

#[test]
fn dpkg_deb_reads_it_and_lintian_is_silent() {
    let scratch = Scratch::new();
    let key = scratch.key("keys");
    for form in FORMS {
        let source = scratch.copy_example(form, form);
        let deb = scratch.build(&source, &format!("out-{form}"), &key);
        assert!(deb.ends_with("/hi_0.1.0-1_all.deb"), "{deb}");
        let info = tool("dpkg-deb", &["--info", &deb]).ok();
        assert!(info.contains(" Package: hi\n Version: 0.1.0-1\n Architecture: all\n"), "{info}");
        assert!(info.contains("Installed-Size: "), "{info}");
        let contents = tool("dpkg-deb", &["--contents", &deb]).ok();
        assert!(contents.lines().all(|line| line.contains(" root/root ")), "{contents}");
        assert!(contents.contains("-rwxr-xr-x root/root"), "{contents}");
        assert!(contents.contains("./usr/lib/debfleet/update.d/hi.toml"), "{contents}");
        tool("dpkg-deb", &["-x", &deb, &scratch.text("unpacked")]).ok();
        let hi = scratch.text("unpacked/opt/hi/hi");
        assert_eq!(tool(&hi, &[]).ok(), "Hello Deb! Version 0.1.0\n");
        let lintian = tool("lintian", &["--allow-root", "--fail-on", "error,warning", &deb]);
        assert_eq!(lintian.ok(), "", "{form}");
    }
}

#[test]
fn a_ten_line_manifest_passes_lintian() {
    let scratch = Scratch::new();
    scratch.write(
        "greet/debfleet.toml",
        "[package]\nname = \"greet\"\nversion = \"1.2.0\"\nmaintainer = \"A <a@example.org>\"\n\
         description = \"friendly greeter\"\n\n[[files]]\nsource = \"greet\"\ndestination = \"/usr/bin/\"\n",
    );
    scratch.write_mode("greet/greet", "#!/bin/sh\necho hi\n", 0o755);
    let deb = scratch.build(&scratch.text("greet"), "out", &scratch.key("greet-keys"));
    assert_eq!(tool("lintian", &["--allow-root", "--fail-on", "error,warning", &deb]).ok(), "");
    scratch.write(
        "src/debfleet.toml",
        "[package]\nname = \"note\"\nversion = \"1.2.0\"\nmaintainer = \"A <a@example.org>\"\n\
         description = \"\"\"notice for operators of the fleet\nTells whoever looks at a device where its operators can be \
         found,\nand by which channel to reach them.\"\"\"\nlicense = \"GPL-3.0-or-later\"\n\n[[files]]\n\
         source = \"note\"\ndestination = \"/usr/share/note/note\"\n",
    );
    scratch.write("src/note", "call us\n");
    let deb = scratch.build(&scratch.text("src"), "out", &scratch.key("keys"));
    assert_eq!(tool("lintian", &["--allow-root", "--fail-on", "error,warning", &deb]).ok(), "");
}

#[test]
fn the_same_source_gives_the_same_bytes() {
    let scratch = Scratch::new();
    let key = scratch.key("keys");
    for form in FORMS {
        let first = scratch.copy_example(form, &format!("one-{form}"));
        // Under other umasks, at another place, later.
        let mut debs = vec![scratch.build(&first, "out-a", &key)];
        for umask in ["002", "027", "077"] {
            let name = format!("two-{umask}/{form}");
            let copy = "umask $0; mkdir -p \"$2\"; cd \"$1\"; tar -cf - --mode=a+rwX . | tar -xf - --no-same-permissions -C \"$2\"";
            run(Command::new("sh").args(["-c", copy, umask, &first, &scratch.text(&name)])).ok();
            let out = scratch.text(&format!("out-{umask}"));
            let script = "umask $0; exec \"$@\"";
            let command = debfleet(&[]);
            let mut shell = Command::new("sh");
            shell.args(["-c", script, umask]).arg(command.get_program());
            shell.args(["build", &scratch.text(&name), "--out", &out, "--key", &key]);
            shell.env_remove("SOURCE_DATE_EPOCH");
            let stdout = run(&mut shell).ok();
            debs.push(stdout.trim_end().to_owned());
        }
        for other in &debs[1..] {
            let difference = tool("cmp", &[&debs[0], other]);
            assert_eq!(difference.code, 0, "{form}: {}", difference.stdout);
        }
    }
}

#[test]
fn the_time_is_the_variables_or_the_last_commits() {
    let scratch = Scratch::new();
    let source = scratch.copy_example("hi", "src");
    let dated = |deb: &str| {
        let contents = run(Command::new("dpkg-deb").args(["--contents", deb]).env("TZ", "UTC")).ok();
        contents.lines().next().unwrap().to_owned()
    };
    let build = |variable: Option<&str>| {
        let mut command = debfleet(&["build", &source, "--out", &scratch.text("out")]);
        variable.map(|value| command.env("SOURCE_DATE_EPOCH", value));
        run(&mut command)
    };
    assert!(dated(build(Some("1700000000")).ok().trim_end()).contains("2023-11-14 22:13"));
    build(Some("soon")).fails(1, &["SOURCE_DATE_EPOCH=\"soon\""]);

    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(&source).args(["-c", "user.name=a", "-c", "user.email=a@example.org"]);
        run(command.args(arguments).env("GIT_COMMITTER_DATE", "2020-02-02T02:02:02Z")).ok();
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "one"]);
    assert!(dated(build(None).ok().trim_end()).contains("2020-02-02 02:02"));
    let outcome = build(None);
    assert!(outcome.stderr.contains("(as its last commit)"), "{}", outcome.stderr);
    scratch.write("src/__VERSION__", "0.1.0 \n");
    let outcome = build(None);
    assert!(outcome.stderr.contains("(as its newest file: __VERSION__ is not committed)"), "{}", outcome.stderr);
    assert!(!dated(outcome.ok().trim_end()).contains("2020-02-02"), "an uncommitted change has another time");

    // The one commit of a shallow clone seems to have made all files.
    git(&["commit", "-qam", "two"]);
    let clone = scratch.text("clone");
    let from = format!("file://{source}");
    tool("git", &["-c", "protocol.file.allow=always", "clone", "-q", "--depth", "1", &from, &clone]).ok();
    let outcome = run(&mut debfleet(&["build", &clone, "--out", &scratch.text("out")]));
    assert!(outcome.stderr.contains("fetch the whole history (fetch-depth: 0)"), "{}", outcome.stderr);
}

#[test]
fn debsig_verify_accepts_it_and_refuses_one_flipped_byte() {
    let scratch = Scratch::new();
    let key = scratch.key("keys");
    let fingerprint = run(&mut debfleet(&["key", "new", "package", "--out", &scratch.text("stranger")])).ok();
    assert!(fingerprint.starts_with("fingerprint: "));
    let source = scratch.copy_example("hi", "src");
    let shown = tool(
        "gpg",
        &["--homedir", &gnupg_home(&scratch), "--with-colons", "--show-keys", &scratch.text("keys/package.gpg")],
    )
    .ok();
    let id = shown.lines().find(|line| line.starts_with("pub:")).unwrap().split(':').nth(4).unwrap().to_owned();
    scratch.write(
        &format!("policies/{id}/origin.pol"),
        &format!(
            "<?xml version=\"1.0\"?>\n<!DOCTYPE Policy SYSTEM \"https://www.debian.org/debsig/1.0/policy.dtd\">\n\
             <Policy xmlns=\"https://www.debian.org/debsig/1.0/\">\n\
             <Origin Name=\"test\" id=\"{id}\" Description=\"test\"/>\n\
             <Selection><Required Type=\"origin\" File=\"debsig.gpg\" id=\"{id}\"/></Selection>\n\
             <Verification MinOptional=\"0\"><Required Type=\"origin\" File=\"debsig.gpg\" id=\"{id}\"/></Verification>\n\
             </Policy>\n"
        ),
    );
    std::fs::create_dir_all(scratch.path(&format!("keyrings/{id}"))).unwrap();
    std::fs::copy(scratch.path("keys/package.gpg"), scratch.path(&format!("keyrings/{id}/debsig.gpg"))).unwrap();
    let verify = |deb: &str| {
        let (policies, keyrings) = (scratch.text("policies"), scratch.text("keyrings"));
        tool("debsig-verify", &["--verbose", "--policies-dir", &policies, "--keyrings-dir", &keyrings, deb])
    };
    for compression in ["xz", "zstd"] {
        let (out, flag) = (scratch.text(compression), "--compression");
        let deb = run(&mut debfleet(&["build", &source, "--out", &out, "--key", &key, flag, compression])).ok();
        let deb = deb.trim_end().to_owned();
        let accepted = verify(&deb);
        assert_eq!(accepted.code, 0, "{}{}", accepted.stdout, accepted.stderr);

        let flipped = scratch.text("flipped.deb");
        std::fs::copy(&deb, &flipped).unwrap();
        // In data.tar, found by its header.
        let bytes = std::fs::read(&deb).unwrap();
        let at = bytes.windows(9).position(|window| window == b"data.tar.").unwrap() + 60 + 200;
        let script = format!("printf '\\{:03o}' | dd of=\"$0\" bs=1 seek={at} conv=notrunc status=none", bytes[at] ^ 1);
        run(Command::new("sh").args(["-c", &script, &flipped])).ok();
        assert_ne!(verify(&flipped).code, 0);
        let keyring = scratch.text("keys/package.gpg");
        let refused = run(&mut debfleet(&["verify", &flipped, "--keyring", &keyring]));
        refused.fails(1, &["flipped.deb"]);
        let verified = run(&mut debfleet(&["verify", &deb, "--keyring", &keyring])).ok();
        assert!(verified.starts_with("hi 0.1.0-1 for all\norigin: good signature by "), "{verified}");
        run(&mut debfleet(&["verify", &deb, "--keyring", &scratch.text("stranger/package.gpg")])).tells(
            1,
            &["required role origin: NOT satisfied"],
            &["not among the trusted keys"],
        );
    }
}

fn gnupg_home(scratch: &Scratch) -> String {
    let home = scratch.text("gnupg");
    run(Command::new("install").args(["-d", "-m", "0700", &home])).ok();
    home
}

#[test]
fn gpg_imports_the_key_and_gpgv_reads_the_keyring() {
    let scratch = Scratch::new();
    let key = scratch.key("keys");
    let home = gnupg_home(&scratch);
    let imported = tool("gpg", &["--homedir", &home, "--batch", "--import", &key]);
    assert!(imported.stderr.contains("secret keys imported: 1"), "{}", imported.stderr);
    let signed = scratch.write("text", "signed\n");
    let signed = signed.to_str().unwrap();
    tool(
        "gpg",
        &["--homedir", &home, "--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--detach-sign", signed],
    )
    .ok();
    tool("gpgv", &["--keyring", &scratch.text("keys/package.gpg"), &format!("{signed}.sig"), signed]).ok();
    let _ = tool("gpgconf", &["--homedir", &home, "--kill", "all"]);
}

/// dpkg in an own root, without chroot.
fn dpkg(root: &Path, arguments: &[&str]) -> common::Outcome {
    let mut command = Command::new("dpkg");
    command.arg(format!("--root={}", root.display()));
    command.args(["--force-not-root", "--force-script-chrootless", "--log=/dev/null"]).args(arguments);
    run(command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8"))
}

fn files_below(root: &Path) -> String {
    let find = "cd \"$0\" && find . -path ./var/lib/dpkg -prune -o -print | sort";
    run(Command::new("sh").args(["-c", find]).arg(root)).ok()
}

#[test]
fn dpkg_installs_upgrades_removes_and_purges_it() {
    let scratch = Scratch::new();
    let key = scratch.key("keys");
    for form in FORMS {
        let source = scratch.copy_example(form, form);
        let root = scratch.path(&format!("root-{form}"));
        for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        scratch.write(&format!("root-{form}/var/lib/dpkg/status"), "");
        scratch.write(&format!("root-{form}/var/lib/dpkg/available"), "");
        let before = files_below(&root);
        let hi = || tool(root.join("opt/hi/hi").to_str().unwrap(), &[]).ok();

        dpkg(&root, &["-i", &scratch.build(&source, "out", &key)]).ok();
        assert_eq!(hi(), "Hello Deb! Version 0.1.0\n");
        run(&mut debfleet(&["bump", "minor", &source])).ok();
        dpkg(&root, &["-i", &scratch.build(&source, "out", &key)]).ok();
        assert_eq!(hi(), "Hello Deb! Version 0.2.0\n");
        dpkg(&root, &["--remove", "hi"]).ok();
        let log = scratch.read(&format!("root-{form}/var/log/hi.log"));
        assert_eq!(
            log,
            "preinst install\npostinst configure \nprerm upgrade 0.2.0-1\npreinst upgrade 0.1.0-1 0.2.0-1\n\
             postrm upgrade 0.2.0-1\npostinst configure 0.1.0-1\nprerm remove\npostrm remove\n"
        );
        dpkg(&root, &["--purge", "hi"]).ok();
        assert_eq!(files_below(&root), before, "{form}: purge left something behind");
    }
}
