//! Updates on a device with systemd: boots, power cuts, units, and the updater's update of itself.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::network::UPLINK;
use end_to_end::{BootedDevice, DebianRoot, PackageKey, Server, Source, in_own_network, run};
use std::process::Command;

/// A server with hi 0.1.0, and a booted device that has it.
fn device_with_hi() -> (PackageKey, Server, BootedDevice) {
    let key = PackageKey::new();
    let server = Server::start(&key);
    server.publish(&Source::hi().build(&key));
    let device = BootedDevice::new(&server, &key);
    device.shell("debfleet-updater install hi").success();
    (key, server, device)
}

/// hi with a service that runs this shell command.
fn with_service(source: Source, command: &str) -> Source {
    let unit = format!("[Service]\nExecStart=/bin/sh -c '{command}'\n\n[Install]\nWantedBy=multi-user.target\n");
    let source = source.with_file("hi.service", &unit);
    source
        .with_text("debfleet.toml", "[scripts]", "[systemd]\nunits = [\"hi.service\"]\n\n[scripts]")
        .with_lines("scripts/postinst", "\n#DEBHELPER#\n")
        .with_lines("scripts/prerm", "\n#DEBHELPER#\n")
        .with_lines("scripts/postrm", "\n#DEBHELPER#\n")
}

/// The same, and the update must find the service active for three seconds.
fn with_checked_service(source: Source, command: &str) -> Source {
    let check = "[[update.health]]\nunit = \"hi.service\"\nhold = 3\nattempts = 1\n\n[[update.health]]\n";
    with_service(source, command).with_text("debfleet.toml", "[[update.health]]\n", check)
}

/// A script that goes on after it told the test that it was reached.
const REACHED: &str = "\ntouch /root/reached\n";
/// A script that waits for its end, once.
const STOP: &str = "\nif [ ! -e /root/reached ]; then touch /root/reached; exec sleep 100000; fi\n";

/// Starts an installation that will not end by itself, and waits until it has reached its script.
fn install_until_reached(device: &mut BootedDevice) -> std::process::Child {
    let mut install = device.command("debfleet-updater install hi").unwrap();
    let child = install.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    device.wait_until("the script is reached", |device| device.root.path().join("root/reached").exists());
    child
}

#[test]
fn a_service_that_does_not_stay_active_brings_the_old_one_back() {
    let (key, server, device) = device_with_hi();
    server.publish(&with_checked_service(Source::hi().bumped("0.2.0"), "exec sleep infinity").build(&key));
    device.shell("debfleet-updater install hi").success();
    let pid = device.shell("systemctl show -p MainPID hi.service").success();

    let fails = "sleep 1; echo the lamp is broken; exit 3";
    server.publish(&with_checked_service(Source::hi().bumped("0.3.0"), fails).build(&key));
    device.shell("debfleet-updater install hi").fails(3, "was rolled back; the device is at: 0.2.0");
    let failure = device.failure();
    assert!(failure.contains("hi.service") && failure.contains("the lamp is broken"), "{failure}");
    assert_eq!(device.says(), "Hello Deb! Version 0.2.0");
    assert_eq!(device.shell("systemctl is-active hi.service").stdout, "active\n");
    assert_ne!(device.shell("systemctl show -p MainPID hi.service").success(), pid, "the old version was started anew");
    let states = device.shell("journalctl -o cat DEBFLEET_STATE=rolled-back").success();
    assert_eq!(states, "entering the state rolled-back\n");
    let told = device.shell("debfleet-updater explain").success();
    assert!(
        told.contains("rolled back") && told.contains("hi 0.2.0-1 → 0.3.0-1") && told.contains("not tried again"),
        "{told}"
    );
    assert!(device.shell("debfleet-updater history").success().lines().count() == 3);
}

