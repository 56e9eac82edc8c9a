//! A network that a test has for itself.

use crate::program::run;
use std::process::Command;

/// Is set where the test runs in that network.
const INSIDE: &str = "DEBFLEET_TEST_IN_OWN_NETWORK";
/// The link to nowhere that is in it, besides the loopback.
pub const UPLINK: &str = "uplink";

/// Runs the test of this name where there is no network but a loopback and [`UPLINK`]. `prepare` is for what needs the
/// machine's own.
#[track_caller]
pub fn in_own_network(name: &str, prepare: impl FnOnce(), test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        run(Command::new("ip").args(["link", "set", "lo", "up"])).success();
        run(Command::new("ip").args(["link", "add", UPLINK, "type", "veth", "peer", "name", "nowhere"])).success();
        run(Command::new("ip").args(["link", "set", "nowhere", "up"])).success();
        return test();
    }
    prepare();
    // A network belongs to a thread and to what it starts, and tests share threads: so this is the program once more.
    let program = std::env::current_exe().expect("this program");
    run(Command::new("unshare").arg("--net").arg(program).args([name, "--exact"]).env(INSIDE, "yes")).success();
}
