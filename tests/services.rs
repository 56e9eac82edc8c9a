//! What the generated parts of maintainer scripts do in a real Debian root, where systemd is installed and does not
//! run: the links by which units start at boot, users, folders, and what is asked of systemd if it ran.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::{DebianRoot, PackageKey, Source, Tree};

const MANIFEST: &str = r#"
[package]
name = "hi"
version = "0.1.0"
maintainer = "A <a@example.org>"
description = "says hi"

[systemd]
units = [
    "hi.service",
    "hi.socket",
    { source = "hi-store.service", on-upgrade = "stop" },
    { source = "hi-keep.service", on-upgrade = "keep" },
    { source = "hi-extra.service", enable = false },
    { source = "hi-later.timer", start = false },
    "hi@.service",
]
sysusers = "sysusers"
tmpfiles = "tmpfiles"
"#;
const INSTALL: &str = "[Install]\nWantedBy=multi-user.target\n";
const WANTS: &str = "etc/systemd/system/multi-user.target.wants";

fn hi() -> Source {
    let service = format!("[Service]\nUser=hi\nExecStart=/bin/sleep infinity\n\n{INSTALL}");
    let mut source = Source::hi()
        .with_file("debfleet.toml", MANIFEST)
        .with_file("hi.socket", "[Socket]\nListenStream=/run/hi.socket\n\n[Install]\nWantedBy=sockets.target\n")
        .with_file("hi-later.timer", &format!("[Timer]\nOnCalendar=daily\nUnit=hi@later.service\n\n{INSTALL}"))
        .with_file("sysusers", "u hi - \"Says hi\" /var/lib/hi\n")
        .with_file("tmpfiles", "d /var/lib/hi 0750 hi hi\n");
    for name in ["hi.service", "hi-store.service", "hi-keep.service", "hi-extra.service", "hi@.service"] {
        source = source.with_file(name, &service);
    }
    source
}

/// A root and the means to install versions of a package in it.
struct Bench {
    root: DebianRoot,
    key: PackageKey,
}

impl Bench {
    fn new() -> Self {
        Self { root: DebianRoot::with_systemd(), key: PackageKey::new() }
    }

    /// Brings the package of a source into the root.
    fn bring(&self, source: &Source) {
        self.root.write("tmp/hi.deb", &std::fs::read(source.build(&self.key)).unwrap());
    }

    #[track_caller]
    fn install(&self, source: &Source) {
        self.bring(source);
        self.sh("dpkg -i /tmp/hi.deb");
    }

    #[track_caller]
    fn sh(&self, command: &str) -> String {
        self.root.shell(command).success()
    }

    fn has_link(&self, path: &str) -> bool {
        self.root.path().join(path).symlink_metadata().is_ok()
    }

    /// Lets the scripts believe that systemd runs, and writes down what they ask of it.
    fn record(&self) {
        for program in ["systemctl", "deb-systemd-invoke"] {
            self.sh(&format!("dpkg-divert --quiet --rename --add /usr/bin/{program}"));
            let script = format!(
                "#!/bin/sh\ncase \"$*\" in --root=*) exec /usr/bin/{program}.distrib \"$@\";; esac\n\
                 echo \"{program} $*\" >> /asked\n"
            );
            self.root.write(&format!("usr/bin/{program}"), script.as_bytes());
            self.sh(&format!("chmod 0755 /usr/bin/{program}"));
        }
        self.sh("mkdir -p /run/systemd/system");
    }

    /// What was asked since the last time, one line each, without what deb-systemd-helper asks itself.
    fn asked(&self) -> Vec<String> {
        let asked = self.sh("touch /asked && cat /asked && rm /asked");
        asked.lines().filter(|line| *line != "systemctl daemon-reload").map(str::to_owned).collect()
    }
}

#[test]
fn units_start_at_boot_and_purge_leaves_no_trace() {
    let bench = Bench::new();
    bench.bring(&hi());
    let before = Tree::of(&bench.root.path());
    bench.sh("dpkg -i /tmp/hi.deb");
    for unit in ["hi.service", "hi-store.service", "hi-keep.service", "hi-later.timer"] {
        assert!(bench.has_link(&format!("{WANTS}/{unit}")), "{unit} is not enabled");
    }
    assert!(bench.has_link("etc/systemd/system/sockets.target.wants/hi.socket"));
    assert!(!bench.has_link(&format!("{WANTS}/hi-extra.service")), "`enable = false` was not obeyed");
    assert!(!bench.has_link(&format!("{WANTS}/hi@.service")), "a template was enabled");
    assert_eq!(bench.sh("stat -c '%U:%G %a' /var/lib/hi"), "hi:hi 750\n");
    bench.sh("dpkg -r hi && dpkg -P hi");
    // Users stay, as Debian's packages leave them, and tmpfiles.d only makes things.
    bench.sh("userdel hi; rmdir /var/lib/hi");
    before.lasting().assert_same(&Tree::of(&bench.root.path()).lasting());
}

