//! Suites filled from other people's archives: made by reprepro and aptly, and by a server of ours.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::debian_root::put;
use end_to_end::hostile::Fault;
use end_to_end::{Archive, DebianRoot, Ended, HostileServer, PackageKey, Server, Source, plain_deb, run};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A server with an empty suite that others' packages go to, and a folder for packages.
struct Bench {
    server: Server,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let server = Server::start(&PackageKey::new());
        run(&mut server.debfleet(&["suite", "create", "upstream"])).success();
        Self { server, folder: tempfile::tempdir().unwrap() }
    }

    fn deb(&self, name: &str, version: &str, architecture: &str) -> PathBuf {
        plain_deb(self.folder.path(), name, version, architecture, "")
    }

    /// `debfleet suite import` of an archive's suite `stable`.
    fn import(&self, place: &str, keyring: &Path, options: &[&str]) -> Ended {
        let mut command =
            self.server.debfleet(&["suite", "import", place, "--suite", "upstream", "--from-suite", "stable"]);
        run(command.arg("--keyring").arg(keyring).args(options))
    }

    fn import_unsigned(&self, archive: &Archive, url: &str, options: &[&str]) -> Ended {
        self.import(url, &archive.keyring(), &[&["--unsigned"], options].concat())
    }

    fn holds(&self) -> Vec<String> {
        let listed = run(&mut self.server.debfleet(&["suite", "list", "upstream"])).success();
        listed.lines().map(str::to_owned).collect()
    }

    fn generation(&self) -> Vec<u8> {
        self.server.get("/debian/dists/upstream/InRelease")
    }
}

/// reprepro's suite by the name that our import asks for.
fn serve(archive: &Archive) -> HostileServer {
    let alias = archive.path().join("dists/stable");
    if !alias.exists() {
        std::os::unix::fs::symlink("bookworm", alias).unwrap();
    }
    HostileServer::serve(&archive.path())
}

#[test]
fn an_archive_of_reprepro_is_imported_and_apt_installs_from_it() {
    let (bench, archive) = (Bench::new(), Archive::reprepro());
    archive.add("main", &[bench.deb("hello", "1:2.0+x~1", "amd64"), bench.deb("hello-data", "2", "all")]);
    archive.add("contrib", &[bench.deb("extra", "1", "amd64"), bench.deb("other", "1", "arm64")]);
    let upstream = serve(&archive);

    let planned = bench.import_unsigned(&archive, upstream.url(), &["--dry-run"]).success();
    assert!(planned.contains("add extra 1 (amd64, contrib), ") && planned.contains("4 packages to add"), "{planned}");
    assert!(bench.holds().is_empty());
    let told = bench.import_unsigned(&archive, upstream.url(), &[]).success();
    assert_eq!(told, "4 packages added to upstream, 0 were there, 0 refused\n");
    let all = [
        "extra 1 (amd64, contrib)",
        "hello 1:2.0+x~1 (amd64, main)",
        "hello-data 2 (all, main)",
        "other 1 (arm64, contrib)",
    ];
    let mut held = bench.holds();
    held.sort();
    assert_eq!(held, all);

    // The same again fetches no package and publishes nothing.
    let (before, requests) = (bench.generation(), upstream.requests().len());
    let told = bench.import_unsigned(&archive, upstream.url(), &["--mirror"]).success();
    assert_eq!(told, "0 packages added to upstream, 4 were there, 0 refused, 0 withdrawn\n");
    assert_eq!(bench.generation(), before);
    assert!(upstream.requests()[requests..].iter().all(|request| !request.path.contains("/pool/")));

    let root = DebianRoot::new();
    root.write("etc/apt/sources.list.d/upstream.sources", &bench.server.get("/debian/upstream.sources"));
    root.shell("apt-get update -o APT::Update::Error-Mode=any && apt-get install -y hello hello-data extra").success();
    assert_eq!(root.shell("cat /usr/share/hello/version").success(), "1:2.0+x~1");
}

