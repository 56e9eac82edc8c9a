//! Plain apt, and other tools that people already use, on what the server publishes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::{Archive, DebianRoot, Ended, PackageKey, Server, Source, run};
use std::path::Path;
use std::process::Command;

/// A root whose only package source is this server, by the `.sources` file that it offers.
fn root_with_source(server: &Server) -> DebianRoot {
    let root = DebianRoot::new();
    root.write("etc/apt/sources.list.d/stable.sources", &server.get("/debian/stable.sources"));
    root
}

fn update(root: &DebianRoot) -> Ended {
    root.shell("apt-get update -o APT::Update::Error-Mode=any -o Debug::Acquire::http=true")
}

#[test]
fn apt_installs_upgrades_and_purges_and_fetches_by_hash() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    let root = root_with_source(&server);
    update(&root).success();

    let hi = Source::hi();
    server.publish(&hi.build(&key));
    let printed = update(&root);
    assert!(printed.code == 0 && printed.all().contains("/by-hash/SHA256/"), "{printed}");
    root.shell("apt-get install -y hi").success();
    assert_eq!(root.shell("/opt/hi/hi").success(), "Hello Deb! Version 0.1.0\n");

    server.publish(&hi.bumped("minor").build(&key));
    update(&root).success();
    root.shell("apt-get upgrade -y").success();
    assert_eq!(root.shell("/opt/hi/hi").success(), "Hello Deb! Version 0.2.0\n");
    let log = root.shell("cat /var/log/hi.log").success();
    assert!(log.contains("postinst configure 0.1.0-1"), "the maintainer scripts log their arguments:\n{log}");

    root.shell("apt-get purge -y hi").success();
    let left =
        root.shell("find / -xdev -name 'hi*' -path '*hi*' -not -path '/usr/*' -not -path '/var/cache/*' -not -path '/var/log/apt/*'").success();
    assert!(!left.contains("/hi"), "purge leaves nothing behind:\n{left}");
}

#[test]
fn apt_and_dpkg_install_what_zstd_compressed() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    let root = root_with_source(&server);
    let source = Source::hi().with_lines("debfleet.toml", "\n[build]\ncompression = \"zstd\"\n");
    let deb = source.build(&key);
    let members = run(Command::new("ar").arg("t").arg(&deb)).success();
    assert_eq!(members, "debian-binary\ncontrol.tar.zst\ndata.tar.zst\n_gpgorigin\n");
    server.publish(&deb);
    update(&root).success();
    root.shell("apt-get install -y hi").success();
    assert_eq!(root.shell("/opt/hi/hi").success(), "Hello Deb! Version 0.1.0\n");
    root.write("hi.deb", &std::fs::read(&deb).unwrap());
    root.shell("dpkg --purge hi && dpkg -i /hi.deb && dpkg --verify hi").success();
}

#[test]
fn both_forms_of_the_example_install_the_same_program() {
    let key = PackageKey::new();
    let out = tempfile::tempdir().unwrap();
    let tree = end_to_end::program::workspace("examples/hi-tree");
    let build = |source: &Path| {
        let mut command = end_to_end::program::binary("debfleet");
        command.arg("build").arg(source).arg("--out").arg(out.path()).arg("--key").arg(key.secret());
        run(&mut command).success().lines().last().unwrap().to_owned()
    };
    let unpack = |package: &str, to: &str| {
        let to = out.path().join(to);
        run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&to)).success();
        run(&mut Command::new(to.join("opt/hi/hi"))).success()
    };
    let from_manifest = unpack(&build(Source::hi().path()), "manifest");
    assert_eq!(from_manifest, unpack(&build(&tree), "tree"));
    assert_eq!(from_manifest, "Hello Deb! Version 0.1.0\n");
}

#[test]
fn a_killed_server_loses_nothing_that_it_acknowledged() {
    let key = PackageKey::new();
    let mut server = Server::start(&key);
    server.publish(&Source::hi().build(&key));
    let before = server.get("/debian/dists/stable/InRelease");
    server.kill();
    server.resume();
    assert_eq!(server.get("/debian/dists/stable/InRelease"), before);
    let root = root_with_source(&server);
    update(&root).success();
    root.shell("apt-get install -y hi").success();
}