#[test]
fn neither_a_script_that_stops_the_updater_nor_a_kill_leaves_it_in_between() {
    let (key, server, mut device) = device_with_hi();
    let stops = "\nsystemctl stop debfleet-updater\n";
    server.publish(&Source::hi().bumped("0.2.0").with_lines("scripts/postinst", stops).build(&key));
    device.shell("debfleet-updater install hi").success();
    assert_eq!(device.says(), "Hello Deb! Version 0.2.0");

    // Killed outright: systemd starts the recovery, and nothing of the transaction goes on.
    server.publish(&Source::hi().bumped("0.3.0").with_lines("scripts/postinst", STOP).build(&key));
    let mut install = install_until_reached(&mut device);
    device.shell("systemctl kill --kill-who=main -s KILL 'debfleet-updater-transaction*'").success();
    assert_eq!(install.wait().unwrap().code(), Some(3), "whoever waits is told");
    assert_eq!(device.state(), "rolled-back");
    assert_eq!(device.says(), "Hello Deb! Version 0.2.0");
    let sleeping = device.shell("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'sleep 1[0]0000'").stdout;
    assert_eq!(sleeping, "0\n", "the script was ended");
}

#[test]
fn the_service_hands_its_updates_to_a_unit_of_their_own() {
    let (key, server, mut device) = device_with_hi();
    let pid = "systemctl show -p MainPID debfleet-updater";
    device
        .shell("sed -i 's/^packages.*/packages = [\"hi\"]\\npoll-interval = 1/' /etc/debfleet/updater.toml")
        .success();
    device.shell("systemctl restart debfleet-updater").success();
    let before = device.shell(pid).success();
    // Its script notes in which unit it runs.
    let notes = "\ncat /proc/self/cgroup > /root/cgroup\n";
    server.publish(&Source::hi().bumped("0.2.0").with_lines("scripts/postinst", notes).build(&key));
    device.wait_until("it has updated itself", |device| device.says() == "Hello Deb! Version 0.2.0");
    device.wait_for_state("committed");
    let unit = device.shell("cat /root/cgroup").success();
    assert!(unit.contains("debfleet-updater-transaction-"), "{unit}");
    assert_eq!(device.shell(pid).success(), before, "the service went on");
}

#[test]
fn a_power_cut_is_recovered_from_before_services_start() {
    let (key, server, mut device) = device_with_hi();
    let service = "/opt/hi/hi > /root/seen-at-start; exec sleep infinity";
    server.publish(&with_service(Source::hi().bumped("0.2.0"), service).build(&key));
    device.shell("debfleet-updater install hi").success();

    server
        .publish(&with_service(Source::hi().bumped("0.3.0"), service).with_lines("scripts/preinst", STOP).build(&key));
    let mut install = install_until_reached(&mut device);
    device.shell("rm -f /root/seen-at-start").success();
    // The program in its place is gone, too, as if the update had been half of its own.
    device.shell("rm /usr/bin/debfleet-updater").success();
    device.cut();
    install.wait().unwrap();
    device.boot();
    run(Command::new("cp")
        .arg(device.root.path().join("var/lib/debfleet/recovery/debfleet-updater"))
        .arg(device.root.path().join("usr/bin/")))
    .success();
    assert_eq!(device.state(), "rolled-back");
    assert!(device.failure().contains("interrupted while dpkg was at work"), "{}", device.failure());
    assert_eq!(device.shell("cat /root/seen-at-start").success(), "Hello Deb! Version 0.2.0\n");
    assert_eq!(device.shell("systemctl is-active hi.service").stdout, "active\n");
    // An interruption says nothing about the version.
    device.shell("debfleet-updater poll hi").success();
    assert_eq!(device.says(), "Hello Deb! Version 0.3.0");
}

