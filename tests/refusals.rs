//! What must be refused, by apt and by the updater alike, and accepted again once it is mended.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::hostile::Fault;
use end_to_end::{DebianRoot, Device, Ended, HostileServer, PackageKey, RepositoryCopy, Server, Source, Tree};

/// A repository that can be damaged, served to an apt and to an updater which both have hi 0.1.0 and see 0.2.0.
struct Bench {
    server: Server,
    copy: RepositoryCopy,
    hostile: HostileServer,
    apt: DebianRoot,
    device: Device,
}

impl Bench {
    fn new() -> Self {
        let key = PackageKey::new();
        let server = Server::start(&key);
        let hi = Source::hi();
        server.publish(&hi.build(&key));
        let copy = RepositoryCopy::of(&server);
        let hostile = HostileServer::serve(copy.path());
        let apt = DebianRoot::new();
        apt.write("etc/apt/keyrings/fleet.gpg", &server.get("/debian/repository.gpg"));
        let source = format!("deb [signed-by=/etc/apt/keyrings/fleet.gpg] {}/debian stable main\n", hostile.url());
        apt.write("etc/apt/sources.list.d/fleet.list", source.as_bytes());
        let device = Device::new(hostile.url(), &key);
        let bench = Self { server, copy, hostile, apt, device };
        bench.update().success();
        bench.apt.shell("apt-get install -y hi").success();
        bench.device.install();
        bench.server.publish(&hi.bumped("minor").build(&key));
        bench.copy.refresh(&bench.server);
        bench
    }

    fn update(&self) -> Ended {
        self.apt.shell("apt-get update -o APT::Update::Error-Mode=any -o Acquire::Retries=0")
    }

    /// Both refuse the index and say this; nothing of it is kept and nothing is installed.
    #[track_caller]
    fn assert_index_refused(&self, word: &str) {
        let lists =
            || self.apt.shell("cd /var/lib/apt/lists && cat *_InRelease *_Packages* 2>/dev/null | sha256sum").success();
        let before = lists();
        assert_eq!(self.update().code, 100, "apt must refuse the index");
        assert_eq!(lists(), before, "apt keeps what it had");
        self.device.updater(&["install"]).fails(1, word);
        assert!(self.device.failure().contains(word), "status says why: {}", self.device.failure());
        assert_eq!(self.device.says(), "Hello Deb! Version 0.1.0");
    }

    /// Both refuse the package and say this.
    #[track_caller]
    fn assert_package_refused(&self, word: &str) {
        self.update().success();
        assert_eq!(self.apt.shell("apt-get upgrade -y -o Acquire::Retries=0").code, 100, "apt must refuse the package");
        self.device.updater(&["install"]).fails(1, word);
        assert!(self.device.failure().contains(word), "status says why: {}", self.device.failure());
        assert_eq!(self.device.state(), "abandoned");
        assert_eq!(self.device.says(), "Hello Deb! Version 0.1.0");
    }

    /// With the damage mended, both take the update.
    #[track_caller]
    fn assert_accepted_once_mended(&self) {
        self.copy.refresh(&self.server);
        self.hostile.mend();
        self.update().success();
        self.apt.shell("apt-get upgrade -y").success();
        assert_eq!(self.apt.shell("/opt/hi/hi").success(), "Hello Deb! Version 0.2.0\n");
        self.device.install();
        assert_eq!(self.device.says(), "Hello Deb! Version 0.2.0");
    }
}

#[test]
fn release_signed_by_a_stranger() {
    let bench = Bench::new();
    bench.copy.resign(&PackageKey::new().secret(), |release| release);
    bench.assert_index_refused("not among the trusted keys");
    bench.assert_accepted_once_mended();
}

#[test]
fn release_tampered_with() {
    let bench = Bench::new();
    let tamper = |bytes: Vec<u8>| {
        String::from_utf8(bytes).unwrap().replace("Components: main", "Components: evil main").into_bytes()
    };
    bench.copy.change_all("stable/InRelease", tamper);
    bench.copy.change_all("stable/Release", tamper);
    bench.assert_index_refused("changed after it was signed");
    bench.assert_accepted_once_mended();
}

