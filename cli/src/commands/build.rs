//! `debfleet build`: a source folder becomes a signed .deb.

use crate::report;
use crate::signing_keys::SigningKeyArguments;
use anyhow::{Context, Result};
use builder::Built;
use clap::Args;
use debian_formats::Architecture;
use debian_formats::deb::SignatureRole;
use debian_formats::openpgp::Fingerprint;
use serde_json::json;
use std::path::PathBuf;

/// Builds a .deb from a folder with a debfleet.toml, or with a DEBIAN/ as for dpkg-deb --build.
///
/// The same source gives the same bytes. Their one time is SOURCE_DATE_EPOCH if it is set; else that of the last git
/// commit that touched the folder, if nothing in it is uncommitted; else that of the newest source file.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet build examples/hi --out dist --key keys/package.key\n  \
                  deb=$(debfleet build --out dist)     with DEBFLEET_KEY_FILE or DEBFLEET_KEY set, as in CI\n  \
                  debfleet build --out dist --key origin=env:ORIGIN_KEY --key 'builder=command:vault read …'")]
pub(crate) struct Arguments {
    /// The source folder
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Folder for the .deb; it is created if absent
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Build only for this architecture; may be given several times. Absent: for all that the source names
    #[arg(long, value_name = "ARCH")]
    architecture: Vec<Architecture>,
    #[command(flatten)]
    signing: SigningKeyArguments,
    /// Print a JSON object instead of each path
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let signers = arguments.signing.load()?;
    let time = std::env::var_os(builder::time::VARIABLE).map(|value| value.to_string_lossy().into_owned());
    let options = builder::Options {
        out: &arguments.out,
        architectures: &arguments.architecture,
        signers: &signers,
        source_date_epoch: time.as_deref(),
        compression: None,
        threads: None,
    };
    let packages = builder::build(&arguments.folder, &options)
        .with_context(|| format!("could not build the package in {}", arguments.folder.display()))?;
    let signatures = signers.iter().map(|(role, key)| Ok((role, key.fingerprint()?))).collect::<Result<Vec<_>>>()?;
    packages.iter().try_for_each(|built| tell(built, &signatures, arguments.json))?;
    for (role, fingerprint) in &signatures {
        eprintln!("signed as {role} by {fingerprint}");
    }
    if signatures.is_empty() {
        eprintln!("not signed: no --key, DEBFLEET_KEY_FILE or DEBFLEET_KEY; neither server nor device will take it");
    }
    Ok(())
}

fn tell(built: &Built, signatures: &[(&SignatureRole, Fingerprint)], json: bool) -> Result<()> {
    let (package, version) = (built.control.package(), built.control.version());
    let architecture = built.control.architecture();
    eprintln!(
        "built {package} {version} for {architecture}, {}, dated {}",
        report::size(built.checksums.size),
        built.time
    );
    let path = built.path.to_str().context("the path of the package is not UTF-8, so it cannot be printed")?;
    if !json {
        return report::result(path);
    }
    let answer = json!({
        "path": path,
        "package": package.as_str(),
        "version": version.as_str(),
        "architecture": architecture.as_str(),
        "size": built.checksums.size,
        "sha256": built.checksums.sha256,
        "time": built.time.to_string(),
        "signatures": signatures
            .iter()
            .map(|(role, key)| json!({ "role": role.to_string(), "key": key.to_string() }))
            .collect::<Vec<_>>(),
    });
    report::result(&answer.to_string())
}
