//! Where packages are taken from: apt's cache, a proxy, a folder without any network; and where a token does not go.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::debian_root::put;
use end_to_end::hostile::Fault;
use end_to_end::{Device, HostileServer, PackageKey, RepositoryCopy, Server, Source, run};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A repository with hi 0.1.0, as a server that counts requests and as files.
struct Bench {
    key: PackageKey,
    server: Server,
    copy: RepositoryCopy,
    hostile: HostileServer,
    package: PathBuf,
    _source: Source,
}

/// The package in the pool.
const POOL: &str = "/debian/pool/main/h/hi/hi_0.1.0-1_all.deb";

impl Bench {
    fn new() -> Self {
        let key = PackageKey::new();
        let server = Server::start(&key);
        let source = Source::hi();
        let package = source.build(&key);
        server.publish(&package);
        let copy = RepositoryCopy::of(&server);
        let hostile = HostileServer::serve(copy.path());
        Self { key, server, copy, hostile, package, _source: source }
    }

    fn device(&self) -> Device {
        Device::new(self.hostile.url(), &self.key)
    }

    fn downloads(&self) -> usize {
        self.hostile.requests().iter().filter(|request| request.path.ends_with(".deb")).count()
    }
}

#[test]
fn a_package_in_apts_cache_is_not_downloaded_and_checked_all_the_same() {
    let bench = Bench::new();
    let cached = "var/cache/apt/archives/hi_0.1.0-1_all.deb";
    let good = std::fs::read(&bench.package).unwrap();

    // Of the right size, and something else.
    let device = bench.device();
    device.root.write(cached, &vec![0; good.len()]);
    device.install();
    assert_eq!(bench.downloads(), 1);

    // A pipe is not waited for.
    let device = bench.device();
    run(Command::new("mkfifo").arg(device.root.path().join(cached))).success();
    device.install();
    assert_eq!(bench.downloads(), 2);

    let device = bench.device();
    device.root.write(cached, &good);
    device.trust_packages_of(&PackageKey::new());
    device.updater(&["install"]).fails(1, "not among the trusted keys");
    device.trust_packages_of(&bench.key);
    device.install();
    assert_eq!(bench.downloads(), 2, "neither attempt needed a download");
    assert_eq!(device.says(), "Hello Deb! Version 0.1.0");
    assert!(device.root.path().join(cached).exists(), "apt's file stays apt's");
}

/// tinyproxy, which lets only `me` with the password `se-cret` through.
struct Proxy {
    child: Child,
    address: String,
    _folder: TempDir,
}

impl Proxy {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The port is free again before tinyproxy takes it.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = folder.path().join("config");
        put(&config, format!("Port {}\nListen 127.0.0.1\nBasicAuth me se-cret\n", address.port()).as_bytes());
        let mut tinyproxy = Command::new("tinyproxy");
        let mut child = tinyproxy.arg("-d").arg("-c").arg(config).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("Accepting connections")), "tinyproxy is ready");
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.to_string(), _folder: folder }
    }

    fn url(&self, password: &str) -> String {
        format!("http://me:{password}@{}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn requests_go_through_the_proxy_and_its_password_is_told_to_nobody() {
    let bench = Bench::new();
    let device = bench.device();
    let proxy = Proxy::start();
    let through = |password: &str| {
        let extra = format!("proxy = \"{}\"\n", proxy.url(password));
        device.configure(bench.hostile.url(), &extra);
        run(device.command(&["install"]).env("DEBFLEET_LOG", "trace"))
    };
    bench.hostile.forget_requests();
    let refused = through("wr-ong").fails(1, "InRelease");
    assert!(!refused.all().contains("wr-ong") && !refused.all().contains("bWU6"), "{refused}");
    assert!(!device.failure().contains("wr-ong"), "{}", device.failure());
    assert_eq!(bench.hostile.requests().len(), 0, "it did not go around the proxy");
    let done = through("se-cret");
    assert!(!done.all().contains("se-cret"), "{done}");
    done.success();
    assert_eq!(device.says(), "Hello Deb! Version 0.1.0");
    device.configure(bench.hostile.url(), &format!("proxy = {}\n", proxy.url("se-cret")));
    let misspelt = device.updater(&["check"]).fails(1, "proxy");
    assert!(!misspelt.all().contains("se-cret"), "{misspelt}");
}

#[test]
fn the_environments_proxy_is_that_of_the_scheme_but_for_the_hosts_of_no_proxy() {
    let key = PackageKey::new();
    let server = Server::start_https(&key);
    server.publish(&Source::hi().build(&key));
    // A device of the test's own gets its key over plain HTTP.
    let keys = tempfile::tempdir().unwrap();
    std::fs::create_dir(keys.path().join("debian")).unwrap();
    std::fs::copy(server.data().join("repository.gpg"), keys.path().join("debian/repository.gpg")).unwrap();
    let device = Device::new(HostileServer::serve(keys.path()).url(), &key);
    device.configure(server.url(), &format!("ca = \"{}\"\n", server.fleet_ca().display()));
    let nowhere = "http://127.0.0.1:1";
    let check = |settings: &[(&str, &str)]| run(device.command(&["check"]).envs(settings.iter().copied()));
    let proxy = Proxy::start();
    check(&[("https_proxy", nowhere)]).fails(1, "InRelease");
    check(&[("https_proxy", nowhere), ("no_proxy", "example.org,127.0.0.1")]).success();
    check(&[("http_proxy", nowhere), ("https_proxy", &proxy.url("se-cret"))]).success();
    check(&[("HTTPS_PROXY", &proxy.url("wr-ong"))]).fails(1, "InRelease");
    check(&[("http_proxy", nowhere)]).success();
}

#[test]
fn a_token_does_not_follow_a_redirect_elsewhere() {
    let bench = Bench::new();
    let elsewhere = HostileServer::serve(bench.copy.path());
    let device = bench.device();
    device.root.write("token", b"deb-fleet-token");
    let token = format!("token-file = \"{}\"\n", device.root.path().join("token").display());
    device.configure(bench.hostile.url(), &token);
    bench.hostile.fault("InRelease", Fault::Redirect(format!("{}/debian/dists/stable/InRelease", elsewhere.url())));
    bench.hostile.forget_requests();
    device.install();
    assert_eq!(bench.hostile.requests()[0].authorization.as_deref(), Some("Bearer deb-fleet-token"));
    assert_eq!(elsewhere.requests()[0].authorization, None);

    // Round and round.
    bench.hostile.fault("InRelease", Fault::Redirect(format!("{}/debian/dists/stable/InRelease", bench.hostile.url())));
    bench.hostile.forget_requests();
    device.updater(&["check"]).fails(1, "redirect");
    assert!(bench.hostile.requests().len() < 6);
}

/// A server that is trusted for its certificate must not hand the device on to where anybody listens.
#[test]
fn a_redirect_from_https_to_http_is_not_followed() {
    let bench = Bench::new();
    let device = bench.device();
    bench.hostile.forget_requests();
    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("certificate.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        "/CN=here",
    ]);
    openssl.args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]);
    run(openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate)).success();
    let release = "debian/dists/stable/InRelease";
    let answer =
        format!("HTTP/1.1 302 Found\r\nLocation: {}/{release}\r\nContent-Length: 0\r\n\r\n", bench.hostile.url());
    let served = folder.path().join(release);
    std::fs::create_dir_all(served.parent().unwrap()).unwrap();
    put(&served, answer.as_bytes());
    let mut server = Command::new("openssl");
    server.args(["s_server", "-accept", "127.0.0.1:0", "-HTTP", "-key"]).arg(&key).arg("-cert").arg(&certificate);
    let mut server = server.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
    let address = said.find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned)).unwrap();
    std::thread::spawn(move || said.for_each(drop));
    device.configure(&format!("https://{address}"), &format!("ca = \"{}\"\n", certificate.display()));
    let refused = device.updater(&["check"]);
    server.kill().unwrap();
    server.wait().unwrap();
    refused.fails(1, "configured for https only");
    assert_eq!(bench.hostile.requests(), []);
}