#[test]
fn a_version_that_asks_for_a_boot_is_tried_in_that_boot_and_three_boots_are_enough() {
    let (key, server, mut device) = device_with_hi();
    let reboots = |source: Source| {
        source.with_text("debfleet.toml", "commit-timeout = 60", "commit-timeout = 60\nreboot = \"always\"")
    };
    let boot_id = "cat /proc/sys/kernel/random/boot_id";
    let before = device.shell(boot_id).success();
    server.publish(&reboots(Source::hi().bumped("0.2.0")).build(&key));
    // It ends with the machine.
    let said = device.shell("debfleet-updater install hi").stderr;
    assert!(said.contains("booting, to try the new version"), "{said}");
    device.wait_for_state("committed");
    assert_ne!(device.shell(boot_id).success(), before, "it was tried in another boot");
    assert_eq!(device.says(), "Hello Deb! Version 0.2.0");

    // Its check never ends, and in every boot the power goes.
    let hangs = |source: Source| {
        source.with_text(
            "debfleet.toml",
            "'\"$DPKG_ROOT/opt/hi/hi\"'\ntimeout = 5",
            "'touch /root/reached; sleep 1000'\ntimeout = 1000",
        )
    };
    server.publish(&hangs(reboots(Source::hi().bumped("0.3.0"))).build(&key));
    let _ends_with_the_machine = device.shell("debfleet-updater install hi");
    for _ in 0..3 {
        device.wait_until("the check is reached", |device| device.root.path().join("root/reached").exists());
        std::fs::remove_file(device.root.path().join("root/reached")).unwrap();
        device.cut();
        device.boot();
    }
    assert_eq!(device.state(), "rolled-back");
    assert!(device.failure().contains("was booted 3 times"), "{}", device.failure());
    assert_eq!(device.says(), "Hello Deb! Version 0.2.0");
}

#[test]
fn a_boot_that_hangs_before_the_trial_is_ended_and_three_are_enough() {
    let (key, server, mut device) = device_with_hi();
    let limit = "etc/systemd/system/debfleet-updater-boot-limit.timer.d/short.conf";
    device.root.write(limit, b"[Timer]\nOnActiveSec=\nOnActiveSec=3s\n");
    device.shell("systemctl daemon-reload").success();
    // What the updater waits for never comes.
    let hangs = "[Unit]\nDefaultDependencies=no\nBefore=network-online.target\n[Service]\nType=oneshot\n\
                 ExecStart=/bin/sleep infinity\nTimeoutStartSec=infinity\n[Install]\nWantedBy=network-online.target\n";
    let next = with_service(Source::hi().bumped("0.2.0"), "true")
        .with_file("hi.service", hangs)
        .with_text("debfleet.toml", "[\"hi.service\"]", "[{ source = \"hi.service\", start = false }]")
        .with_text("debfleet.toml", "commit-timeout = 60", "commit-timeout = 60\nreboot = \"always\"");
    server.publish(&next.build(&key));
    let _ends_with_the_machine = device.shell("debfleet-updater install hi");
    device.wait_for_state("rolled-back");
    assert!(device.failure().contains("was booted 3 times"), "{}", device.failure());
    assert_eq!(device.says(), "Hello Deb! Version 0.1.0");
    device.wait_for_boot();
}

#[test]
fn an_update_that_cuts_the_device_off_from_its_server_is_rolled_back() {
    let (key, server, device) = device_with_hi();
    let cuts = "\nsed -i s/updates.test// /etc/hosts\n";
    let source = Source::hi().bumped("0.2.0").with_lines("scripts/postinst", cuts);
    let source = source.with_text("debfleet.toml", "[\"/var/log/hi.log\"]", "[\"/var/log/hi.log\", \"/etc/hosts\"]");
    let source = source.with_text("debfleet.toml", "commit-timeout = 60", "commit-timeout = 8");
    server.publish(&source.build(&key));
    device.shell("debfleet-updater install hi").fails(3, "was rolled back");
    assert!(device.failure().contains("reach the server"), "{}", device.failure());
    assert!(device.shell("cat /etc/hosts").success().contains("updates.test"));
    assert_eq!(device.says(), "Hello Deb! Version 0.1.0");
}

#[test]
fn the_updater_replaces_itself_only_by_one_that_works() {
    let (key, server, device) = device_with_hi();
    let version = "dpkg-query -W -f '${Version}' debfleet-updater";
    server.publish(&Source::updater("0.2.0").build(&key));
    device.shell("debfleet-updater install debfleet-updater").success();
    assert_eq!(device.shell(version).success(), "0.2.0-1");

    let broken = Source::updater("0.3.0").with_file("bin/debfleet-updater", "#!/bin/sh\necho cannot run >&2\nexit 1\n");
    server.publish(&broken.build(&key));
    device.shell("debfleet-updater install debfleet-updater").fails(3, "was rolled back");
    assert!(device.failure().contains("the report of the new debfleet-updater"), "{}", device.failure());
    assert_eq!(device.shell(version).success(), "0.2.0-1");
    assert_eq!(device.shell("systemctl is-active debfleet-updater").stdout, "active\n");
    device.shell("debfleet-updater check").success();
}

