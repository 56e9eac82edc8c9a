//! `debfleet verify`: what is signed by whom.

use crate::{keyring_file, report};
use anyhow::{Result, bail};
use clap::Args;
use debian_formats::deb::{Deb, SignatureReport, SignatureRole, SignedMember};
use debian_formats::limits::Limits;
use debian_formats::openpgp::{Keyring, OpenPgpError};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Checks that a .deb is well-formed and signed by trusted keys, and explains every signature that it carries.
///
/// It succeeds if each required role has a good signature by a trusted key, and no signature at all is bad. A signature
/// by a key that is not in the keyring is told, and counts for nothing.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet verify dist/hi_0.1.0-1_all.deb --keyring keys/package.gpg\n  \
                  debfleet verify hi.deb --keyring release.gpg --keyring build.gpg --role origin --role builder")]
pub(crate) struct Arguments {
    /// The package
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The trusted public keys, binary or armoured; may be given several times
    #[arg(long, value_name = "FILE", required = true)]
    keyring: Vec<PathBuf>,
    /// A role that must have signed; may be given several times
    #[arg(long, value_name = "ROLE", default_value = "origin")]
    role: Vec<SignatureRole>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// All that is known about one package's signatures.
struct Findings<'a> {
    deb: &'a Deb,
    trusted: &'a Keyring,
    signatures: Vec<SignatureReport>,
    covered: Vec<SignedMember>,
    required: &'a [SignatureRole],
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let trusted = keyring_file::read_all(&arguments.keyring)?;
    let deb = Deb::open(&arguments.file, Limits::DEFAULT)?;
    let findings = Findings {
        signatures: deb.examine_signatures(&trusted)?,
        covered: deb.signed_members()?,
        deb: &deb,
        trusted: &trusted,
        required: &arguments.role,
    };
    if arguments.json {
        report::result(&findings.json().to_string())?;
    } else {
        findings.lines().iter().try_for_each(|line| report::result(line))?;
    }
    let faults = findings.faults();
    if faults.is_empty() { Ok(()) } else { bail!("{}: {}", arguments.file.display(), faults.join("; ")) }
}

impl Findings<'_> {
    fn is_satisfied(&self, role: &SignatureRole) -> bool {
        self.signatures.iter().any(|signature| signature.role == *role && signature.outcome.is_ok())
    }

    /// Why it does not pass; empty: it does.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for role in self.required {
            match self.signatures.iter().find(|signature| signature.role == *role) {
                None => faults.push(format!("it carries no {role} signature; add one with `debfleet sign --key`")),
                Some(SignatureReport { outcome: Err(cause), .. }) => faults.push(format!("{role} signature: {cause}")),
                Some(_) => {}
            }
        }
        for SignatureReport { role, outcome, .. } in self.signatures.iter().filter(|signature| signature.is_bad()) {
            if let (Err(cause), false) = (outcome, self.required.contains(role)) {
                faults.push(format!("{role} signature, which is not required, is bad: {cause}"));
            }
        }
        faults
    }

    fn lines(&self) -> Vec<String> {
        let control = self.deb.control();
        let mut lines = vec![format!("{} {} for {}", control.package(), control.version(), control.architecture())];
        lines.extend(self.signatures.iter().map(|signature| self.line(signature)));
        if self.signatures.is_empty() {
            lines.push("not signed".into());
        }
        lines.push("covered by each signature:".into());
        for SignedMember { name, checksums } in &self.covered {
            lines.push(format!("  {} {name} ({})", checksums.sha256, report::size(checksums.size)));
        }
        for role in self.required {
            let outcome = if self.is_satisfied(role) { "satisfied" } else { "NOT satisfied" };
            lines.push(format!("required role {role}: {outcome}"));
        }
        lines
    }

    fn line(&self, SignatureReport { role, outcome, made }: &SignatureReport) -> String {
        match outcome {
            Ok(key) => {
                let ids = self
                    .trusted
                    .user_ids(key)
                    .iter()
                    .map(|id| format!(" ({})", report::printable(id)))
                    .collect::<String>();
                let made = made.map_or_else(String::new, |made| format!(", made {made}"));
                format!("{role}: good signature by {key}{ids}{made}")
            }
            Err(cause @ OpenPgpError::UnknownSigner { .. }) => {
                let claim = made.map_or_else(String::new, |made| format!("; it says it was made {made}"));
                format!("{role}: not checked: {cause}{claim}")
            }
            Err(cause) => format!("{role}: BAD: {cause}"),
        }
    }

    fn json(&self) -> Value {
        let control = self.deb.control();
        let signature = |SignatureReport { role, outcome, made }: &SignatureReport| {
            let status = match outcome {
                Ok(_) => "good",
                Err(OpenPgpError::UnknownSigner { .. }) => "unknown-key",
                Err(_) => "bad",
            };
            json!({
                "role": role.to_string(),
                "status": status,
                "key": outcome.as_ref().ok().map(ToString::to_string),
                "user-ids": outcome.as_ref().map(|key| self.trusted.user_ids(key)).unwrap_or_default(),
                "problem": outcome.as_ref().err().map(ToString::to_string),
                "made": made.map(|made| made.to_string()),
            })
        };
        let required = |role: &SignatureRole| json!({ "role": role.to_string(), "satisfied": self.is_satisfied(role) });
        let covered = |member: &SignedMember| json!({ "member": member.name, "size": member.checksums.size, "sha256": member.checksums.sha256 });
        json!({
            "path": self.deb.path().to_string_lossy(),
            "package": control.package().as_str(),
            "version": control.version().as_str(),
            "architecture": control.architecture().as_str(),
            "signatures": self.signatures.iter().map(signature).collect::<Vec<_>>(),
            "required": self.required.iter().map(required).collect::<Vec<_>>(),
            "covered": self.covered.iter().map(covered).collect::<Vec<_>>(),
            "verified": self.faults().is_empty(),
        })
    }
}
