//! `debfleet build`: a source folder becomes a signed .deb.

use crate::report;
use crate::signing_keys::SigningKeyArguments;
use anyhow::{Context, Result};
use builder::Built;
use builder::provenance::{self, Circumstances};
use builder::upload_set;
use clap::Args;
use debian_formats::Architecture;
use debian_formats::deb::{Compression, SignatureRole};
use debian_formats::names::SuiteName;
use debian_formats::openpgp::{Fingerprint, SigningKey};
use serde_json::json;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// Builds a .deb from a folder with a debfleet.toml, or with a DEBIAN/ as for dpkg-deb --build.
///
/// The same source gives the same bytes. Their one time is SOURCE_DATE_EPOCH if it is set; else that of the last git
/// commit that touched the folder, if nothing in it is uncommitted; else that of the newest source file.
#[derive(Args)]
#[command(after_help = "Examples:\n  debfleet build examples/hi --out dist --key keys/package.key\n  \
                  deb=$(debfleet build --out dist)     with DEBFLEET_KEY_FILE or DEBFLEET_KEY set, as in CI\n  \
                  debfleet build --out dist --snapshot            a build between two releases\n  \
                  debfleet build --out dist --changes && dput HOST dist/*.changes\n  \
                  debfleet build --out dist --key origin=env:ORIGIN_KEY --key 'builder=command:vault read …'")]
pub(crate) struct Arguments {
    /// The source folder
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Folder for the .deb; it is created if absent
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Give it the version of the commit that is checked out, such as 1.3.0~git20261120.abc1234-1; nothing is written
    /// into the source
    #[arg(long)]
    snapshot: bool,
    /// Build only for this architecture; may be given several times. Absent: for all that the source names
    #[arg(long, value_name = "ARCH")]
    architecture: Vec<Architecture>,
    #[command(flatten)]
    signing: SigningKeyArguments,
    /// xz, or zstd: faster, larger, and for dpkg 1.21.18 or newer. Absent: what the manifest says, else xz
    #[arg(long, value_name = "NAME")]
    compression: Option<Compression>,
    /// Threads that compress; the bytes do not depend on it. Absent: one for each core, as far as memory suffices
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Also write a .buildinfo for each package, and one .changes that lists all and that dput uploads
    #[arg(long)]
    changes: bool,
    /// The Distribution that the .changes names
    #[arg(long, value_name = "NAME", default_value = "stable", requires = "changes")]
    suite: SuiteName,
    /// Print a JSON object instead of each path
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let signers = arguments.signing.load()?;
    let time = std::env::var_os(builder::time::VARIABLE).map(|value| value.to_string_lossy().into_owned());
    let options = builder::Options {
        out: &arguments.out,
        snapshot: arguments.snapshot,
        architectures: &arguments.architecture,
        signers: &signers,
        source_date_epoch: time.as_deref(),
        compression: arguments.compression,
        threads: arguments.threads,
        record_inputs: arguments.changes,
    };
    let packages = builder::build(&arguments.folder, &options)
        .with_context(|| format!("could not build the package in {}", arguments.folder.display()))?;
    let upload = arguments.changes.then(|| write_upload(&packages, arguments, &signers)).transpose()?;
    let signatures = signers.iter().map(|(role, key)| Ok((role, key.fingerprint()?))).collect::<Result<Vec<_>>>()?;
    for (index, built) in packages.iter().enumerate() {
        tell(
            built,
            &signatures,
            upload.as_ref().map(|upload| (&*upload.buildinfos[index], &*upload.changes)),
            arguments.json,
        )?;
    }
    if let Some(Upload { buildinfos, changes }) = upload.filter(|_| !arguments.json) {
        buildinfos.iter().chain([&changes]).try_for_each(|path| report::result(text_of(path)?))?;
    }
    for (role, fingerprint) in &signatures {
        eprintln!("signed as {role} by {fingerprint}");
    }
    if signatures.is_empty() {
        eprintln!("not signed: no --key, DEBFLEET_KEY_FILE or DEBFLEET_KEY; neither server nor device will take it");
    }
    Ok(())
}

/// What `--changes` writes.
struct Upload {
    /// Of each package.
    buildinfos: Vec<PathBuf>,
    changes: PathBuf,
}

/// Both files are signed by the origin's key, as the packages are.
fn write_upload(packages: &[Built], arguments: &Arguments, signers: &[(SignatureRole, SigningKey)]) -> Result<Upload> {
    let failed = || format!("the packages are in {}, but not what belongs to their upload", arguments.out.display());
    let origin = origin_key(signers);
    let circumstances = Circumstances::look(&arguments.folder, &arguments.out, env!("CARGO_PKG_VERSION"));
    let circumstances = circumstances.with_context(failed)?;
    let buildinfos: Result<Vec<_>, _> =
        packages.iter().map(|built| provenance::write(built, &circumstances, origin)).collect();
    let buildinfos = buildinfos.with_context(failed)?;
    let changes = upload_set::write(packages, &buildinfos, &arguments.suite, origin).with_context(failed)?;
    Ok(Upload { buildinfos, changes })
}

/// The key that speaks for the release.
pub(crate) fn origin_key(signers: &[(SignatureRole, SigningKey)]) -> Option<&SigningKey> {
    signers.iter().find(|(role, _)| *role == SignatureRole::origin()).map(|(_, key)| key)
}

/// Results are printed, so they must be text.
pub(crate) fn text_of(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("the path {} is not UTF-8, so it cannot be printed", path.display()))
}

fn tell(
    built: &Built,
    signatures: &[(&SignatureRole, Fingerprint)],
    upload: Option<(&Path, &Path)>,
    json: bool,
) -> Result<()> {
    let (package, version) = (built.control.package(), built.control.version());
    let architecture = built.control.architecture();
    let size = built.path.metadata().with_context(|| format!("could not read {}", built.path.display()))?.len();
    eprintln!(
        "built {package} {version} for {architecture}, {}, dated {} ({})",
        report::size(size),
        built.time,
        built.dated_by
    );
    let path = text_of(&built.path)?;
    if !json {
        return report::result(path);
    }
    let mut answer = json!({
        "path": path,
        "package": package.as_str(),
        "version": version.as_str(),
        "architecture": architecture.as_str(),
        "size": size,
        "sha256": built.checksums()?.sha256,
        "time": built.time.to_string(),
        "signatures": signatures
            .iter()
            .map(|(role, key)| json!({ "role": role.to_string(), "key": key.to_string() }))
            .collect::<Vec<_>>(),
    });
    if let Some((buildinfo, changes)) = upload {
        answer["buildinfo"] = text_of(buildinfo)?.into();
        answer["changes"] = text_of(changes)?.into();
    }
    report::result(&answer.to_string())
}
