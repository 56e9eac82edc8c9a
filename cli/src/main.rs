//! `debfleet`: the one command that people and CI type.
//!
//! Each command is one file below `commands/`: its arguments, and what it does with them. Results go to stdout,
//! everything said to a person goes to stderr.

mod commands;
mod keyring_file;
mod release;
mod report;
mod secret;
mod server;
mod signing_keys;
mod tar_stream;
mod upload;
mod upstream;

use clap::{CommandFactory as _, Parser, Subcommand};
use std::process::ExitCode;

/// Builds, signs and publishes Debian packages for fleets of devices.
#[derive(Parser)]
#[command(
    name = "debfleet",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done, 1 failed (the reason is on stderr), 2 wrong usage."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    New(commands::new::Arguments),
    Key(commands::key::Arguments),
    Build(commands::build::Arguments),
    Bump(commands::bump::Arguments),
    Sign(commands::sign::Arguments),
    Verify(commands::verify::Arguments),
    Publish(commands::publish::Arguments),
    Release(commands::release::Arguments),
    Suite(commands::suite::Arguments),
    Policy(commands::policy::Arguments),
    Thing(commands::thing::Arguments),
    Group(commands::group::Arguments),
    Certificate(commands::certificate::Arguments),
    Provisioning(commands::provisioning::Arguments),
    User(commands::user::Arguments),
    Token(commands::token::Arguments),
    Audit(commands::audit::Arguments),
    Completions(commands::completions::Arguments),
}

fn main() -> ExitCode {
    if let Some(written) = command_manual::write_if_asked::<Cli>("debfleet") {
        return written;
    }
    // Must come before any TLS; a second installation is the only way for it to fail, and harmless.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if let Err(error) = secret::refuse_on_command_line(std::env::args_os()) {
        report::failure(&error);
        return ExitCode::FAILURE;
    }
    let outcome = match Cli::parse().command {
        Command::New(arguments) => commands::new::run(&arguments),
        Command::Key(arguments) => commands::key::run(&arguments),
        Command::Build(arguments) => commands::build::run(&arguments),
        Command::Bump(arguments) => commands::bump::run(&arguments),
        Command::Sign(arguments) => commands::sign::run(&arguments),
        Command::Verify(arguments) => commands::verify::run(&arguments),
        Command::Publish(arguments) => commands::publish::run(&arguments),
        Command::Release(arguments) => commands::release::run(&arguments),
        Command::Suite(arguments) => commands::suite::run(&arguments),
        Command::Policy(arguments) => commands::policy::run(&arguments),
        Command::Thing(arguments) => commands::thing::run(&arguments),
        Command::Group(arguments) => commands::group::run(&arguments),
        Command::Certificate(arguments) => commands::certificate::run(&arguments),
        Command::Provisioning(arguments) => commands::provisioning::run(&arguments),
        Command::User(arguments) => commands::user::run(&arguments),
        Command::Token(arguments) => commands::token::run(&arguments),
        Command::Audit(arguments) => commands::audit::run(&arguments),
        Command::Completions(arguments) => commands::completions::run(&arguments, Cli::command()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::failure(&error);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_all_commands_fit_together() {
        Cli::command().debug_assert();
    }
}
