//! Whole Debian systems made from a suite of ours, by the tools that make Debian's own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::debian_root::{packages_of_a_root, put};
use end_to_end::{PackageKey, Server, run};
use std::path::Path;
use std::process::Command;

#[test]
fn mmdebstrap_and_debootstrap_make_a_system_that_runs() {
    let server = Server::start(&PackageKey::new());
    run(&mut server.debfleet(&["suite", "create", "bookworm"])).success();
    let packages = packages_of_a_root();
    let mut import = server.debfleet(&["suite", "import", "--suite", "bookworm", "--unsigned"]);
    let told = run(import.arg(&packages)).success();
    assert!(told.ends_with(" packages added to bookworm, 0 were there, 0 refused\n"), "{told}");

    let folder = tempfile::tempdir().unwrap();
    let keyring = folder.path().join("repository.gpg");
    put(&keyring, &server.get("/debian/repository.gpg"));
    let url = format!("{}/debian", server.url());
    let root = |name: &str| folder.path().join(name);
    let source = format!("deb [signed-by={}] {url} bookworm main", keyring.display());
    let mut mmdebstrap = Command::new("mmdebstrap");
    mmdebstrap.args(["--quiet", "--mode=root", "--variant=essential", "bookworm"]).arg(root("mmdebstrap")).arg(source);
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.arg("--variant=minbase").arg(format!("--keyring={}", keyring.display()));
    debootstrap.arg("bookworm").arg(root("debootstrap")).arg(&url);
    std::thread::scope(|scope| {
        for (mut command, name) in [(mmdebstrap, "mmdebstrap"), (debootstrap, "debootstrap")] {
            let root = root(name);
            scope.spawn(move || {
                run(&mut command).success();
                runs(&root);
            });
        }
    });
}

/// Programs run there, and dpkg says that every package is installed as it should be.
fn runs(root: &Path) {
    let script = "/bin/true && test -z \"$(dpkg --audit)\" && dpkg-query --show --showformat='${db:Status-Abbrev}\\n'";
    let states = run(Command::new("chroot").arg(root).args(["/bin/sh", "-c", script])).success();
    assert!(states.lines().count() > 50 && states.lines().all(|state| state.trim() == "ii"), "{states}");
}
