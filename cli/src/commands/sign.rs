//! `debfleet sign`: signatures are added to finished packages.

use crate::report;
use crate::signing_keys::SigningKeyArguments;
use anyhow::{Context, Result, bail};
use clap::Args;
use debian_formats::deb::{Deb, DebError, DebProblem, Signature, SignatureRole};
use debian_formats::limits::Limits;
use debian_formats::openpgp::{Fingerprint, OpenPgpError, SigningKey};
use durable_files::{DurableError, Replacement, is_full};
use jiff::Timestamp;
use serde_json::json;
use std::io::{BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Adds signatures to finished .debs, whoever built them.
///
/// The payload (debian-binary, control.tar, data.tar) and the signatures of other roles keep every byte. All files are
/// checked before the first is changed, and each is replaced whole or not at all. The signatures are dated by
/// SOURCE_DATE_EPOCH if it is set, else now.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet sign dist/hi_0.1.0-1_all.deb --key maint=keys/maint.key\n  \
                  debfleet sign dist/*.deb --key 'builder=command:vault kv get -field=key secret/builder'")]
pub(crate) struct Arguments {
    /// The packages
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    signing: SigningKeyArguments,
    /// Replace a role's signature that is there already and is not a good one by the same key
    #[arg(long)]
    replace: bool,
    /// Print a JSON object for each package
    #[arg(long)]
    json: bool,
}

/// What becomes of one role's signature.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Added,
    Replaced,
    Kept,
}

/// One package that is going to be signed.
struct Job {
    deb: Deb,
    changes: Vec<(SignatureRole, Fingerprint, Change)>,
    signatures: Vec<Signature>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let keys = arguments.signing.load()?;
    if keys.is_empty() {
        bail!("there is no key to sign with; give --key, or set DEBFLEET_KEY_FILE or DEBFLEET_KEY");
    }
    let time = match std::env::var_os(builder::time::VARIABLE) {
        Some(value) => builder::time::of_variable(&value.to_string_lossy())?,
        None => Timestamp::now(),
    };
    let jobs = arguments.files.iter().map(|path| prepare(path, &keys, arguments.replace, time));
    let jobs = jobs.collect::<Result<Vec<_>>>()?;
    let mut done: Vec<String> = Vec::new();
    for job in &jobs {
        match put_in_place(job, time) {
            Ok(()) => {}
            Err(error) if done.is_empty() => return Err(error),
            Err(error) => return Err(error.context(format!("stopped; done before: {}", done.join(", ")))),
        }
        tell(job, arguments.json)?;
        done.push(job.deb.path().display().to_string());
    }
    Ok(())
}

fn prepare(path: &Path, keys: &[(SignatureRole, SigningKey)], replace: bool, time: Timestamp) -> Result<Job> {
    let deb = Deb::open(path, Limits::DEFAULT)?;
    let (mut changes, mut signatures) = (Vec::new(), Vec::new());
    for (role, key) in keys {
        let fingerprint = key.fingerprint()?;
        let present = deb.examine_signatures(&key.public_keyring())?.into_iter().find(|it| it.role == *role);
        let change = match present.map(|signature| signature.outcome) {
            None => Change::Added,
            Some(Ok(_)) => Change::Kept,
            Some(Err(_)) if replace => Change::Replaced,
            Some(Err(cause)) => {
                let found = match &cause {
                    OpenPgpError::UnknownSigner { signer } => format!("by {signer}, not by {fingerprint}"),
                    cause => format!("but badly ({cause})"),
                };
                bail!(
                    "{} is signed as {role} already, {found}; look at it with `debfleet verify`, and give --replace to \
                     put the new signature in its place",
                    path.display()
                )
            }
        };
        if change != Change::Kept {
            signatures.push(deb.sign(role.clone(), key, time)?);
        }
        changes.push((role.clone(), fingerprint, change));
    }
    Ok(Job { deb, changes, signatures })
}

fn put_in_place(job: &Job, time: Timestamp) -> Result<()> {
    if job.signatures.is_empty() {
        return Ok(());
    }
    let path = job.deb.path();
    let unchanged = || format!("could not sign {}; it is unchanged", path.display());
    // A link stays one: what it leads to is signed.
    let target = path.canonicalize().with_context(unchanged)?;
    let mode = target.metadata().with_context(unchanged)?.permissions().mode() & 0o7777;
    write(job, &target, mode, time).with_context(unchanged)
}

fn write(job: &Job, target: &Path, mode: u32, time: Timestamp) -> Result<()> {
    let full = || format!("the disk that holds {} is full; signing needs room for a second copy", target.display());
    let told = |error: DurableError| match error.is_full() {
        true => anyhow::Error::msg(full()),
        false => error.into(),
    };
    let mut out = BufWriter::with_capacity(1 << 18, Replacement::new(target).map_err(told)?);
    match job.deb.write_with(&job.signatures, time, &mut out) {
        Err(DebError { problem: DebProblem::Io(error), .. }) if is_full(&error) => bail!(full()),
        outcome => outcome?,
    }
    out.flush().context("could not write the signed package")?;
    let replacement = out.into_inner().map_err(|error| error.into_error())?;
    replacement.commit(mode).map_err(told)
}

fn tell(job: &Job, as_json: bool) -> Result<()> {
    let path = job.deb.path();
    if as_json {
        let signature = |(role, key, change): &(SignatureRole, Fingerprint, Change)| json!({ "role": role.to_string(), "key": key.to_string(), "outcome": word(*change) });
        let signatures: Vec<_> = job.changes.iter().map(signature).collect();
        return report::result(&json!({ "path": path.to_string_lossy(), "signatures": signatures }).to_string());
    }
    for (role, key, change) in &job.changes {
        let path = path.display();
        report::result(&match change {
            Change::Added => format!("{path}: signed as {role} by {key}"),
            Change::Replaced => format!("{path}: signed as {role} by {key}, in place of the signature that was there"),
            Change::Kept => format!("{path}: was already signed as {role} by {key}; unchanged"),
        })?;
    }
    Ok(())
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Replaced => "replaced",
        Change::Kept => "kept",
    }
}
