//! Where the keys that sign come from: files, variables, commands; open and locked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Outcome, Scratch, debfleet, run};
use std::process::Command;

/// A key, and a package to sign with it.
struct Case {
    scratch: Scratch,
    key: String,
    armor: String,
}

impl Case {
    fn new() -> Self {
        let scratch = Scratch::new();
        let key = scratch.key("keys");
        scratch.copy_example("hi", "src");
        Self { armor: scratch.read("keys/package.key"), key, scratch }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = debfleet(&["build", &self.scratch.text("src"), "--out", &self.scratch.text("out"), "--json"]);
        command.args(arguments);
        command
    }

    fn build(&self, arguments: &[&str]) -> Outcome {
        run(&mut self.command(arguments))
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str], texts: &[&str]) {
        self.build(arguments).fails(1, texts);
        assert!(!self.scratch.path("out").exists(), "{arguments:?}: the folder for the output was made");
    }

    fn key_with(&self, name: &str, arguments: &[&str]) -> String {
        run(debfleet(&["key", "new", "package", "--out", &self.scratch.text(name)]).args(arguments)).ok();
        self.scratch.text(&format!("{name}/package.key"))
    }
}

fn roles(outcome: Outcome) -> Vec<String> {
    let stdout = outcome.ok();
    let roles = stdout.split("\"role\":\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    roles.collect()
}

#[test]
fn every_source_gives_the_same_key() {
    let case = Case::new();
    let sha = |outcome: Outcome| outcome.ok().split("\"sha256\":\"").nth(1).unwrap()[..64].to_owned();
    let by_file = sha(case.build(&["--key", &case.key]));
    let command = format!("command:cat {}", case.key);
    assert_eq!(sha(case.build(&["--key", &command])), by_file);
    assert_eq!(sha(run(case.command(&["--key", "env:SOME_KEY"]).env("SOME_KEY", &case.armor))), by_file);
    assert_eq!(sha(run(case.command(&[]).env("DEBFLEET_KEY", &case.armor))), by_file);
    assert_eq!(sha(run(case.command(&[]).env("DEBFLEET_KEY_FILE", &case.key))), by_file);
    let script = "exec \"$0\" build \"$1\" --out \"$2\" --json --key <(cat \"$3\")";
    let (source, out) = (case.scratch.text("src"), case.scratch.text("out"));
    let binary = env!("CARGO_BIN_EXE_debfleet");
    assert_eq!(sha(run(Command::new("bash").args(["-c", script, binary, &source, &out, &case.key]))), by_file);
    // A flag counts more than the variables.
    assert_eq!(
        sha(run(case.command(&["--key", &case.key]).env("DEBFLEET_KEY", "x").env("DEBFLEET_KEY_FILE", "x"))),
        by_file
    );
}

#[test]
fn several_roles_sign_one_package() {
    let case = Case::new();
    let other = case.key_with("other", &[]);
    let (maint, builder) = (format!("maint={other}"), format!("builder=command:cat '{}'", case.key));
    assert_eq!(
        roles(case.build(&["--key", &case.key, "--key", &maint, "--key", &builder])),
        ["origin", "maint", "builder"]
    );
    let deb = case.scratch.text("out/hi_0.1.0-1_all.deb");
    for (role, keyring) in [("origin", "keys"), ("maint", "other"), ("builder", "keys")] {
        let keyring = case.scratch.text(&format!("{keyring}/package.gpg"));
        run(&mut debfleet(&["verify", &deb, "--keyring", &keyring, "--role", role])).ok();
    }
}

#[test]
fn sources_that_give_no_key() {
    let case = Case::new();
    let key = |source: &'static str, texts: &[&str]| case.refused(&["--key", source], texts);
    key("env:NO_SUCH_VARIABLE", &["environment variable NO_SUCH_VARIABLE is not set"]);
    key("command:true", &["printed nothing"]);
    key("command:echo no access >&2; exit 7", &["no access\n", "exit status: 7"]);
    key("command:kill -9 $$", &["signal: 9"]);
    key("command:yes", &["printed more than 1048576 bytes; it was stopped"]);
    key("command:echo hello", &["the output of the given command", "not an armoured OpenPGP secret key"]);
    key("command:no-such-vault read TOKEN=abc", &["no-such-vault: not found", "exit status: 127"]);
    key("/dev/zero", &["/dev/zero", "too large for a key"]);
    key("/", &["could not read /", "directory"]);
    for empty in ["", " \n"] {
        let outcome = run(case.command(&["--key", "env:EMPTY"]).env("EMPTY", empty));
        outcome.fails(1, &["environment variable EMPTY is empty"]);
    }
    run(case.command(&[]).env("DEBFLEET_KEY", &case.armor).env("DEBFLEET_KEY_FILE", &case.key))
        .fails(1, &["both DEBFLEET_KEY_FILE and DEBFLEET_KEY are set"]);
    run(case.command(&[]).env("DEBFLEET_KEY", &case.key)).fails(1, &["DEBFLEET_KEY holds a path", "DEBFLEET_KEY_FILE"]);
    case.refused(&["--key", &case.key, "--key", &format!("origin={}", case.key)], &["twice for the role origin"]);
    case.refused(&["--key", &case.armor], &["a secret key itself was given on the command line"]);
    for wrong in ["Origin=x", "elevenletters=x", "env:", "command:", "", "--json"] {
        assert_eq!(case.build(&["--key", wrong]).code, 2, "{wrong}");
    }
}

#[test]
fn no_secret_is_ever_printed() {
    let case = Case::new();
    let secret_line = case.armor.lines().nth(3).unwrap();
    let locked = case.key_with("locked", &["--passphrase", "command:echo open-sesame"]);
    let outcomes = [
        case.build(&["--key", &case.armor]),
        case.build(&["--key", &case.armor.replace('\n', " ")]),
        case.build(&["--key", &format!("Maint={}", case.armor)]),
        run(&mut debfleet(&["key", "show", &case.armor])),
        run(case.command(&["--key", "env:K"]).env("K", case.armor.replace(secret_line, ""))),
        run(case.command(&[]).env("DEBFLEET_KEY", case.armor.replace('\n', " "))),
        case.build(&["--key", &locked, "--passphrase", "open-sesame"]),
        run(case.command(&["--key", &locked]).env("DEBFLEET_PASSPHRASE", "open-sesame2")),
        case.build(&["--key", "command:echo open-sesame; exit 1"]),
    ];
    for outcome in outcomes {
        assert_eq!(outcome.code, 1, "{}", outcome.stderr);
        let said = outcome.stdout + &outcome.stderr;
        assert!(!said.contains("open-sesame") && !said.contains(secret_line), "{said}");
    }
}

#[test]
fn a_locked_key_opens_with_its_passphrase_alone() {
    let case = Case::new();
    let locked = case.key_with("locked", &["--passphrase", "command:echo 'öpen sesame'"]);
    let file = case.scratch.write_mode("passphrase", "öpen sesame\n", 0o600);
    let signed = |outcome: Outcome| assert_eq!(roles(outcome), ["origin"]);
    signed(case.build(&["--key", &locked, "--passphrase", file.to_str().unwrap()]));
    signed(case.build(&["--key", &locked, "--passphrase", "command:printf 'öpen sesame'"]));
    signed(run(case.command(&["--key", &locked]).env("DEBFLEET_PASSPHRASE", "öpen sesame")));
    let armor = case.scratch.read("locked/package.key");
    signed(run(case.command(&["--passphrase", "env:P"]).env("DEBFLEET_KEY", armor).env("P", "öpen sesame")));

    std::fs::remove_dir_all(case.scratch.path("out")).unwrap();
    case.refused(&["--key", &locked], &[&locked, "it is locked, and there is no terminal", "DEBFLEET_PASSPHRASE"]);
    let with = |passphrase| case.build(&["--key", &locked, "--passphrase", passphrase]);
    with("command:echo wrong").fails(1, &[&locked, "the passphrase does not open the key"]);
    with("command:echo").fails(1, &["printed nothing"]);
    with("no/such/file").fails(1, &["never the passphrase itself"]);
    assert!(!case.scratch.path("out").exists());
}

#[test]
fn a_terminal_is_asked_for_the_passphrase() {
    let case = Case::new();
    let locked = case.key_with("locked", &["--passphrase", "command:echo sesame"]);
    // script(1) gives the program a terminal.
    let build = format!(
        "{} build {} --out {} --key {locked}",
        env!("CARGO_BIN_EXE_debfleet"),
        case.scratch.text("src"),
        case.scratch.text("out")
    );
    let typed = "echo \"$1\" | script --quiet --return --command \"$0\" /dev/null";
    let asked = |passphrase: &str| run(Command::new("bash").args(["-c", typed, &build, passphrase]));
    let wrong = asked("simsim");
    assert!(wrong.code == 1 && wrong.stdout.contains("does not open the key"), "{}{}", wrong.stdout, wrong.stderr);
    let right = asked("sesame").ok();
    assert!(right.contains("Passphrase of the key in ") && right.contains("signed as origin by "), "{right}");
}

#[test]
fn a_key_file_open_to_others_is_warned_of() {
    let case = Case::new();
    let open = case.scratch.write_mode("open.key", &case.armor, 0o644);
    let open = open.to_str().unwrap();
    let outcome = case.build(&["--key", open]);
    assert!(outcome.stderr.contains(&format!("warning: {open} is open to others (mode 0644)")), "{}", outcome.stderr);
    assert!(!case.build(&["--key", &case.key]).stderr.contains("warning"));
}
