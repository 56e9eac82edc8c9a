//! The command `debfleet-server`.

mod command_line;

use anyhow::Context as _;
use clap::Parser as _;
use command_line::{
    BackendOptions, BackupOptions, CertificateCommand, ClaimCommand, ClaimOptions, Command, CommandLine, DataOptions,
    InitOptions, KeyCommand, RestoreOptions, RetireOptions, RevokeOptions, ServeOptions, TokenCommand, TokenOptions,
};
use jiff::{SignedDuration, Timestamp};
use repo_server::backup::{Copied, back_up, restore};
use repo_server::config::{Backends, RawSettings, Settings, SettingsSource};
use repo_server::init::{AuthoritySource, FIRST_SUITE, Initialised, KeySource, init};
use repo_server::local::{
    KeyUse, LocalClaim, RevokedCertificate, create_claim, create_token, list_keys, retire_key, revoke_certificate,
    revoked_certificates, rotate_key,
};
use repo_server::logging::{self, LogFilter, LogFormat};
use repo_server::serve::{Start, serve};
use repo_server::sockets::Inherited;
use std::io::Write as _;
use std::process::ExitCode;
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(written) = command_manual::write_if_asked::<CommandLine>("debfleet-server") {
        return written;
    }
    let CommandLine { command, serve } = CommandLine::parse();
    let outcome = match command {
        Some(command) => run_command(command),
        None => run_serve(serve),
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

fn run_command(command: Command) -> anyhow::Result<()> {
    let _log = logging::start(LogFormat::default(), &LogFilter::from_environment());
    runtime()?.block_on(async {
        match command {
            Command::Init(options) => run_init(options).await,
            Command::Token(TokenCommand::Create(options)) => run_token_create(options).await,
            Command::Key(command) => run_key(command).await,
            Command::Certificate(command) => run_certificate(command).await,
            Command::Claim(ClaimCommand::Create(options)) => run_claim_create(options).await,
            Command::Backup(options) => run_backup(options).await,
            Command::Restore(options) => run_restore(options).await,
        }
    })
}

async fn run_init(options: InitOptions) -> anyhow::Result<()> {
    let InitOptions { data, package_key, ca_certificate, ca_key, ca_sign_command } = options;
    let settings = settings_of(data.into())?;
    let key = ca_key.map(KeySource::File).or(ca_sign_command.map(KeySource::Command));
    let authority = ca_certificate.zip(key).map(|(certificate, key)| AuthoritySource { certificate, key });
    let made = init(&settings, &package_key, authority.as_ref(), Timestamp::now())
        .await
        .with_context(|| format!("could not initialise {}", settings.data.display()))?;
    say(&describe(&made, &settings));
    Ok(())
}

async fn run_token_create(options: TokenOptions) -> anyhow::Result<()> {
    let TokenOptions { data, role, name } = options;
    let settings = settings_of(data)?;
    let created = create_token(&settings, role, name, Timestamp::now()).await.context("could not make a token")?;
    let (token, secret) = (created.token, created.secret);
    say(&format!(
        "{role} token: {secret}\nKeep it now, it is shown only once. Its id is {}: `debfleet token revoke {}` ends it.",
        token.id, token.id
    ));
    Ok(())
}

async fn run_key(command: KeyCommand) -> anyhow::Result<()> {
    match command {
        KeyCommand::List(options) => {
            for key in list_keys(&settings_of(options)?).context("could not list the repository keys")? {
                let role = match key.role {
                    KeyUse::Signs => "signs",
                    KeyUse::Retired => "retired",
                };
                let created = key.created.map_or_else(String::new, |at| at.strftime("%F").to_string());
                say(format!("{}  {role:7}  {created}", key.fingerprint).trim_end());
            }
        }
        KeyCommand::Rotate(options) => {
            let settings = settings_of(options)?;
            let new = rotate_key(&settings, Timestamp::now()).await.context("could not make a new repository key")?;
            let old = list_keys(&settings)?.into_iter().find(|key| key.fingerprint != new.to_string());
            say(&format!(
                "new repository key: {new}\nIt signs beside the old one as soon as the server knows it: `systemctl reload \
                 debfleet-server`, or SIGHUP.\nBring {} to every device, then: debfleet-server key retire {}",
                settings.data.join("repository.gpg").display(),
                old.map(|key| key.fingerprint).unwrap_or_default(),
            ));
        }
        KeyCommand::Retire(RetireOptions { fingerprint, data }) => {
            let settings = settings_of(data)?;
            let kept = retire_key(&settings, &fingerprint).await.context("could not retire the repository key")?;
            say(&format!(
                "It signs no more as soon as the server knows it: `systemctl reload debfleet-server`, or SIGHUP.\n\
                 Its secret half is {} now; destroy it when no device needs it any more.",
                kept.display(),
            ));
        }
    }
    Ok(())
}

async fn run_certificate(command: CertificateCommand) -> anyhow::Result<()> {
    match command {
        CertificateCommand::List(options) => {
            let listed = revoked_certificates(&settings_of(options)?).await;
            for RevokedCertificate { serial, subject, at } in listed.context("could not list revoked certificates")? {
                say(format!("{serial}  {at}  {}", printable(&subject)).trim_end());
            }
        }
        CertificateCommand::Revoke(RevokeOptions { certificate, data }) => {
            let revoked = revoke_certificate(&settings_of(data)?, &certificate, Timestamp::now()).await;
            let (RevokedCertificate { serial, subject, at }, counted) =
                revoked.context("could not revoke the certificate")?;
            let whose = if subject.is_empty() { String::new() } else { format!(" of {}", printable(&subject)) };
            let before = if counted { String::new() } else { format!("; it was revoked already, at {at}") };
            say(&format!("The certificate {serial}{whose} counts no longer{before}."));
        }
    }
    Ok(())
}

async fn run_claim_create(options: ClaimOptions) -> anyhow::Result<()> {
    let ClaimOptions { data, name, template, out, days } = options;
    let now = Timestamp::now();
    let end = days.map(|days| now.checked_add(SignedDuration::from_hours(24 * i64::from(days)))).transpose()?;
    let template = template.parse().context("could not make a claim")?;
    let made = create_claim(&settings_of(data)?, name, template, end, &out, now).await;
    let LocalClaim { id, not_after, files: [key, certificate, ca] } = made.context("could not make a claim")?;
    say(&format!(
        "claim {id}, until {not_after}\nPut {}, {} and {} on each device of the batch. `debfleet certificate revoke {id}` \
         ends it.",
        key.display(),
        certificate.display(),
        ca.display()
    ));
    Ok(())
}

/// What others wrote, without what could steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

async fn run_backup(options: BackupOptions) -> anyhow::Result<()> {
    let BackupOptions { data, to } = options;
    let settings = settings_of(data)?;
    let copied = back_up(&settings, &to).await.context("could not make the backup")?;
    say(&format!("Backed up {} to {}: {}.", settings.data.display(), to.display(), describe_copied(&copied)));
    Ok(())
}

async fn run_restore(options: RestoreOptions) -> anyhow::Result<()> {
    let RestoreOptions { from, data } = options;
    let settings = settings_of(data.into())?;
    let copied = restore(&from, &settings).await.context("could not restore the backup")?;
    let (data, copied) = (settings.data.display(), describe_copied(&copied));
    say(&format!(
        "Restored {data} from {}: {copied}. If the server runs as a user of its own, `chown -R` the folder to it.",
        from.display()
    ));
    Ok(())
}

fn describe_copied(copied: &Copied) -> String {
    match &copied.bucket {
        Some(bucket) => format!("keys and tables; the {} packages they name stay in {bucket}", copied.packages),
        None => format!("keys, tables and {} packages of {} bytes", copied.packages, copied.bytes),
    }
}

fn run_serve(options: ServeOptions) -> anyhow::Result<()> {
    // Before there are threads.
    let inherited = Inherited::take()?;
    let ServeOptions {
        data,
        http,
        https,
        mqtts,
        mqtt_violations,
        broker,
        metrics,
        tls_cert,
        tls_key,
        host_name,
        max_upload,
        backends,
        storage_redirect,
        trusted_proxies,
        web_origin,
        log,
        log_format,
        config,
    } = options;
    let given = RawSettings {
        data,
        http,
        https,
        mqtts,
        mqtt_violations,
        broker: broker.broker,
        broker_folder: broker.broker_folder,
        broker_websockets: broker.broker_websockets,
        broker_ca: broker.broker_ca,
        broker_cert: broker.broker_cert,
        broker_key: broker.broker_key,
        metrics,
        tls_cert,
        tls_key,
        host_name,
        max_upload,
        storage_redirect,
        trusted_proxies,
        web_origin,
        log,
        log_format,
        ..given(backends)
    };
    let source = SettingsSource { given, file: config, inherited: inherited.endpoints() };
    let settings = source.read()?;
    let log = logging::start(settings.log_format, &settings.log);
    raise_file_limit();
    runtime()?.block_on(serve(Start { settings, source, inherited, log }, say)).context("could not serve")
}

fn runtime() -> anyhow::Result<Runtime> {
    Runtime::new().context("could not start the threads that do the work")
}

fn given(backends: BackendOptions) -> RawSettings {
    let BackendOptions { database, storage, storage_endpoint, storage_region } = backends;
    RawSettings { database, storage, storage_endpoint, storage_region, ..RawSettings::default() }
}

fn settings_of(DataOptions { data, backends, config }: DataOptions) -> anyhow::Result<Settings> {
    let file = config.as_deref().map(RawSettings::from_file).transpose()?.unwrap_or_default();
    Ok(RawSettings { data, ..given(backends) }.over(file).check(&[])?)
}

fn describe(made: &Initialised, settings: &Settings) -> String {
    let fingerprints: Vec<String> = made.package_keys.iter().map(ToString::to_string).collect();
    let data = settings.data.display();
    let elsewhere = if settings.backends == Backends::default() { "" } else { ", with the same database and storage" };
    format!(
        "Initialised {data} with the empty suite `{FIRST_SUITE}`.\n\
         repository key: {} ({})\n\
         fleet CA: {}\n\
         packages are taken in when signed by: {}\n\
         admin token: {}\n\
         Keep the token now, it is shown only once. Next:\n  \
         debfleet-server --data {data} --http 127.0.0.1:8080{elsewhere}\n  \
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