#[test]
fn a_person_and_the_installed_version_have_their_say() {
    let (key, server, mut device) = device_with_hi();
    let inhibits = "commit-timeout = 60\ninhibit = \"! test -e /root/busy\"";
    let waits = |source: Source| {
        let source = source.with_text("debfleet.toml", "commit-timeout = 60", inhibits);
        let check = "'test -e /root/never || { touch /root/reached; exit 1; }'\ntimeout = 5";
        source.with_text("debfleet.toml", "'\"$DPKG_ROOT/opt/hi/hi\"'\ntimeout = 5", check).with_text(
            "debfleet.toml",
            "attempts = 2",
            "attempts = 1000",
        )
    };
    // On trial for as long as nobody says a word.
    server.publish(&waits(Source::hi().bumped("0.2.0")).build(&key));
    let mut install = install_until_reached(&mut device);
    device.shell("debfleet-updater commit").success();
    assert_eq!(install.wait().unwrap().code(), Some(0));
    assert_eq!(device.state(), "committed");

    device.shell("touch /root/busy && rm /root/reached").success();
    // On its way as long as nobody says a word.
    let until_asked = format!("{REACHED}until test -e /var/lib/debfleet/wish; do sleep 0.1; done\n");
    server.publish(&waits(Source::hi().bumped("0.3.0")).with_lines("scripts/postinst", &until_asked).build(&key));
    device.shell("debfleet-updater install hi").fails(5, "hi says not now");
    assert_eq!(device.state(), "postponed");

    device.shell("rm /root/busy").success();
    let mut install = install_until_reached(&mut device);
    device.shell("debfleet-updater rollback").success();
    assert_eq!(install.wait().unwrap().code(), Some(3));
    assert_eq!(device.says(), "Hello Deb! Version 0.2.0");
}

/// By the real NetworkManager, which a person tells what the network costs.
#[test]
fn an_update_waits_as_long_as_network_manager_calls_the_network_metered() {
    let made = || drop(DebianRoot::with_network_manager());
    in_own_network("an_update_waits_as_long_as_network_manager_calls_the_network_metered", made, || {
        let key = PackageKey::new();
        let server = Server::start(&key);
        server.publish(&Source::hi().build(&key));
        let mut device = BootedDevice::with_network_manager(&server, &key);
        device.shell("debfleet-updater install hi").success();
        let connection = format!(
            "nmcli connection add type ethernet ifname {UPLINK} con-name {UPLINK} ipv4.method manual \
             ipv4.addresses 10.9.8.7/24 ipv4.gateway 10.9.8.1"
        );
        device.shell(&connection).success();
        let metered = |device: &BootedDevice, is: &str| {
            let modify = format!("nmcli connection modify {UPLINK} connection.metered {is}");
            device.shell(&format!("{modify} && nmcli connection up {UPLINK}")).success();
        };
        metered(&device, "yes");
        let settings = "s/^packages.*/packages = [\"hi\"]\\npoll-interval = 1/";
        device.shell(&format!("sed -i '{settings}' /etc/debfleet/updater.toml")).success();
        device.shell("systemctl restart debfleet-updater").success();
        server.publish(&Source::hi().bumped("0.2.0").build(&key));
        device.wait_until("it waits", |device| {
            device.status()["waiting"] == "hi 0.2.0-1 waits for a network that is not metered"
        });
        assert_eq!(device.says(), "Hello Deb! Version 0.1.0");
        metered(&device, "no");
        device.wait_until("it has updated itself", |device| device.says() == "Hello Deb! Version 0.2.0");
        device.wait_for_state("committed");
    });
}
