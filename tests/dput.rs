//! Uploads by the real dput, and the same requests by curl where dput itself would not send what is wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::debian_root::put;
use end_to_end::{DebianRoot, Ended, PackageKey, Server, Source, binary, plain_deb, run};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A server, the key of its packages, and a folder for dput's files.
struct Bench {
    key: PackageKey,
    server: Server,
    folder: TempDir,
}

/// `debfleet build --changes`; gives the package and the `.changes`.
fn build(source: &Source, key: &PackageKey, suite: &str) -> (PathBuf, PathBuf) {
    let mut command = binary("debfleet");
    command.arg("build").arg(source.path()).arg("--out").arg(source.path().join("out"));
    let printed = run(command.arg("--key").arg(key.secret()).args(["--changes", "--suite", suite])).success();
    let built: Vec<PathBuf> = printed.lines().map(PathBuf::from).collect();
    (built[0].clone(), built.last().unwrap().clone())
}

impl Bench {
    fn new(start: fn(&PackageKey) -> Server) -> Self {
        let key = PackageKey::new();
        let server = start(&key);
        Self { key, server, folder: tempfile::tempdir().unwrap() }
    }

    fn token(&self, options: &[&str]) -> String {
        let arguments = [&["token", "create", "ci", "--role", "publisher"], options].concat();
        run(&mut self.server.debfleet(&arguments)).success().lines().last().unwrap().trim().to_owned()
    }

    /// dput, which asks for the password on its standard input when there is no terminal.
    fn dput(&self, incoming: &str, changes: &Path, password: &str) -> Ended {
        let (scheme, address) = self.server.url().split_once("://").unwrap();
        let config = self.folder.path().join("dput.cf");
        let section = format!(
            "[fleet]\nmethod = {scheme}\nfqdn = {address}\nincoming = {incoming}\nlogin = ci\n\
             allow_unsigned_uploads = 1\n"
        );
        put(&config, section.as_bytes());
        put(&self.folder.path().join("password"), format!("{password}\n").as_bytes());
        let script = "exec setsid --wait dput --force --unchecked --config \"$0\" fleet \"$1\" < \"$2\"";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(&config).arg(changes).arg(self.folder.path().join("password"));
        run(command.env("HOME", self.folder.path()).env("USER", "ci").env("SSL_CERT_FILE", self.server.fleet_ca()))
    }

    /// A file as dput sends it. The status, and the words behind it.
    fn put(&self, path: &str, file: &Path) -> String {
        let head = self.folder.path().join("head");
        let mut command = Command::new("curl");
        command.args(["-sS", "-X", "PUT", "-H", "Expect:", "-H", "Content-Type:", "-o", "/dev/null", "--data-binary"]);
        command.arg(format!("@{}", file.display())).arg("-D").arg(&head);
        command.args(["-u", &format!("ci:{}", self.server.token())]);
        run(command.arg(format!("{}{path}", self.server.url()))).success();
        let head = std::fs::read_to_string(head).unwrap();
        head.lines().next().unwrap().trim_start_matches("HTTP/1.1 ").to_owned()
    }

    /// Sends the files of an upload to `stable`, its list last; gives the answer to that.
    fn put_all(&self, files: &[&Path]) -> String {
        let name = |file: &Path| file.file_name().unwrap().to_str().unwrap().to_owned();
        let put = |file: &&Path| self.put(&format!("/upload/stable/{}", name(file)), file);
        let mut answers: Vec<String> = files.iter().map(put).collect();
        answers.pop().unwrap()
    }

    fn holds(&self, suite: &str) -> Vec<String> {
        let listed = run(&mut self.server.debfleet(&["suite", "list", suite])).success();
        listed.lines().map(str::to_owned).collect()
    }