#[test]
fn gpgv_sqv_and_python_debian_accept_the_release() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    server.publish(&Source::hi().build(&key));
    let folder = tempfile::tempdir().unwrap();
    let fetch = |path: &str| {
        let file = folder.path().join(path.rsplit('/').next().unwrap());
        end_to_end::debian_root::put(&file, &server.get(path));
        file
    };
    let keyring = fetch("/debian/repository.gpg");
    let [inrelease, release, signature] =
        ["InRelease", "Release", "Release.gpg"].map(|name| fetch(&format!("/debian/dists/stable/{name}")));
    run(Command::new("gpgv").arg("--keyring").arg(&keyring).arg(&inrelease)).success();
    run(Command::new("gpgv").arg("--keyring").arg(&keyring).arg(&signature).arg(&release)).success();
    run(Command::new("sqv").arg("--keyring").arg(&keyring).arg(&signature).arg(&release)).success();
    let packages = fetch("/debian/dists/stable/main/binary-amd64/Packages");
    let script = "import sys\nfrom debian import deb822\n\
                  release = deb822.Release(open(sys.argv[1]))\n\
                  packages = list(deb822.Packages.iter_paragraphs(open(sys.argv[2]), use_apt_pkg=False))\n\
                  print(release['Suite'], packages[0]['Package'], packages[0]['Version'])\n";
    // Debian's own python3 sees Debian's modules.
    let read = run(Command::new("/usr/bin/python3").args(["-c", script]).arg(&release).arg(&packages)).success();
    assert_eq!(read.trim(), "stable hi 0.1.0-1");
}

#[test]
fn aptly_and_debmirror_mirror_the_suite() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    server.publish(&Source::hi().build(&key));
    let home = tempfile::tempdir().unwrap();
    let keyring = home.path().join("trustedkeys.gpg");
    end_to_end::debian_root::put(&keyring, &server.get("/debian/repository.gpg"));

    let aptly = |arguments: &[&str]| {
        let (verb, rest) = arguments.split_at(2);
        let mut command = Command::new("aptly");
        command.env("HOME", home.path()).args(verb).arg(format!("-keyring={}", keyring.display())).args(rest);
        run(&mut command).success()
    };
    let url = format!("{}/debian/", server.url());
    aptly(&["mirror", "create", "-architectures=amd64", "hi", &url, "stable", "main"]);
    aptly(&["mirror", "update", "hi"]);
    let shown =
        run(Command::new("aptly").env("HOME", home.path()).args(["mirror", "show", "-with-packages", "hi"])).success();
    assert!(shown.contains("hi_0.1.0-1_all"), "{shown}");

    let address = server.url().trim_start_matches("http://");
    let target = home.path().join("mirror");
    run(Command::new("debmirror")
        .env("HOME", home.path())
        .args(["--method=http", "--root=/debian", "--dist=stable", "--section=main", "--arch=amd64", "--nosource"])
        .args(["--diff=none", "--host", address])
        .arg(format!("--keyring={}", keyring.display()))
        .arg(&target))
    .success();
    assert!(target.join("pool/main/h/hi/hi_0.1.0-1_all.deb").exists());
}

#[test]
fn reprepro_updates_itself_from_the_suite() {
    let key = PackageKey::new();
    let server = Server::start(&key);
    server.publish(&Source::hi().build(&key));
    let folder = tempfile::tempdir().unwrap();
    let keyring = folder.path().join("repository.gpg");
    end_to_end::debian_root::put(&keyring, &server.get("/debian/repository.gpg"));
    let archive = Archive::reprepro();
    archive.update_from(&format!("{}/debian", server.url()), &keyring);
    let package = "pool/main/h/hi/hi_0.1.0-1_all.deb";
    let taken = std::fs::read(archive.path().join(package)).unwrap();
    assert_eq!(taken, server.get(&format!("/debian/{package}")));
}