#[test]
fn a_mirror_follows_what_was_chosen_of_an_aptly_archive() {
    let (bench, archive) = (Bench::new(), Archive::aptly());
    let debs = [("hello", "1", "amd64"), ("hello", "2", "amd64"), ("hello", "10", "amd64"), ("hello", "10", "arm64")];
    archive.add("main", &debs.map(|(name, version, architecture)| bench.deb(name, version, architecture)));
    archive.add(
        "main",
        &[bench.deb("htop", "1", "amd64"), bench.deb("htop-data", "1", "all"), bench.deb("vim", "1", "all")],
    );
    let folder = format!("file://{}", archive.path().display());
    let mirror = |options: &[&str]| {
        let fixed = ["--mirror", "--architecture", "amd64", "--versions", "2"];
        bench.import_unsigned(&archive, &folder, &[&fixed, options].concat()).success()
    };
    let told = mirror(&["--package", "hello", "--package", "htop*"]);
    assert_eq!(told, "4 packages added to upstream, 0 were there, 0 refused, 0 withdrawn\n");
    let held = ["hello 10 (amd64, main)", "hello 2 (amd64, main)", "htop-data 1 (all, main)", "htop 1 (amd64, main)"];
    assert_eq!(bench.holds(), held);

    // The archive has a newer version, and the choice is another one.
    archive.add("main", &[bench.deb("hello", "11", "amd64")]);
    let planned = mirror(&["--package", "hello", "--package", "htop", "--dry-run"]);
    for line in ["add hello 11 (amd64, main), ", "withdraw hello 2 (amd64, main)", "withdraw htop-data 1 (all, main)"] {
        assert!(planned.contains(line), "{planned}");
    }
    let told = mirror(&["--package", "hello", "--package", "htop", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["added"], &told["held"], &told["withdrawn"]), (&1.into(), &2.into(), &2.into()));
    assert_eq!(bench.holds(), ["hello 10 (amd64, main)", "hello 11 (amd64, main)", "htop 1 (amd64, main)"]);

    // Nothing fits: a mirror is not emptied by a slip.
    let before = bench.generation();
    let failed = bench.import_unsigned(&archive, &folder, &["--mirror", "--package", "helo"]);
    failed.fails(1, "nothing was changed");
    assert_eq!(bench.generation(), before);
}

#[test]
fn what_the_archive_dropped_leaves_the_mirror() {
    let (bench, archive) = (Bench::new(), Archive::reprepro());
    archive.add("main", &[bench.deb("stays", "1", "amd64"), bench.deb("goes", "1", "amd64")]);
    let upstream = serve(&archive);
    bench.import_unsigned(&archive, upstream.url(), &["--mirror"]).success();
    archive.remove("goes");
    // Without --mirror nothing is withdrawn.
    bench.import_unsigned(&archive, upstream.url(), &[]).success();
    assert_eq!(bench.holds().len(), 2);
    let told = bench.import_unsigned(&archive, upstream.url(), &["--mirror"]).success();
    assert_eq!(told, "0 packages added to upstream, 1 were there, 0 refused, 1 withdrawn\n");
    assert_eq!(bench.holds(), ["stays 1 (amd64, main)"]);
}

