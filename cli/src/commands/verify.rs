//! `debfleet verify`: who signed a package.

use crate::{keyring_file, report};
use anyhow::Result;
use clap::Args;
use debian_formats::deb::{Deb, SignatureRole};
use debian_formats::limits::Limits;
use serde_json::json;
use std::path::PathBuf;

/// Checks that a .deb is well-formed and signed by a trusted key; says by whom.
#[derive(Args)]
#[command(after_help = "Example:\n  debfleet verify dist/hi_0.1.0-1_all.deb --keyring keys/package.gpg")]
pub(crate) struct Arguments {
    /// The package
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The trusted public keys, binary or armoured
    #[arg(long, value_name = "FILE")]
    keyring: PathBuf,
    /// A role that must have signed; may be given several times
    #[arg(long, value_name = "ROLE", default_value = "origin")]
    role: Vec<SignatureRole>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let trusted = keyring_file::read(&arguments.keyring)?;
    let deb = Deb::open(&arguments.file, Limits::DEFAULT)?.verify(&trusted, &arguments.role)?;
    let control = deb.control();
    if arguments.json {
        let signer = |signer: &debian_formats::deb::Signer| json!({ "role": signer.role.to_string(), "key": signer.key.to_string() });
        let answer = json!({
            "path": arguments.file.to_string_lossy(),
            "package": control.package().as_str(),
            "version": control.version().as_str(),
            "architecture": control.architecture().as_str(),
            "signatures": deb.signers().iter().map(signer).collect::<Vec<_>>(),
        });
        return report::result(&answer.to_string());
    }
    report::result(&format!("{} {} for {}", control.package(), control.version(), control.architecture()))?;
    for signer in deb.signers() {
        report::result(&format!("{}: good signature by {}", signer.role, signer.key))?;
    }
    Ok(())
}