#[test]
fn what_the_administrator_decided_survives_an_upgrade() {
    let bench = Bench::new();
    bench.install(&hi());
    bench.sh("systemctl disable hi.service && systemctl mask hi-store.service && systemctl enable hi-extra.service");
    // The new version wants to be started by one more target.
    let more = |source: Source, unit: &str| source.with_text(unit, "WantedBy=", "WantedBy=graphical.target ");
    let next = ["hi.service", "hi-keep.service", "hi-extra.service"].into_iter().fold(hi().bumped("minor"), more);
    bench.install(&next);
    let wanted_by_graphical = |unit: &str| bench.has_link(&format!("etc/systemd/system/graphical.target.wants/{unit}"));
    assert!(!bench.has_link(&format!("{WANTS}/hi.service")) && !wanted_by_graphical("hi.service"), "it was disabled");
    assert_eq!(bench.sh("readlink /etc/systemd/system/hi-store.service"), "/dev/null\n");
    assert!(bench.has_link(&format!("{WANTS}/hi-keep.service")) && wanted_by_graphical("hi-keep.service"));
    assert!(bench.has_link(&format!("{WANTS}/hi-extra.service")) && wanted_by_graphical("hi-extra.service"));
    // Removed and installed again, it is as it was.
    bench.sh("dpkg -r hi && dpkg -i /tmp/hi.deb");
    assert!(!bench.has_link(&format!("{WANTS}/hi.service")), "it was disabled");
    assert!(bench.has_link(&format!("{WANTS}/hi-keep.service")));
    bench.sh("dpkg -P hi");
    let left = bench.sh("find /etc/systemd /var/lib/systemd -name 'hi*'");
    assert_eq!(left, "/etc/systemd/system/hi-store.service\n", "only the administrator's own mask stays");
}

#[test]
fn each_step_asks_systemd_for_what_the_manifest_says() {
    let bench = Bench::new();
    bench.record();
    let reload = "systemctl --system daemon-reload";
    let all = "hi.service hi.socket hi-store.service hi-keep.service hi-extra.service hi-later.timer";
    bench.install(&hi());
    let started = "deb-systemd-invoke start hi.service hi.socket hi-store.service hi-keep.service hi-extra.service";
    assert_eq!(bench.asked(), [reload, started]);
    bench.install(&hi().bumped("minor"));
    assert_eq!(
        bench.asked(),
        [
            "deb-systemd-invoke stop hi-store.service",
            reload,
            "deb-systemd-invoke restart hi.service hi.socket hi-extra.service",
            "deb-systemd-invoke try-restart hi-later.timer",
            "deb-systemd-invoke start hi-store.service hi-keep.service",
        ]
    );
    bench.sh("dpkg -r hi");
    assert_eq!(bench.asked(), [&format!("deb-systemd-invoke stop {all}"), reload]);
    bench.sh("dpkg -P hi");
    assert_eq!(bench.asked(), [""; 0]);
}

#[test]
fn for_another_root_nothing_is_started_and_everything_is_enabled() {
    let bench = Bench::new();
    bench.record();
    bench.bring(&hi());
    bench.sh(
        "mkdir -p /other/var/lib/dpkg/info /other/var/lib/dpkg/updates /other/var/lib/dpkg/triggers /other/usr/bin
         cp -a /etc /other && ln -s usr/bin /other/bin && cp /usr/bin/systemctl.distrib /other/usr/bin/systemctl
         touch /other/var/lib/dpkg/status /other/var/lib/dpkg/available
         dpkg --root=/other --force-script-chrootless --force-depends --log=/dev/null -i /tmp/hi.deb",
    );
    assert_eq!(bench.asked(), [""; 0]);
    assert!(bench.has_link(&format!("other/{WANTS}/hi.service")));
    assert!(!bench.has_link(&format!("{WANTS}/hi.service")), "it was enabled on this root");
    assert!(bench.sh("cat /other/etc/passwd").contains("Says hi"));
    assert!(!bench.sh("cat /etc/passwd").contains("Says hi"));
    bench.sh("dpkg --root=/other --force-script-chrootless --log=/dev/null -P hi");
    assert_eq!(bench.asked(), [""; 0]);
    assert!(!bench.has_link(&format!("other/{WANTS}/hi.service")));
}

#[test]
fn a_script_that_dpkg_runs_again_changes_nothing() {
    let bench = Bench::new();
    bench.install(&hi());
    let scripts = bench.root.path().join("tmp/scripts");
    bench.sh("mkdir /tmp/scripts && cp /var/lib/dpkg/info/hi.p* /tmp/scripts");
    assert!(scripts.join("hi.preinst").exists());
    let run = |call: &str| bench.sh(&format!("DPKG_MAINTSCRIPT_PACKAGE=hi /tmp/scripts/hi.{call}"));
    let steps = [
        ["preinst install", "postinst configure"].as_slice(),
        &["preinst upgrade 0.1.0-1", "postinst configure 0.1.0-1"],
        &["prerm upgrade 0.2.0-1", "postinst abort-upgrade 0.2.0-1"],
        &["prerm remove", "postinst abort-remove"],
        &["prerm remove", "postrm remove"],
        &["postrm purge"],
    ];
    for calls in steps {
        for call in calls {
            run(call);
        }
        let once = Tree::of(&bench.root.path()).lasting();
        for call in calls.iter().flat_map(|call| [call, call]) {
            run(call);
        }
        once.assert_same(&Tree::of(&bench.root.path()).lasting());
    }
}

#[test]
fn a_package_of_debhelper_that_masked_its_unit_on_removal_can_be_followed() {
    let bench = Bench::new();
    bench.install(&hi());
    // As debhelper's packages did up to compat level 12.
    bench.sh("dpkg -r hi && DPKG_MAINTSCRIPT_PACKAGE=hi deb-systemd-helper mask hi.service");
    assert_eq!(bench.sh("readlink /etc/systemd/system/hi.service"), "/dev/null\n");
    bench.sh("dpkg -i /tmp/hi.deb");
    assert!(!bench.has_link("etc/systemd/system/hi.service"));
}