#[test]
fn release_without_a_signature() {
    let bench = Bench::new();
    let release = bench.copy.read("/debian/dists/stable/Release");
    bench.copy.write("/debian/dists/stable/InRelease", &release);
    bench.copy.write("/debian/dists/stable/Release.gpg", b"");
    bench.assert_index_refused("no readable signature");
    bench.assert_accepted_once_mended();
}

#[test]
fn release_expired() {
    let bench = Bench::new();
    bench.copy.resign(&bench.server.repository_key(), |release| {
        replace_field(&release, "Valid-Until", "Thu, 01 Jan 2026 00:00:00 UTC")
    });
    bench.assert_index_refused("expired");
    bench.assert_accepted_once_mended();
}

/// apt keeps what it has and says nothing; the updater must notice by itself.
#[test]
fn release_played_back() {
    let bench = Bench::new();
    let seen = bench.copy.read("/debian/dists/stable/InRelease");
    bench.device.updater(&["check"]).success();
    bench.copy.resign(&bench.server.repository_key(), |release| {
        replace_field(&release, "Date", "Thu, 01 Jan 2026 00:00:00 UTC")
    });
    bench.device.updater(&["install"]).fails(1, "played back");
    assert!(bench.device.failure().contains("played back"), "status says why: {}", bench.device.failure());
    assert_eq!(bench.device.says(), "Hello Deb! Version 0.1.0");
    bench.copy.write("/debian/dists/stable/InRelease", &seen);
    bench.device.install();
}

#[test]
fn index_tampered_with() {
    let bench = Bench::new();
    let flip = |mut bytes: Vec<u8>| {
        let middle = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(middle) {
            *byte ^= 1;
        }
        bytes
    };
    bench.copy.change_all("binary-amd64/", flip);
    bench.assert_index_refused("not what the signed Release says");
    bench.assert_accepted_once_mended();
}

#[test]
fn index_without_end() {
    let bench = Bench::new();
    bench.hostile.fault("InRelease", Fault::Endless);
    bench.device.updater(&["install"]).fails(1, "more than");
    bench.assert_accepted_once_mended();
}

#[test]
fn package_truncated() {
    let bench = Bench::new();
    bench.copy.change_all("hi_0.2.0-1_all.deb", |bytes| bytes[..bytes.len() - 100].to_vec());
    bench.assert_package_refused("ended after");
    bench.assert_accepted_once_mended();
}

#[test]
fn package_with_other_bytes_of_the_same_length() {
    let bench = Bench::new();
    bench.copy.change_all("hi_0.2.0-1_all.deb", |mut bytes| {
        let last = bytes.len() - 200;
        bytes[last] ^= 1;
        bytes
    });
    bench.assert_package_refused("SHA-256");
    bench.assert_accepted_once_mended();
}

#[test]
fn package_without_end() {
    let bench = Bench::new();
    bench.hostile.fault("hi_0.2.0-1_all.deb", Fault::Endless);
    bench.device.updater(&["install"]).fails(1, "more than");
    bench.assert_accepted_once_mended();
}

/// It takes the minute that the updater gives a server.
#[test]
fn package_that_drips() {
    let thief = Thief::new();
    thief.server.publish(&thief.next.build(&thief.key));
    thief.copy.refresh(&thief.server);
    thief.hostile.fault(".deb", Fault::Dripping);
    thief.device.updater(&["install"]).fails(1, "the server sends too slowly");
    assert!(thief.device.failure().contains("too slowly"), "status says why: {}", thief.device.failure());
    thief.hostile.mend();
    thief.device.install();
    assert_eq!(thief.device.says(), "Hello Deb! Version 0.2.0");
}

