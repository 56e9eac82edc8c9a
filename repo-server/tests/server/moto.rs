//! An S3-compatible store for tests.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The address of an S3-compatible server that all tests of this process share.
pub(crate) fn object_server() -> &'static str {
    static SERVER: OnceLock<(String, Child)> = OnceLock::new();
    let (address, _) = SERVER.get_or_init(|| {
        let moto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/moto/bin/moto_server");
        assert!(moto.exists(), "{} is missing; `cargo xtask test` installs it", moto.display());
        // As with PostgreSQL: it ends with us.
        let script = "\"$1\" --host 127.0.0.1 --port 0 2>&1 & read _ <&3; kill $!";
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec 3<&0; {script}"), "sh"]).arg(&moto);
        let mut supervisor = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(supervisor.stdout.take().unwrap()).lines();
        let address =
            lines.by_ref().map(Result::unwrap).find_map(|line| Some(line.split_once("Running on ")?.1.to_owned()));
        let address = address.expect("moto did not start").trim().to_owned();
        // It writes a line for each request.
        std::thread::spawn(move || lines.for_each(drop));
        (address, supervisor)
    });
    address
}
