//! README's walk, typed as it stands there.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use end_to_end::program::{target_dir, workspace};
use end_to_end::run;
use std::process::Command;

/// The shell lines between two headings.
fn commands(readme: &str, from: &str, to: &str) -> String {
    let part = readme.split(from).nth(1).expect("the heading").split(to).next().expect("the next heading");
    part.split("```sh\n").skip(1).filter_map(|block| block.split("```").next()).collect()
}

#[test]
fn one_update_by_hand_works_as_written() {
    let readme = std::fs::read_to_string(workspace("README.md")).unwrap();
    let typed = commands(&readme, "## One update by hand", "### A real device");
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    // What a reader does with eyes and hands: copy the token, wait for the server, see an exit code.
    let script = typed
        .replace("cargo build --workspace\n", "")
        .replace("$PWD/target/debug", &target_dir().display().to_string())
        .replace("/tmp/walk", &folder.path().join("walk").display().to_string())
        .replace("8080", &port.to_string())
        .replace("--package-key keys/package.gpg\n", "--package-key keys/package.gpg | tee init.log\n")
        .replace("=...        # the admin token", "=$(sed -n 's/^admin token: //p' init.log)")
        .replace(
            "&\nexport",
            &format!("> serve.log & until grep -q listening serve.log; do kill -0 $!; done; curl -sSf -o apt.sources http://127.0.0.1:{port}/debian/stable.sources\nexport"),
        )
        .replace("install    # exit code 3: rolled back", "install || test $? = 3");
    let ended = run(Command::new("bash")
        .args(["-euc", &format!("trap 'kill $(jobs -p)' EXIT\n{script}")])
        .current_dir(workspace("")));
    let said: Vec<&str> = ended.stdout.lines().filter(|line| line.starts_with("Hello")).collect();
    let expected = ["0.1.0", "0.2.0", "0.2.0"].map(|version| format!("Hello Deb! Version {version}"));
    assert!(ended.code == 0 && said == expected, "{script}\n{ended}");
    assert!(ended.stdout.contains("state: rolled-back"), "{ended}");
}