/// The repository's own signature is not enough: a server that is broken into cannot install anything.
#[test]
fn package_signed_by_a_key_that_the_device_does_not_trust() {
    let bench = Bench::new();
    bench.device.trust_packages_of(&PackageKey::new());
    bench.device.updater(&["install"]).fails(1, "not among the trusted keys");
    assert_eq!(bench.device.says(), "Hello Deb! Version 0.1.0");
}

/// A device on hi 0.1.0, and a thief who has the repository's key and, where it says so, the package key.
struct Thief {
    key: PackageKey,
    server: Server,
    copy: RepositoryCopy,
    hostile: HostileServer,
    device: Device,
    old: std::path::PathBuf,
    _hi: Source,
    next: Source,
}

impl Thief {
    fn new() -> Self {
        let key = PackageKey::new();
        let server = Server::start(&key);
        let hi = Source::hi();
        let old = hi.build(&key);
        server.publish(&old);
        let copy = RepositoryCopy::of(&server);
        let hostile = HostileServer::serve(copy.path());
        let device = Device::new(hostile.url(), &key);
        device.install();
        Self { key, server, copy, hostile, device, old, _hi: hi, next: Source::hi().bumped("0.2.0") }
    }

    /// Offers a package in a well-signed index; the device refuses it and says this.
    #[track_caller]
    fn is_refused(&self, package: &std::path::Path, word: &str) {
        self.copy.offer(&self.server.repository_key(), package);
        self.device.updater(&["install"]).fails(1, word);
        assert!(self.device.failure().contains(word), "status says why: {}", self.device.failure());
        assert_eq!(self.device.state(), "abandoned");
        assert_eq!(self.device.says(), "Hello Deb! Version 0.1.0");
    }

    fn trick(&self, trick: &str) -> std::path::PathBuf {
        RepositoryCopy::hostile_deb(&self.next.build(&self.key), trick, &self.key.secret())
    }
}

#[test]
fn package_whose_hash_is_right_and_whose_signature_is_not() {
    let thief = Thief::new();
    thief.is_refused(&thief.trick("no-signature"), "carries no origin signature");
    let of_another = format!("signature-of:{}", thief.old.display());
    thief.is_refused(&thief.trick(&of_another), "changed after it was signed");
    let stranger = PackageKey::new();
    let strange = RepositoryCopy::hostile_deb(&thief.next.build(&thief.key), "none", &stranger.secret());
    thief.is_refused(&strange, "not among the trusted keys");
    // The same way with nothing wrong in it is taken: it is the trick that was refused.
    thief.copy.offer(&thief.server.repository_key(), &thief.trick("none"));
    thief.device.install();
    assert_eq!(thief.device.says(), "Hello Deb! Version 0.2.0");
}

/// Even with the package key, a .deb writes nowhere but where its list says.
#[test]
fn package_with_tricks_in_its_tar() {
    let thief = Thief::new();
    let before = Tree::of(&thief.device.root.path());
    for (trick, word) in [
        ("symlink-out", "would be written through"),
        ("hardlink-out", "leaves the package through `..`"),
        ("hardlink-to-the-system", "which is no file of the package before it"),
        ("hardlink-through-a-symlink", "which is no file of the package before it"),
        ("absolute", "is absolute"),
        ("dot-dot", "leaves the package through `..`"),
        ("device", "is of kind '3'"),
        ("sparse", "is of kind 'S'"),
        ("twice", "stands in it twice"),
        ("terabyte", "is not an octal number"),
        ("gigabytes", "truncated"),
    ] {
        thief.is_refused(&thief.trick(trick), word);
    }
    before.assert_same(&Tree::of(&thief.device.root.path()));
}

