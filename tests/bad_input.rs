//! What bad input gets, through the real binaries: a clear error, an exit code other than 0, and nothing changed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::debian_root::put;
use end_to_end::program::binary;
use end_to_end::{Ended, PackageKey, Server, Source, run};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const INRELEASE: &str = "/debian/dists/stable/InRelease";

fn shell(script: &str, arguments: &[&Path]) -> Ended {
    run(Command::new("sh").args(["-ec", script, "sh"]).args(arguments))
}

fn verify(package: &Path, key: &PackageKey) -> Ended {
    run(binary("debfleet").arg("verify").arg(package).arg("--keyring").arg(key.keyring()))
}

/// An ar archive as dpkg-deb writes it.
fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let size = content.len();
        bytes.extend_from_slice(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 100_644).as_bytes());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

/// A folder with a package built by dpkg-deb without compression, its two tars, and gpg's signature over it.
struct Foreign {
    folder: TempDir,
}

impl Foreign {
    /// `control` is added to the control file.
    fn new(key: &PackageKey, control: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = "cd \"$1\"; mkdir -p tree/DEBIAN tree/opt/hi; echo hello > tree/opt/hi/hi
            (printf 'Package: hi\\nVersion: 1\\nArchitecture: all\\nMaintainer: A <a@example.org>\\n'
                cat added; printf 'Description: x\\n') > tree/DEBIAN/control
            printf '#!/bin/sh\\n' > tree/DEBIAN/postinst; chmod 755 tree/DEBIAN/postinst
            dpkg-deb --root-owner-group -Znone --nocheck --build tree hi.deb
            ar p hi.deb control.tar > control.tar; ar p hi.deb data.tar > data.tar
            (echo 2.0; cat control.tar data.tar) > payload
            export GNUPGHOME=\"$1/gpg\"; mkdir -m 700 gpg; gpg --quiet --batch --import \"$2\"
            gpg --quiet --batch --detach-sign payload; gpgconf --kill all";
        put(&folder.path().join("added"), control.as_bytes());
        shell(script, &[folder.path(), &key.secret()]).success();
        Self { folder }
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join(name)).unwrap()
    }

    /// The signed package, the second member ending after so many bytes of both tars.
    fn cut_at(&self, length: usize) -> PathBuf {
        let both = [self.read("control.tar"), self.read("data.tar")].concat();
        let (control, data) = both.split_at(length);
        let signature = self.read("payload.sig");
        let members: [(&str, &[u8]); 4] =
            [("debian-binary", b"2.0\n"), ("control.tar", control), ("data.tar", data), ("_gpgorigin", &signature)];
        let path = self.folder.path().join(format!("cut-at-{length}.deb"));
        put(&path, &archive(&members));
        path
    }

    fn signed(&self) -> PathBuf {
        self.cut_at(self.read("control.tar").len())
    }
}

/// debsigs signs the members' contents one after the other, not where one ends. dpkg reads the package that was cut
/// anew, and finds other files in it.
#[test]
fn package_cut_anew_under_its_signature() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    let foreign = Foreign::new(&key, "");
    verify(&foreign.signed(), &key).success();
    let before = server.get(INRELEASE);

    let postinst = foreign.read("control.tar").windows(10).position(|window| window == b"./postinst").unwrap();
    let cut = foreign.cut_at(postinst);
    let contents = run(Command::new("dpkg-deb").arg("--contents").arg(&cut)).success();
    assert!(contents.contains("./postinst") && !contents.contains("./opt/hi/hi"), "{contents}");
    verify(&cut, &key).fails(1, "truncated");
    server.try_publish(&cut).fails(1, "truncated");
    assert_eq!(server.get(INRELEASE), before);
    server.publish(&foreign.signed());
}

/// `dpkg-deb --nocheck` builds it, and apt would then refuse the whole index that it stands in.
#[test]
fn package_with_fields_that_apt_cannot_read() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    let before = server.get(INRELEASE);
    let long = format!("X-Long: {}\n", "a".repeat(600_000));
    for (fields, word) in [
        ("Depends: ho, ,\n", "Depends"),
        ("Provides: ho hu\n", "Provides"),
        ("Status: install ok installed\n", "Status"),
        (&long, "longer than"),
    ] {
        let foreign = Foreign::new(&key, fields);
        verify(&foreign.signed(), &key).fails(1, word);
        server.try_publish(&foreign.signed()).fails(1, word);
    }
    assert_eq!(server.get(INRELEASE), before);

    let source = Source::hi().with_text("debfleet.toml", "[package]", "[package]\ndepends = \"libc6 (> 2\"");
    source.try_build(Some(&key.secret())).fails(1, "debfleet.toml");
    assert!(!source.path().join("out").exists());
}

#[test]
fn the_same_version_with_other_content() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    let hi = Source::hi();
    server.publish(&hi.build(&key));
    let before = server.get(INRELEASE);
    let other = Source::hi().with_lines("hi", "# another line\n");
    server.try_publish(&other.build(&key)).fails(1, "raise the version and publish again");
    assert_eq!(server.get(INRELEASE), before);
    server.publish(&hi.build(&key));
    assert_eq!(server.get(INRELEASE), before, "the same content again is no change");
}

