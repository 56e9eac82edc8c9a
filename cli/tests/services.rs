//! `[scripts]` and `[systemd]`: what comes into the package, and what is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Scratch, debfleet, run, tool};

const MANIFEST: &str = "[package]\nname = \"hi\"\nversion = \"0.1.0\"\nmaintainer = \"A B <a@example.org>\"\n\
                        description = \"greeter as a service\\nIt says hi.\"\n\n";
const SERVICE: &str = "[Unit]\nDescription=Says hi\nDocumentation=https://example.org/\n\n\
                       [Service]\nUser=hi\nExecStart=/bin/sleep infinity\n\n[Install]\nWantedBy=multi-user.target\n";

fn service_files(scratch: &Scratch) {
    for (name, text) in [
        ("hi.service", SERVICE),
        ("hi@.service", SERVICE),
        (
            "hi.timer",
            "[Unit]\nDescription=Says hi daily\n\n[Timer]\nOnCalendar=daily\n\n[Install]\nWantedBy=timers.target\n",
        ),
        ("sysusers", "u hi - \"Says hi\" /var/lib/hi\n"),
        ("tmpfiles", "d /var/lib/hi 0750 hi hi\n"),
    ] {
        scratch.write(&format!("src/{name}"), text);
    }
}

#[test]
fn units_users_folders_and_triggers_are_packed_as_lintian_wants_them() {
    let scratch = Scratch::new();
    service_files(&scratch);
    let manifest = MANIFEST.to_owned()
        + "[systemd]\nunits = [\n\"hi.service\", \"hi@.service\",\n{ source = \"hi.timer\", on-upgrade = \"stop\" }]\n\
           sysusers = \"sysusers\"\ntmpfiles = \"tmpfiles\"\n\n\
           [scripts]\npostinst = \"postinst\"\ntriggers = [\"interest-noawait /usr/share/hi/plugins\"]\n\
           variables = { DATA = \"/var/lib/hi\" }\n";
    scratch.write("src/debfleet.toml", &manifest);
    let script = "#!/bin/sh\nset -e\n\n#DEBHELPER#\n\nif [ \"$1\" = configure ]; then\n    \
                  echo '#PACKAGE# #VERSION# #ARCHITECTURE#' > #DATA#/version\nfi\n\nexit 0\n";
    scratch.write("src/postinst", script);
    let package = scratch.build(&scratch.text("src"), "out", &scratch.key("keys"));
    let lintian = tool("lintian", &["--allow-root", "--fail-on", "error,warning", &package]);
    assert_eq!((lintian.code, lintian.stdout.as_str()), (0, ""), "{}", lintian.stderr);
    let listed = tool("dpkg-deb", &["-c", &package]).ok();
    for path in [
        "lib/systemd/system/hi.service",
        "lib/systemd/system/hi.timer",
        "lib/sysusers.d/hi.conf",
        "lib/tmpfiles.d/hi.conf",
    ] {
        assert!(listed.contains(&format!(" ./usr/{path}\n")), "{path} is not in\n{listed}");
    }
    let depends = tool("dpkg-deb", &["-f", &package, "Depends"]).ok();
    assert_eq!(
        depends,
        "systemd | systemd-standalone-sysusers | systemd-sysusers, \
         systemd | systemd-standalone-tmpfiles | systemd-tmpfiles\n"
    );
    let postinst = tool("dpkg-deb", &["-I", &package, "postinst"]).ok();
    assert!(postinst.contains("    echo 'hi 0.1.0-1 all' > /var/lib/hi/version\n"), "{postinst}");
    assert!(postinst.contains("deb-systemd-helper enable"), "{postinst}");
    assert_eq!(tool("dpkg-deb", &["-I", &package, "triggers"]).ok(), "interest-noawait /usr/share/hi/plugins\n");
    for script in ["preinst", "postinst", "prerm", "postrm"] {
        let path = scratch.write_mode(script, &tool("dpkg-deb", &["-I", &package, script]).ok(), 0o755);
        tool("dash", &["-n", path.to_str().unwrap()]).ok();
    }
}

#[test]
fn what_would_fail_on_a_device_is_refused_with_its_line() {
    let script = |text: &'static str| ("src/postinst", text);
    let with_unit = "[scripts]\npostinst = \"postinst\"\n\n[systemd]\nunits = [\"hi.service\"]\n";
    let cases = [
        (
            "[scripts]\npostinst = \"postinst\"\n",
            script("#!/bin/sh\n\necho #PAKAGE#\n"),
            ":8: ",
            "postinst:3: `#PAKAGE#` stands for nothing; did you mean `#PACKAGE#`?",
        ),
        (with_unit, script("#!/bin/sh\nexit 0\n"), ":8: ", "postinst:2: [systemd] gives this script a part"),
        (
            with_unit,
            script("#!/usr/bin/perl\n#DEBHELPER#\n"),
            ":8: ",
            "postinst:1: [systemd] gives this script a part in POSIX shell",
        ),
        (
            "[scripts]\nvariables = { Data = \"x\" }\n",
            script(""),
            ":8: ",
            "variables = \"Data\": a name has capital letters",
        ),
        ("[scripts]\nvariables = { VERSION = \"x\" }\n", script(""), ":8: ", "fills in this one itself"),
        ("[scripts]\nvariables = { DATA = \"a\\nb\" }\n", script(""), ":8: ", "one line without control characters"),
        ("[scripts]\ntriggers = [\"interest\"]\n", script(""), ":8: ", "a directive and a name"),
        ("[scripts]\npostints = \"postinst\"\n", script(""), ":8: ", "did you mean `postinst`?"),
        ("[systemd]\nunits = [\"none.service\"]\n", script(""), ":8: ", "none.service; create it or correct the path"),
        (
            "[systemd]\nunits = [\"sysusers\"]\n",
            script(""),
            ":8: ",
            "src/sysusers: \"sysusers\" is not the name of a unit",
        ),
        (
            "[systemd]\nunits = [\n\"hi.service\",\n{ source = \"hi.timer\", onupgrade = \"stop\" }]\n",
            script(""),
            ":10: ",
            "did you mean `on-upgrade`?",
        ),
        (
            "[systemd]\nunits = [{ source = \"hi.timer\", on-upgrade = \"reload\" }]\n",
            script(""),
            ":8: ",
            "unknown variant `reload`, expected one of `restart`, `stop`, `keep`",
        ),
        (
            "[systemd]\nunits = [{ source = \"hi@.service\", enable = true }]\n",
            script(""),
            ":8: ",
            "hi@.service: it is a template",
        ),
        ("[systemd]\nunits = [\"hi.service\", \"hi.service\"]\n", script(""), ":8: ", "would be packed twice"),
        ("[systemd]\nsysusers = \"tmpfiles\"\n", script(""), ":8: ", "tmpfiles:1: \"d\" is not a type of line"),
        ("[systemd]\ntmpfiles = \"..\"\n", script(""), ":8: ", "leaves the folder"),
    ];
    for (tables, (path, text), line, expected) in cases {
        let scratch = Scratch::new();
        service_files(&scratch);
        scratch.write("src/debfleet.toml", &(MANIFEST.to_owned() + tables));
        scratch.write(path, text);
        let (source, out) = (scratch.text("src"), scratch.text("out"));
        let line = format!("src/debfleet.toml{line}");
        run(&mut debfleet(&["build", &source, "--out", &out])).fails(1, &[&line, expected]);
        assert!(!scratch.path("out").exists(), "the folder for the output was made");
    }
}
