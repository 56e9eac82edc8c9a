//! The updates that a campaign disturbs.

use crate::package::Source;

/// An update, and the device it is made on.
pub(super) struct Case {
    /// As `--case` names it.
    pub(super) name: &'static str,
    /// Published and installed one after the other before the picture of the old tree is taken.
    before: fn() -> Vec<Source>,
    /// Published then.
    offered: fn() -> Vec<Source>,
    /// What the owner did to the device meanwhile, as a shell command.
    pub(super) owner: &'static str,
    /// Lines of the updater's configuration.
    pub(super) settings: &'static str,
    /// The updater's arguments.
    pub(super) command: &'static [&'static str],
    /// Whether the device ends on the new tree when nothing disturbs it.
    pub(super) commits: bool,
    /// Whether the disk is full as soon as dpkg unpacks.
    pub(super) fills_disk: bool,
}

impl Case {
    pub(super) fn before(&self) -> Vec<Source> {
        (self.before)()
    }

    pub(super) fn offered(&self) -> Vec<Source> {
        (self.offered)()
    }
}

const INSTALL: &[&str] = &["install"];

/// An upgrade of hi that nothing disturbs.
const UPGRADE: Case = Case {
    name: "upgrade",
    before: || vec![old()],
    offered: || vec![new()],
    owner: "true",
    settings: "",
    command: INSTALL,
    commits: true,
    fills_disk: false,
};

/// All of them.
pub(super) const CASES: &[Case] = &[
    UPGRADE,
    Case {
        name: "downgrade",
        before: || vec![old(), new()],
        offered: Vec::new,
        command: &["install", "hi=0.1.0-1", "--allow-downgrade"],
        ..UPGRADE
    },
    Case { name: "first-installation", before: Vec::new, offered: || vec![new()], ..UPGRADE },
    Case {
        name: "rollback-by-hand",
        before: || vec![old(), new()],
        offered: Vec::new,
        command: &["rollback"],
        ..UPGRADE
    },
    Case {
        name: "failing-preinst",
        offered: || vec![new().with_lines("scripts/preinst", FAIL)],
        commits: false,
        ..UPGRADE
    },
    Case {
        name: "failing-postinst",
        offered: || vec![new().with_lines("scripts/postinst", FAIL)],
        commits: false,
        ..UPGRADE
    },
    // dpkg asks the new one then, which has nothing against it.
    Case { name: "failing-prerm-of-old", before: || vec![old().with_lines("scripts/prerm", FAIL)], ..UPGRADE },
    Case {
        name: "failing-prerm-of-both",
        before: || vec![old().with_lines("scripts/prerm", FAIL)],
        offered: || vec![new().with_lines("scripts/prerm", FAIL)],
        commits: false,
        ..UPGRADE
    },
    Case {
        name: "failing-postrm-of-both",
        before: || vec![old().with_lines("scripts/postrm", FAIL)],
        offered: || vec![new().with_lines("scripts/postrm", FAIL)],
        commits: false,
        ..UPGRADE
    },
    Case {
        name: "failing-health",
        offered: || {
            vec![new().with_text("debfleet.toml", "'\"$DPKG_ROOT/opt/hi/hi\"'", "'false'").with_text(
                "debfleet.toml",
                "attempts = 2",
                "attempts = 1",
            )]
        },
        commits: false,
        ..UPGRADE
    },
    Case {
        name: "hanging-script",
        offered: || vec![new().with_lines("scripts/postinst", "\nexec sleep 100000\n")],
        settings: "install-timeout = 2\n",
        commits: false,
        ..UPGRADE
    },
    Case {
        name: "changed-conffile",
        before: || vec![with_conffile(old(), "0.1.0")],
        offered: || vec![with_conffile(new(), "0.2.0")],
        owner: "echo edited by the owner > /etc/hi.conf",
        ..UPGRADE
    },
    Case { name: "full-disk-in-unpack", commits: false, fills_disk: true, ..UPGRADE },
    Case {
        name: "new-dependency",
        offered: || vec![renamed(old(), "ha"), with_field(new(), "depends = [\"ha\"]")],
        ..UPGRADE
    },
    Case {
        name: "failing-dependency",
        offered: || {
            vec![renamed(old(), "ha").with_lines("scripts/postinst", FAIL), with_field(new(), "depends = [\"ha\"]")]
        },
        commits: false,
        ..UPGRADE
    },
    Case {
        name: "replaced-package",
        offered: || {
            vec![with_field(renamed(new(), "ha"), "conflicts = [\"hi\"]\nreplaces = [\"hi\"]\nprovides = [\"hi\"]")]
        },
        command: &["install", "ha"],
        ..UPGRADE
    },
    Case {
        name: "set-of-three",
        before: || vec![old(), renamed(old(), "ha"), renamed(old(), "ho")],
        offered: || vec![new(), renamed(new(), "ha"), renamed(new(), "ho").with_lines("scripts/postinst", FAIL)],
        command: &["install", "hi", "ha", "ho"],
        commits: false,
        ..UPGRADE
    },
];