#[test]
fn package_that_brings_a_setuid_program_as_a_surprise() {
    let thief = Thief::new();
    thief.is_refused(&thief.trick("setgid"), "/opt/hi/join-root would be setuid or setgid");
    let surprise = thief.trick("setuid");
    thief.is_refused(&surprise, "/opt/hi/become-root would be setuid or setgid");
    thief.device.configure(thief.hostile.url(), "allow-setuid = [\"hi\"]\n");
    thief.device.install();
    assert_eq!(thief.device.says(), "Hello Deb! Version 0.2.0");
    // What the device has already is no surprise.
    thief.device.configure(thief.hostile.url(), "");
    let next = Source::hi().bumped("0.3.0");
    let again = RepositoryCopy::hostile_deb(&next.build(&thief.key), "setuid", &thief.key.secret());
    thief.copy.offer(&thief.server.repository_key(), &again);
    thief.device.install();
    assert_eq!(thief.device.says(), "Hello Deb! Version 0.3.0");
}

/// An index of the same suite and key, and not the one that the Release names.
#[test]
fn index_of_an_earlier_release() {
    let thief = Thief::new();
    let plain = "/debian/dists/stable/main/binary-amd64/Packages";
    let earlier = ["", ".xz", ".gz"].map(|ending| thief.copy.read(&format!("{plain}{ending}")));
    thief.server.publish(&thief.next.build(&thief.key));
    thief.copy.refresh(&thief.server);
    let release = String::from_utf8(thief.copy.read("/debian/dists/stable/Release")).unwrap();
    for (ending, earlier) in ["", ".xz", ".gz"].iter().zip(&earlier) {
        let listed = format!("main/binary-amd64/Packages{ending}");
        let line = release.lines().find(|line| line.split_whitespace().nth(2) == Some(&listed)).unwrap();
        let digest = line.split_whitespace().next().unwrap();
        thief.copy.write(&format!("/debian/dists/stable/main/binary-amd64/by-hash/SHA256/{digest}"), earlier);
    }
    let word = "not what the signed Release says";
    thief.device.updater(&["install"]).fails(1, word);
    assert!(thief.device.failure().contains(word), "status says why: {}", thief.device.failure());
    thief.copy.refresh(&thief.server);
    thief.device.install();
}

#[test]
fn keys_that_were_revoked() {
    let thief = Thief::new();
    thief.server.publish(&thief.next.build(&thief.key));
    thief.copy.refresh(&thief.server);
    let revoked = RepositoryCopy::revoked(&thief.key.secret());
    thief.device.trust_packages_by(&revoked);
    thief.device.updater(&["install"]).fails(1, "it was revoked");
    assert!(thief.device.failure().contains("it was revoked"), "status says why: {}", thief.device.failure());
    thief.device.trust_packages_of(&thief.key);
    thief.device.install();

    thief.server.publish(&Source::hi().bumped("0.3.0").build(&thief.key));
    thief.copy.refresh(&thief.server);
    thief.device.trust_releases_by(&RepositoryCopy::revoked(&thief.server.repository_key()));
    thief.device.updater(&["install"]).fails(1, "it was revoked");
    assert!(thief.device.failure().contains("it was revoked"), "status says why: {}", thief.device.failure());
    assert_eq!(thief.device.says(), "Hello Deb! Version 0.2.0");
}

#[test]
fn the_server_takes_no_package_of_a_stranger_nor_an_unsigned_or_changed_one() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    let before = server.get("/debian/dists/stable/InRelease");
    let hi = Source::hi();
    server.try_publish(&hi.build(&PackageKey::new())).fails(1, "not among the trusted keys");

    let unsigned = hi.try_build(None).success();
    let unsigned = std::path::PathBuf::from(unsigned.lines().last().unwrap());
    server.try_publish(&unsigned).fails(1, "sign");

    let good = hi.build(&key);
    let mut bytes = std::fs::read(&good).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let changed = good.with_file_name("changed.deb");
    end_to_end::debian_root::put(&changed, &bytes);
    assert_eq!(server.try_publish(&changed).code, 1);

    assert_eq!(server.get("/debian/dists/stable/InRelease"), before, "a refused package changes nothing");
    server.publish(&good);
}

fn replace_field(release: &str, field: &str, value: &str) -> String {
    let line = |line: &str| {
        if line.starts_with(&format!("{field}: ")) { format!("{field}: {value}\n") } else { format!("{line}\n") }
    };
    release.lines().map(line).collect()
}