    /// Nothing of an upload is left, in the pool or on the way to it.
    #[track_caller]
    fn leaves_no_trace(&self) {
        let files = walkdir::WalkDir::new(self.server.data()).into_iter().flatten();
        let left = files.filter(|entry| {
            let path = entry.path().to_string_lossy().into_owned();
            path.contains("/incoming/") || path.ends_with(".deb")
        });
        let left: Vec<_> = left.collect();
        assert!(left.is_empty() && self.holds("stable").is_empty(), "{left:?}");
    }

    /// A `.changes` of these files, signed by gpg with the package key.
    fn changes(&self, name: &str, distribution: &str, files: &[&Path]) -> PathBuf {
        let (mut sums, mut list) = (String::new(), String::new());
        for file in files {
            let (size, name) = (file.metadata().unwrap().len(), file.file_name().unwrap().to_str().unwrap());
            let sha256 = run(Command::new("sha256sum").arg(file)).success();
            sums += &format!(" {} {size} {name}\n", sha256.split(' ').next().unwrap());
            let section = if name.starts_with("contrib") { "contrib/misc" } else { "misc" };
            list += &format!(" {} {size} {section} optional {name}\n", "0".repeat(32));
        }
        let text = format!(
            "Format: 1.8\nSource: set\nVersion: 1\nDistribution: {distribution}\nChecksums-Sha256:\n{sums}Files:\n{list}"
        );
        let (plain, signed) = (self.folder.path().join("plain"), self.folder.path().join(name));
        put(&plain, text.as_bytes());
        let home = tempfile::tempdir().unwrap();
        let gpg = |arguments: &[&str]| {
            let mut command = Command::new("gpg");
            command.args(["--batch", "--quiet", "--yes", "--no-permission-warning", "--homedir"]).arg(home.path());
            command.args(arguments);
            command
        };
        run(gpg(&["--import"]).arg(self.key.secret())).success();
        run(gpg(&["--output"]).arg(&signed).arg("--clearsign").arg(&plain)).success();
        run(Command::new("gpgconf").arg("--homedir").arg(home.path()).args(["--kill", "all"])).success();
        signed
    }
}

#[test]
fn what_build_made_dput_uploads_and_apt_installs() {
    let bench = Bench::new(Server::start);
    let hi = Source::hi();
    let (_, changes) = build(&hi, &bench.key, "stable");
    let ended = bench.dput("/upload/stable", &changes, bench.server.token());
    assert!(ended.code == 0 && ended.stdout.contains("need authentication"), "{ended}");
    assert_eq!(bench.holds("stable"), ["hi 0.1.0-1 (all, main)"]);

    let root = DebianRoot::new();
    root.write("etc/apt/sources.list.d/stable.sources", &bench.server.get("/debian/stable.sources"));
    root.shell("apt-get update -o APT::Update::Error-Mode=any && apt-get install -y hi").success();
    assert_eq!(root.shell("/opt/hi/hi").success(), "Hello Deb! Version 0.1.0\n");

    // Sent again, it is there already.
    let before = bench.server.get("/debian/dists/stable/InRelease");
    bench.dput("/upload/stable", &changes, bench.server.token()).success();
    assert_eq!(bench.server.get("/debian/dists/stable/InRelease"), before);
    let log = run(&mut bench.server.debfleet(&["audit"])).success();
    assert!(log.contains("hi_0.1.0-1_all.changes signed by ") && log.contains("hi 0.1.0-1 (all), SHA-256 "), "{log}");
}

#[test]
fn over_https_the_changes_say_for_which_suite_it_is() {
    let bench = Bench::new(Server::start_https);
    run(&mut bench.server.debfleet(&["suite", "create", "beta"])).success();
    let only_beta = bench.token(&["--suite", "beta"]);
    let hi = Source::hi();
    let (_, changes) = build(&hi, &bench.key, "beta");
    bench.dput("/upload", &changes, &only_beta).success();
    assert_eq!(bench.holds("beta"), ["hi 0.1.0-1 (all, main)"]);

    let hi = hi.bumped("minor");
    let (_, changes) = build(&hi, &bench.key, "stable");
    bench
        .dput("/upload", &changes, &only_beta)
        .fails(1, "Upload failed: 403 the token may not publish in the suite stable");
    bench.dput("/upload/stable", &changes, &only_beta).fails(1, "Upload failed: 403 the token may not");
    assert!(bench.holds("stable").is_empty() && bench.holds("beta").len() == 1);
}