#[test]
fn an_archive_that_cannot_be_believed_changes_nothing() {
    let (bench, archive) = (Bench::new(), Archive::reprepro());
    archive.add("main", &[bench.deb("hello", "1", "amd64")]);
    let upstream = serve(&archive);
    let before = bench.generation();
    let refused = |archive: &Archive, word: &str| {
        bench.import_unsigned(archive, upstream.url(), &[]).fails(1, word);
        assert_eq!(bench.generation(), before, "{word}");
    };
    refused(&Archive::aptly(), "not among the trusted keys");
    let no_keyring = &["suite", "import", upstream.url(), "--suite", "upstream", "--from-suite", "stable"];
    run(&mut bench.server.debfleet(no_keyring)).fails(1, "--keyring");

    let suite = archive.path().join("dists/bookworm");
    let release = std::fs::read(suite.join("Release")).unwrap();
    archive.sign(|text| format!("Valid-Until: Sat, 01 Jan 2022 00:00:00 UTC\n{text}"));
    refused(&archive, "expired at 2022-01-01");
    archive.sign(|text| text.replace("Suite: stable", "Suite: testing").replace("Valid-Until", "X-Was"));
    refused(&archive, "is the Release of testing, bookworm");
    put(&suite.join("Release"), &release);
    archive.sign(|text| text);

    let inrelease = std::fs::read_to_string(suite.join("InRelease")).unwrap();
    put(&suite.join("InRelease"), inrelease.replace("amd64", "amd46").as_bytes());
    refused(&archive, "was changed after it was signed");
    put(&suite.join("InRelease"), format!("Suite: stable\n\n{inrelease}").as_bytes());
    refused(&archive, "no readable signature");
    put(&suite.join("InRelease"), inrelease.as_bytes());

    upstream.fault("InRelease", Fault::Endless);
    refused(&archive, "is longer than");
    upstream.mend();
    for ending in ["Packages", "Packages.gz"] {
        let path = suite.join("main/binary-amd64").join(ending);
        let content = std::fs::read(&path).unwrap();
        put(&path, &[&content[1..], b"x"].concat());
        upstream.fault("amd64/Packages", Fault::Endless);
    }
    refused(&archive, "is not what the signed Release says");
    upstream.mend();
    refused(&archive, "is not what the signed Release says");
    std::fs::remove_file(suite.join("InRelease")).unwrap();
    std::fs::remove_file(suite.join("Release.gpg")).unwrap();
    refused(&archive, "it is not signed");
    std::fs::remove_file(suite.join("Release")).unwrap();
    refused(&archive, "is not there");
}

#[test]
fn a_release_with_its_signature_beside_it_will_do() {
    let (bench, archive) = (Bench::new(), Archive::reprepro());
    archive.add("main", &[bench.deb("hello", "1", "amd64")]);
    std::fs::remove_file(archive.path().join("dists/bookworm/InRelease")).unwrap();
    bench.import_unsigned(&archive, serve(&archive).url(), &[]).success();
    assert_eq!(bench.holds(), ["hello 1 (amd64, main)"]);
}

#[test]
fn one_bad_package_is_named_and_the_others_come() {
    let (bench, archive) = (Bench::new(), Archive::reprepro());
    archive.add("main", &["changed", "cut", "missing", "other", "good"].map(|name| bench.deb(name, "1", "amd64")));
    let upstream = serve(&archive);
    bench.import_unsigned(&archive, upstream.url(), &["--package", "other"]).success();
    archive.remove("other");
    archive.add("main", &[bench.deb("other", "2", "amd64")]);

    let file = |name: &str, version: &str| {
        archive.path().join(format!("pool/main/{}/{name}/{name}_{version}_amd64.deb", &name[..1]))
    };
    let good = std::fs::read(file("changed", "1")).unwrap();
    put(&file("changed", "1"), &[&good[..good.len() - 1], b"x"].concat());
    std::fs::remove_file(file("missing", "1")).unwrap();
    std::fs::remove_file(file("other", "2")).unwrap();
    upstream.fault("/cut_1_amd64.deb", Fault::CutAfter(100));
    let ended = bench.import_unsigned(&archive, upstream.url(), &["--mirror"]).fails(1, "4 packages");
    for line in [
        "not fetched: changed_1_amd64.deb: its SHA-256 is not what",
        "not fetched: cut_1_amd64.deb: ",
        "not fetched: missing_1_amd64.deb: it is not there",
        "not fetched: other_2_amd64.deb: it is not there",
        "1 packages stay, as newer ones of their names did not come",
    ] {
        assert!(ended.stderr.contains(line), "{line}\n{ended}");
    }
    // The old version stays as long as there is no newer one.
    assert_eq!(bench.holds(), ["good 1 (amd64, main)", "other 1 (amd64, main)"]);

    upstream.mend();
    put(&file("changed", "1"), &good);
    std::fs::copy(bench.folder.path().join("other_2_amd64.deb"), file("other", "2")).unwrap();
    std::fs::copy(bench.folder.path().join("missing_1_amd64.deb"), file("missing", "1")).unwrap();
    bench.import_unsigned(&archive, upstream.url(), &["--mirror"]).success();
    assert_eq!(bench.holds().len(), 5);
    assert!(!bench.holds().contains(&"other 1 (amd64, main)".to_owned()));
}