/// As any HTTP client may ask.
#[test]
fn requests_that_no_client_of_ours_sends() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    let hi = Source::hi();
    let package = hi.build(&key);
    let before = server.get(INRELEASE);
    let post = |path: &str, more: &[&str]| {
        let url = format!("{}{path}", server.url());
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--path-as-is", "-w", " status %{http_code}", "-X", "POST", "--data-binary"]);
        curl.arg(format!("@{}", package.display())).args(more).arg(url);
        run(&mut curl).success()
    };
    let packages = "/api/v1/suites/stable/packages";
    let wrong = ["-H", "Authorization: Bearer dft_0000"];
    for (path, more, words) in [
        (packages, &[][..], ["no token was sent", "status 401"]),
        (packages, &wrong, ["does not know the token", "status 401"]),
        (packages, &["-H", "Authorization: Basic eDp5"], ["no token was sent", "status 401"]),
        ("/api/v1/suites/beta/packages", &wrong, ["does not know the token", "status 401"]),
        ("/api/v1/suites/..%2fstable/packages", &[], ["no token was sent", "status 401"]),
        ("/debian/dists/stable/InRelease", &[], ["names those it takes", "status 405"]),
        ("//api/v1/suites/stable/packages", &[], ["nothing at this address", "status 404"]),
    ] {
        let answer = post(path, more);
        assert!(words.iter().all(|word| answer.contains(word)), "{path} {more:?}: {answer}");
    }
    for path in ["/debian/..%2fkeys/repository.key", "/debian/pool/..%2f..%2fdebfleet.db", "/debian/%2e%2e/debfleet.db"]
    {
        let url = format!("{}{path}", server.url());
        let answer =
            run(Command::new("curl").args(["-sS", "--path-as-is", "-w", " status %{http_code}", &url])).success();
        assert!(answer.ends_with("status 404"), "{path}: {answer}");
    }
    assert_eq!(server.get(INRELEASE), before);
    server.publish(&package);
}

#[test]
fn a_port_in_use() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    let other = tempfile::tempdir().unwrap();
    let data = other.path().join("data");
    let init =
        || run(binary("debfleet-server").arg("init").arg("--data").arg(&data).arg("--package-key").arg(key.keyring()));
    init().success();
    let address = server.url().trim_start_matches("http://");
    run(binary("debfleet-server").arg("--data").arg(&data).args(["--http", address]))
        .fails(1, "another program uses the port")
        .fails(1, address);
    init().fails(1, "already initialised");
}

/// A file system of a few megabytes, gone with the test.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"]).arg(folder.path())).success();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn fill(&self) {
        let filled = shell("cat /dev/zero > \"$1\"", &[&self.path("filler")]);
        assert_ne!(filled.code, 0, "the disk must become full");
    }

    fn empty(&self) {
        shell("rm \"$1\"", &[&self.path("filler")]).success();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run(Command::new("umount").args(["--lazy"]).arg(self.folder.path()));
    }
}

struct Serving(Child, String);

impl Serving {
    fn start(data: &Path) -> Self {
        let command = &mut binary("debfleet-server");
        command.arg("--data").arg(data).args(["--http", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self(child, line.trim().trim_start_matches("listening on ").to_owned())
    }

    fn publish(&self, package: &Path, token: &str) -> Ended {
        self.debfleet(&["publish", package.to_str().unwrap(), "--suite", "stable"], token)
    }

    fn debfleet(&self, arguments: &[&str], token: &str) -> Ended {
        let command = &mut binary("debfleet");
        run(command.args(arguments).args(["--server", &self.1]).env("DEBFLEET_TOKEN", token))
    }

    fn inrelease(&self) -> Vec<u8> {
        end_to_end::server::get(&format!("{}{INRELEASE}", self.1))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_full_disk_below_the_server() {
    let (key, disk) = (PackageKey::new(), SmallDisk::new());
    let data = disk.path("data");
    let init =
        || run(binary("debfleet-server").arg("init").arg("--data").arg(&data).arg("--package-key").arg(key.keyring()));
    disk.fill();
    init().fails(1, "No space left");
    disk.empty();
    let printed = init().success();
    let token = printed.lines().find_map(|line| line.trim().strip_prefix("admin token: ")).unwrap();
    let server = Serving::start(&data);
    let hi = Source::hi();
    server.publish(&hi.build(&key), token).success();
    let before = server.inrelease();

    let hi = hi.bumped("minor");
    let package = hi.build(&key);
    disk.fill();
    let refusal = "the server's disk is full, and nothing was changed";
    server.publish(&package, token).fails(1, refusal);
    server.debfleet(&["suite", "access", "stable", "devices"], token).fails(1, refusal);
    server.debfleet(&["token", "create", "ci", "--role", "viewer"], token).fails(1, refusal);
    assert_eq!(server.inrelease(), before);
    drop(server);
    let server = Serving::start(&data);
    assert_eq!(server.inrelease(), before, "also after a start on the full disk");
    disk.empty();
    server.publish(&package, token).success();
    assert_ne!(server.inrelease(), before);
}

#[test]
fn a_full_disk_below_the_commands() {
    let (key, disk) = (PackageKey::new(), SmallDisk::new());
    let source = disk.path("src");
    shell("cp -r \"$1\" \"$2\"", &[Source::hi().path(), &source]).success();
    disk.fill();
    let before = std::fs::read(source.join("debfleet.toml")).unwrap();
    run(binary("debfleet").args(["bump", "minor"]).arg(&source)).fails(1, "No space left");
    assert_eq!(std::fs::read(source.join("debfleet.toml")).unwrap(), before);
    assert_eq!(std::fs::read_to_string(source.join("__VERSION__")).unwrap(), "0.1.0\n");

    let build = &mut binary("debfleet");
    build.arg("build").arg(&source).arg("--out").arg(disk.path("out")).arg("--key").arg(key.secret());
    run(build).fails(1, "is full; nothing was left there");
    let new_key = &mut binary("debfleet");
    run(new_key.args(["key", "new", "package", "--out"]).arg(disk.path("keys"))).fails(1, "No space left");
    for folder in ["out", "keys"] {
        let left = disk.path(folder).read_dir().map_or(0, Iterator::count);
        assert_eq!(left, 0, "{folder}");
    }
}