#[test]
fn dput_tells_why_an_upload_was_refused() {
    let bench = Bench::new(Server::start);
    let hi = Source::hi();
    let (_, changes) = build(&hi, &bench.key, "stable");
    let token = bench.server.token();
    bench.dput("/upload/stable", &changes, "dft_wrong").fails(1, "Upload failed as unauthorized: ");
    let ended = bench.dput("/upload/nosuch", &changes, token);
    ended.fails(1, "Upload failed: 404 there is no suite nosuch");
    run(&mut bench.server.debfleet(&["suite", "create", "beta"])).success();
    let ended = bench.dput("/upload/beta", &changes, token);
    ended.fails(
        1,
        "Upload failed: 422 the upload was sent to the suite beta, and the Distribution of its .changes is stable",
    );
    let (stranger, again) = (PackageKey::new(), Source::hi());
    let (_, by_stranger) = build(&again, &stranger, "stable");
    bench
        .dput("/upload/stable", &by_stranger, token)
        .fails(1, "Upload failed: 422 the .changes is refused: signed by ");
    bench.leaves_no_trace();
}

#[test]
fn an_upload_that_is_not_what_its_list_says_is_refused() {
    let bench = Bench::new(Server::start);
    let hi = Source::hi();
    let (deb, changes) = build(&hi, &bench.key, "stable");
    let buildinfo = deb.with_extension("buildinfo");
    let text = std::fs::read_to_string(&changes).unwrap();
    #[track_caller]
    fn refused(bench: &Bench, files: &[&Path], words: &str) {
        let answer = bench.put_all(files);
        assert!(answer.starts_with("422 ") && answer.contains(words), "{answer}");
        bench.leaves_no_trace();
    }

    put(&changes, text.split("-----BEGIN PGP SIGNATURE").next().unwrap().as_bytes());
    refused(&bench, &[&deb, &buildinfo, &changes], "no readable signature");
    put(&changes, text.replace("Urgency: ", "Urgency: very ").as_bytes());
    refused(&bench, &[&deb, &buildinfo, &changes], "was changed after it was signed");
    put(&changes, text.as_bytes());
    refused(&bench, &[&buildinfo, &changes], "lists hi_0.1.0-1_all.deb, which was not sent before it");
    refused(&bench, &[&deb, &changes], "lists hi_0.1.0-1_all.buildinfo, which was not sent before it");
    let good = std::fs::read(&deb).unwrap();
    put(&deb, &[&good[..good.len() - 1], b"x"].concat());
    refused(&bench, &[&deb, &buildinfo, &changes], "hi_0.1.0-1_all.deb is not the file that the .changes lists");

    // A list signed by the right key, of what no package key has signed, or of nothing.
    let unsigned = plain_deb(bench.folder.path(), "ho", "1", "all", "");
    let list = bench.changes("ho.changes", "stable", &[&unsigned]);
    refused(&bench, &[&unsigned, &list], "ho_1_all.deb: ");
    let contrib = plain_deb(bench.folder.path(), "contrib-ho", "1", "all", "");
    let list = bench.changes("both.changes", "stable", &[&unsigned, &contrib]);
    refused(&bench, &[&unsigned, &contrib, &list], "packages of several components");
    let list = bench.changes("none.changes", "stable", &[&buildinfo]);
    refused(&bench, &[&buildinfo, &list], "lists no package");

    for path in ["/upload/stable/..%2f..%2fetc%2fpasswd", "/upload/stable/.hidden", "/upload/stable/a%0ab"] {
        let answer = bench.put(path, &buildinfo);
        assert!(answer.starts_with("400 "), "{path}: {answer}");
    }
    // More than the server takes, known before it is sent.
    let large = std::fs::File::create(bench.folder.path().join("large.deb")).unwrap();
    large.set_len((2 << 30) + 1).unwrap();
    let mut command = Command::new("curl");
    command.args(["-sS", "-H", "Expect: 100-continue", "-u", &format!("ci:{}", bench.server.token()), "-T"]);
    command.arg(bench.folder.path().join("large.deb")).arg(format!("{}/upload/stable/large.deb", bench.server.url()));
    let answer = run(&mut command).stdout;
    assert!(answer.contains("\"status\":413"), "{answer}");
    let long = bench.folder.path().join("long.changes");
    put(&long, &vec![b'x'; (1 << 20) + 1]);
    assert!(bench.put("/upload/stable/long.changes", &long).starts_with("400 "));
    bench.leaves_no_trace();
}