#[test]
fn a_package_outside_the_archive_is_never_fetched() {
    let (bench, archive) = (Bench::new(), Archive::reprepro());
    archive.add("main", &[bench.deb("hello", "1", "amd64")]);
    let path = archive.path().join("dists/bookworm/main/binary-amd64/Packages");
    let index = std::fs::read_to_string(&path).unwrap();
    for filename in ["../secret.deb", "/etc/passwd", "http://127.0.0.1:1/x.deb", "pool/../../x"] {
        let hostile: String =
            index
                .lines()
                .map(|line| {
                    if line.starts_with("Filename: ") { format!("Filename: {filename}\n") } else { format!("{line}\n") }
                })
                .collect();
        put(&path, hostile.as_bytes());
        let (sum, size) = (sha256(hostile.as_bytes()), hostile.len());
        archive.sign(|text| {
            let head = text.split("MD5Sum:").next().unwrap().split("SHA256:").next().unwrap().to_owned();
            format!("{head}SHA256:\n {sum} {size} main/binary-amd64/Packages\n")
        });
        let folder = serve(&archive);
        let ended = bench.import_unsigned(&archive, folder.url(), &["--component", "main"]);
        ended.fails(1, "nothing was changed");
        assert!(folder.requests().iter().all(|request| request.path.starts_with("/dists/")), "{filename}");
    }
    assert!(bench.holds().is_empty());
}

#[test]
fn a_suite_of_our_own_server_keeps_its_packages_signatures() {
    let key = PackageKey::new();
    let (upstream, server) = (Server::start(&key), Server::start(&key));
    upstream.publish(&Source::hi().build(&key));
    let folder = tempfile::tempdir().unwrap();
    let keyring = folder.path().join("repository.gpg");
    put(&keyring, &upstream.get("/debian/repository.gpg"));
    let url = format!("{}/debian", upstream.url());
    let mut command =
        server.debfleet(&["suite", "import", &url, "--suite", "stable", "--from-suite", "stable", "--mirror"]);
    let told = run(command.arg("--keyring").arg(&keyring)).success();
    assert_eq!(told, "1 packages added to stable, 0 were there, 0 refused, 0 withdrawn\n");
    let package = "/debian/pool/main/h/hi/hi_0.1.0-1_all.deb";
    assert_eq!(server.get(package), upstream.get(package));
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn what_the_chosen_packages_need_comes_with_them() {
    let (bench, archive) = (Bench::new(), Archive::reprepro());
    let deb = |name: &str, fields: &str| plain_deb(bench.folder.path(), name, "1", "amd64", fields);
    archive.add("contrib", &[deb("app", "Depends: agent, lib (>= 1)\nPre-Depends: gone | first\n")]);
    archive.add("main", &[deb("lib", "Depends: nowhere\n"), deb("first", ""), deb("unneeded", "")]);
    archive.add("main", &[deb("mailer", "Provides: agent\n")]);
    let options = ["--package", "app", "--with-dependencies", "--mirror"];
    let ended = bench.import_unsigned(&archive, serve(&archive).url(), &options);
    assert!(ended.stderr.contains("note: the archive has no nowhere, which lib needs"), "{ended}");
    ended.success();
    let held = ["app 1 (amd64, contrib)", "first 1 (amd64, main)", "lib 1 (amd64, main)", "mailer 1 (amd64, main)"];
    let mut holds = bench.holds();
    holds.sort();
    assert_eq!(holds, held);
}