/// Copies the repository as onto a stick.
fn stick(bench: &Bench) -> TempDir {
    let stick = tempfile::tempdir().unwrap();
    run(Command::new("cp").arg("-a").arg(bench.copy.path().join("debian")).arg(stick.path())).success();
    stick
}

fn install_from(device: &Device, folder: &Path) -> end_to_end::Ended {
    device.updater(&["install", "--from", folder.to_str().unwrap()])
}

#[test]
fn a_folder_needs_no_network_and_the_same_signatures() {
    let bench = Bench::new();
    let stick = stick(&bench);
    // Neither the configured server nor any other is asked.
    let device = bench.device();
    device.configure("http://127.0.0.1:1", "");
    install_from(&device, stick.path()).success();
    assert_eq!(device.says(), "Hello Deb! Version 0.1.0");

    // Both the folder of the repository and the one above it will do; the newest Release seen counts everywhere.
    bench.server.publish(&Source::hi().bumped("0.2.0").build(&bench.key));
    bench.copy.refresh(&bench.server);
    install_from(&device, &bench.copy.path().join("debian")).success();
    assert_eq!(device.says(), "Hello Deb! Version 0.2.0");
    install_from(&device, stick.path()).fails(1, "played back");

    let device = bench.device();
    device.break_keyrings();
    install_from(&device, stick.path()).fails(1, "keyring");
    let device = bench.device();
    device.trust_packages_of(&PackageKey::new());
    install_from(&device, stick.path()).fails(1, "not among the trusted keys");
    install_from(&device, &stick.path().join("pool")).fails(1, "No such file");
    install_from(&device, device.root.path().as_path()).fails(1, "no dists/stable/InRelease");
}

/// What a folder holds is the work of whoever had the stick.
#[test]
fn links_out_of_the_folder_and_pipes_and_missing_files_are_refused() {
    let bench = Bench::new();
    let stick = stick(&bench);
    let package = stick.path().join(POOL.trim_start_matches('/'));
    let good = std::fs::read(&package).unwrap();
    let device = bench.device();
    let refused = |word: &str| {
        install_from(&device, stick.path()).fails(1, word);
        std::fs::remove_file(&package).unwrap();
    };
    put(&package, &good[..good.len() / 2]);
    refused("ended after");
    put(&package, &[&good[..], b"more"].concat());
    refused("more than");
    symlink(&bench.package, &package).unwrap();
    refused("leads out of the folder");
    symlink("/dev/zero", &package).unwrap();
    refused("leads out of the folder");
    run(Command::new("mkfifo").arg(&package)).success();
    refused("no plain file");
    install_from(&device, stick.path()).fails(1, "No such file");
    // A link within it, as some programs that copy repositories make them.
    put(&stick.path().join("debian/there.deb"), &good);
    symlink(stick.path().canonicalize().unwrap().join("debian/there.deb"), &package).unwrap();
    install_from(&device, stick.path()).success();
    assert_eq!(device.says(), "Hello Deb! Version 0.1.0");
}
