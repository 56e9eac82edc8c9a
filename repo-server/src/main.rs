//! The command `debfleet-server`.

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;
use repo_server::config::RawSettings;
use repo_server::init::{FIRST_SUITE, Initialised, init};
use repo_server::serve::serve;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = "\
Examples:
  Make the data folder, once:
    debfleet-server init --data /var/lib/debfleet --package-key package.gpg
  Serve on one machine, for a try:
    debfleet-server --data /var/lib/debfleet --http 127.0.0.1:8080
  Serve a fleet:
    debfleet-server --data /var/lib/debfleet --https 0.0.0.0:8443 --host-name updates.example.org
  The same from a file (keys: data, http, https, tls-cert, tls-key, host-name):
    debfleet-server --config /etc/debfleet/server.toml

A flag wins over its DEBFLEET_SERVER_* variable, a variable over the file.
RUST_LOG=debug shows more in the log, which goes to stderr.";

const INIT_EXAMPLES: &str = "\
Example:
  debfleet key new package --out keys
  debfleet-server init --data /var/lib/debfleet --package-key keys/package.gpg";

/// Serves a signed apt repository, and takes in packages that a known key signed.
#[derive(Parser)]
#[command(name = "debfleet-server", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeOptions,
}

#[derive(Subcommand)]
enum Command {
    /// Make a data folder: keys, database, the suite `stable`, an admin token
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitOptions),
}

#[derive(Args)]
struct InitOptions {
    /// Folder to make; it must be absent or empty
    #[arg(long, value_name = "DIR", env = "DEBFLEET_SERVER_DATA")]
    data: PathBuf,
    /// Public keyring of a key whose packages are taken in; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    package_key: Vec<PathBuf>,
}

#[derive(Args)]
struct ServeOptions {
    /// Data folder, made by `debfleet-server init`
    #[arg(long, value_name = "DIR", env = "DEBFLEET_SERVER_DATA")]
    data: Option<PathBuf>,
    /// Serve plain HTTP here; beyond loopback it carries only the repository
    #[arg(long, value_name = "ADDR", env = "DEBFLEET_SERVER_HTTP")]
    http: Option<String>,
    /// Serve HTTPS here [default: 0.0.0.0:8443, unless --http is given]
    #[arg(long, value_name = "ADDR", env = "DEBFLEET_SERVER_HTTPS")]
    https: Option<String>,
    /// Certificate chain (PEM) for HTTPS, in place of one from the fleet CA
    #[arg(long, value_name = "FILE", env = "DEBFLEET_SERVER_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM) of --tls-cert
    #[arg(long, value_name = "FILE", env = "DEBFLEET_SERVER_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// Further name or address for the certificate from the fleet CA; may be given several times
    #[arg(long, value_name = "NAME", env = "DEBFLEET_SERVER_HOST_NAME", value_delimiter = ',')]
    host_name: Vec<String>,
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE", env = "DEBFLEET_SERVER_CONFIG")]
    config: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(filter)
        .with_target(false)
        .init();
    let outcome = match command_line.command {
        Some(Command::Init(options)) => run_init(&options).await,
        None => run_serve(command_line.serve).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("debfleet-server: {}", explain(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes in one line, without what was said already: many errors name their cause themselves.
fn explain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            let separator = if text.is_empty() { "" } else { ": " };
            text = text + separator + &cause;
        }
    }
    text
}

async fn run_init(options: &InitOptions) -> anyhow::Result<()> {
    let made = init(&options.data, &options.package_key, Timestamp::now())
        .await
        .with_context(|| format!("could not initialise {}", options.data.display()))?;
    say(&describe(&made, &options.data));
    Ok(())
}

async fn run_serve(options: ServeOptions) -> anyhow::Result<()> {
    let ServeOptions { data, http, https, tls_cert, tls_key, host_name, config } = options;
    let file = config.as_deref().map(RawSettings::from_file).transpose()?.unwrap_or_default();
    let flags = RawSettings { data, http, https, tls_cert, tls_key, host_name };
    let settings = flags.over(file).check()?;
    raise_file_limit();
    serve(settings, say).await.context("could not serve")
}

fn describe(made: &Initialised, data: &Path) -> String {
    let fingerprints: Vec<String> = made.package_keys.iter().map(ToString::to_string).collect();
    let data = data.display();
    format!(
        "Initialised {data} with the empty suite `{FIRST_SUITE}`.\n\
         repository key: {} ({})\n\
         fleet CA: {}\n\
         packages are taken in when signed by: {}\n\
         admin token: {}\n\
         Keep the token now, it is shown only once. Next:\n  \
         debfleet-server --data {data} --http 127.0.0.1:8080\n  \
         DEBFLEET_TOKEN=… debfleet publish FILE.deb --server http://127.0.0.1:8080 --suite {FIRST_SUITE}",
        made.repository_key,
        made.repository_keyring.display(),
        made.fleet_ca_certificate.display(),
        fingerprints.join(", "),
        made.admin_token,
    )
}

/// To stdout, at once; a reader that has gone is no reason to stop serving.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Each connection needs a file descriptor; the usual soft limit is low for programs that use select(2), which this
/// one does not. Where it cannot be raised, fewer connections fit.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
