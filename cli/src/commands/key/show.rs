//! `debfleet key show`: what keys a file holds.

use crate::report;
use crate::secret::SecretSource;
use anyhow::{Context, Result};
use clap::Args;
use debian_formats::openpgp::{KeyDescription, KeyFile, KeyForm};
use serde_json::json;

/// Shows the keys of a file, public or secret; never asks for a passphrase and never shows a secret.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet key show keys/package.key\n  debfleet key show env:DEBFLEET_KEY --json")]
pub(crate) struct Arguments {
    /// A file of keys, env:NAME, or command:COMMAND
    #[arg(value_name = "SOURCE")]
    source: SecretSource,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let keys = read(&arguments.source)?.describe();
    if arguments.json {
        let keys: Vec<_> = keys.iter().map(json_of).collect();
        return report::result(&json!(keys).to_string());
    }
    for (index, key) in keys.iter().enumerate() {
        if index > 0 {
            report::result("")?;
        }
        lines_of(key).iter().try_for_each(|line| report::result(line))?;
    }
    Ok(())
}

/// Reads keys of whatever kind.
pub(super) fn read(source: &SecretSource) -> Result<KeyFile> {
    let bytes = source.read().context("could not load the keys")?;
    KeyFile::from_bytes(&bytes).with_context(|| format!("could not read the keys in {}", source.name()))
}

fn form(key: &KeyDescription) -> &'static str {
    match key.form {
        KeyForm::Public => "public",
        KeyForm::Secret => "secret",
        KeyForm::Locked => "locked",
        KeyForm::Elsewhere => "elsewhere",
    }
}

fn lines_of(key: &KeyDescription) -> Vec<String> {
    let kind = match key.form {
        KeyForm::Public => "public key",
        KeyForm::Secret => "secret key, not locked: whoever can read it can sign",
        KeyForm::Locked => "secret key, locked with a passphrase",
        KeyForm::Elsewhere => "public key, with a note that the secret one is elsewhere (such as on a card)",
    };
    let mut lines = vec![
        format!("fingerprint: {}", key.fingerprint),
        format!("key id:      {}", key.key_id),
        format!("kind:        {kind}"),
        format!("algorithm:   {}", key.algorithm),
    ];
    lines.extend(key.created.map(|created| format!("created:     {created}")));
    lines.extend(key.user_ids.iter().map(|id| format!("user id:     {}", report::printable(id))));
    lines.extend(key.problem.as_ref().map(|problem| format!("not usable:  {problem}")));
    lines
}

fn json_of(key: &KeyDescription) -> serde_json::Value {
    json!({
        "fingerprint": key.fingerprint,
        "key-id": key.key_id,
        "kind": form(key),
        "algorithm": key.algorithm,
        "created": key.created.map(|created| created.to_string()),
        "user-ids": key.user_ids,
        "usable": key.problem.is_none(),
        "problem": key.problem,
    })
}