#[test]
fn all_packages_of_an_upload_are_published_together_or_none() {
    let bench = Bench::new(Server::start);
    let build = |name: &str| {
        let source = Source::hi().with_text("debfleet.toml", "name = \"hi\"", &format!("name = \"{name}\""));
        let deb = source.build(&bench.key);
        let kept = bench.folder.path().join(deb.file_name().unwrap());
        std::fs::copy(deb, &kept).unwrap();
        kept
    };
    let [one, two, other] = ["hi-one", "hi-two", "hi-three"].map(build);
    let unsigned = plain_deb(bench.folder.path(), "ho", "1", "all", "");
    let list = bench.changes("set.changes", "stable", &[&one, &unsigned, &two]);
    let answer = bench.put_all(&[&one, &unsigned, &two, &list]);
    assert!(answer.starts_with("422 ") && answer.contains("ho_1_all.deb"), "{answer}");
    bench.leaves_no_trace();

    let date = || {
        let release = String::from_utf8(bench.server.get("/debian/dists/stable/Release")).unwrap();
        release.lines().find(|line| line.starts_with("Date: ")).unwrap().to_owned()
    };
    let before = date();
    let list = bench.changes("set.changes", "stable", &[&one, &two]);
    assert!(bench.put_all(&[&one, &two, &list]).starts_with("201 "));
    assert_eq!(bench.holds("stable"), ["hi-one 0.1.0-1 (all, main)", "hi-two 0.1.0-1 (all, main)"]);
    assert_ne!(date(), before);

    // One of them is there with other content: the new one does not come either.
    let changed = Source::hi().with_text("debfleet.toml", "name = \"hi\"", "name = \"hi-one\"");
    let changed_source = changed.with_lines("hi", "# changed\n");
    let changed = changed_source.build(&bench.key);
    let list = bench.changes("set.changes", "stable", &[&changed, &other]);
    let answer = bench.put_all(&[&changed, &other, &list]);
    assert!(answer.starts_with("409 ") && answer.contains("already holds hi-one 0.1.0-1"), "{answer}");
    assert_eq!(bench.holds("stable").len(), 2);
    // One that is there and one that is not: all are there afterwards.
    let list = bench.changes("set.changes", "stable", &[&one, &other]);
    assert!(bench.put_all(&[&one, &other, &list]).starts_with("201 "));
    assert_eq!(bench.holds("stable").len(), 3);
}

#[test]
fn a_server_killed_in_the_middle_of_an_upload_forgets_it() {
    let mut bench = Bench::new(Server::start);
    let hi = Source::hi();
    let (deb, changes) = build(&hi, &bench.key, "stable");
    assert!(bench.put("/upload/stable/hi_0.1.0-1_all.deb", &deb).starts_with("201 "));
    bench.server.kill();
    bench.server.resume();
    bench.leaves_no_trace();
    let answer = bench.put_all(&[&deb.with_extension("buildinfo"), &changes]);
    assert!(answer.starts_with("422 ") && answer.contains("was not sent before it"), "{answer}");
    bench.dput("/upload/stable", &changes, bench.server.token()).success();
    assert_eq!(bench.holds("stable"), ["hi 0.1.0-1 (all, main)"]);
}