/// Their names, for messages.
pub(super) fn names() -> String {
    CASES.iter().map(|case| case.name).collect::<Vec<_>>().join(", ")
}

const FAIL: &str = "\necho the disk is on fire >&2\nexit 7\n";

/// What a script does with the package's data. It leaves the same whether another one was cut off before it or not,
/// so that dpkg's ways around a failing script lead to the same tree.
const STEP: &str = "#!/bin/sh\nset -e\nmkdir -p /var/lib/hi\necho \"$0 $*\" > /var/lib/hi/step\nrm /var/lib/hi/step\n";

/// hi 0.1.0, with files enough to be cut off between.
fn old() -> Source {
    let folder = "[[files]]\nsource = \"data\"\ndestination = \"/opt/hi/data\"\n\n[scripts]";
    let source = Source::hi().with_text("debfleet.toml", "[scripts]", folder);
    let source = source.with_text("debfleet.toml", "\"/var/log/hi.log\"", "\"/var/lib/hi\"");
    let source = ["preinst", "postinst", "prerm", "postrm"]
        .iter()
        .fold(source, |source, script| source.with_file(&format!("scripts/{script}"), STEP));
    let source = source.with_lines("scripts/postinst", "cp /opt/hi/__VERSION__ /var/lib/hi/configured\n");
    std::fs::create_dir(source.path().join("data")).expect("a folder for the data");
    (1..=5).fold(source, |source, number| {
        source.with_file(&format!("data/{number}"), &format!("the data {number} of the old version\n").repeat(100))
    })
}

/// hi 0.2.0: one file changed, one went, one came.
fn new() -> Source {
    let source = old().bumped("0.2.0");
    std::fs::remove_file(source.path().join("data/2")).expect("the file was there");
    source.with_file("data/1", &"changed in the new version\n".repeat(100)).with_file("data/6", "new\n")
}

fn renamed(source: Source, name: &str) -> Source {
    let (named, folder) = (format!("\nname = \"{name}\""), format!("/opt/{name}/"));
    let source = source.with_text("debfleet.toml", "\nname = \"hi\"", &named);
    let source = source.with_text("scripts/postinst", "/opt/hi/", &folder);
    source.with_text("debfleet.toml", "/opt/hi/", &folder)
}

fn with_field(source: Source, field: &str) -> Source {
    source.with_text("debfleet.toml", "license = ", &format!("{field}\nlicense = "))
}

fn with_conffile(source: Source, version: &str) -> Source {
    let conffile = "\n[[files]]\nsource = \"hi.conf\"\ndestination = \"/etc/hi.conf\"\nconffile = true\n";
    source.with_file("hi.conf", &format!("written by {version}\n")).with_lines("debfleet.toml", conffile)
}
