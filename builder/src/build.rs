//! A whole build: source folder in, signed .deb out.

use crate::bump::{self, BumpError};
use crate::confine::ConfineError;
use crate::manifest::{ArchitectureError, ManifestProblem};
use crate::plan::{Plan, PlanError};
use crate::source::{Source, SourceError};
use crate::time::{self, TimeError, TimeOrigin};
use crate::write::{self, InputFile, Packing, WriteError, Written};
use debian_formats::Architecture;
use debian_formats::checksums::Checksums;
use debian_formats::control::Control;
use debian_formats::deb::{Compression, SignatureRole};
use debian_formats::openpgp::SigningKey;
use jiff::Timestamp;
use std::fs::File;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// A build that gave no package. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No version for a snapshot.
    #[error(transparent)]
    Snapshot(#[from] BumpError),
    /// The time.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// What would be in the package.
    #[error("{folder}: {source}", folder = .folder.display())]
    Plan {
        /// The source folder.
        folder: PathBuf,
        /// What is wrong.
        source: PlanError,
    },
    /// It is not made for that.
    #[error("{folder}: {cause}", folder = .folder.display())]
    Architecture {
        /// The source folder.
        folder: PathBuf,
        /// Why.
        cause: ArchitectureError,
    },
    /// The package would become part of its own source.
    #[error(
        "{out} lies inside {folder}, all of which is packed, and would be packed by the next build; name another --out"
    )]
    OutInsideSource {
        /// As given.
        out: PathBuf,
        /// The packed folder.
        folder: PathBuf,
    },
    /// Writing.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl BuildError {
    /// Whether it is the changelog that lacks the entry of this version, or that is not there yet: a bump writes both.
    #[must_use]
    pub fn is_mended_by_bump(&self) -> bool {
        let Self::Source(SourceError::Manifest(error)) = self else { return false };
        matches!(
            error.problem,
            ManifestProblem::Changelog { .. }
                | ManifestProblem::Path { what: "changelog", source: ConfineError::Missing { .. } }
        )
    }
}

/// A finished package.
#[derive(Debug)]
pub struct Built {
    /// The .deb.
    pub path: PathBuf,
    /// Its control file.
    pub control: Control,
    /// The time that everything in it carries.
    pub time: Timestamp,
    /// Where that time was taken from.
    pub dated_by: TimeOrigin,
    /// The source files that it was made from, if they are recorded.
    pub inputs: Vec<InputFile>,
    /// Packages of this system that had a part in it, by name.
    pub installed: Vec<String>,
}

impl Built {
    /// Of the .deb as it stands on the disk.
    pub fn checksums(&self) -> Result<Checksums, WriteError> {
        let read = File::open(&self.path).and_then(Checksums::of_reader);
        read.map_err(|cause| WriteError::ReadBack { path: self.path.clone(), cause })
    }
}

/// How to build; what the source itself says comes second.
pub struct Options<'a> {
    /// The folder for the .deb; it is created if absent.
    pub out: &'a Path,
    /// In place of the source's version, that of the commit which is checked out.
    pub snapshot: bool,
    /// Only for these; empty: for all that the source is for.
    pub architectures: &'a [Architecture],
    /// The keys that sign, each in its role.
    pub signers: &'a [(SignatureRole, SigningKey)],
    /// The value of the variable of that name.
    pub source_date_epoch: Option<&'a str>,
    /// How to compress the members.
    pub compression: Option<Compression>,
    /// How many threads compress; the bytes do not depend on it. None: as many as the machine has cores and memory for.
    pub threads: Option<NonZeroUsize>,
    /// Whether the source files are hashed and told, for a `.buildinfo`.
    pub record_inputs: bool,
}

/// Builds the packages of a source folder, one for each architecture.
pub fn build(folder: &Path, options: &Options) -> Result<Vec<Built>, BuildError> {
    let (source, architectures) = open(folder, options)?;
    architectures.iter().map(|architecture| build_one(folder, &source, architecture, options)).collect()
}

/// Finds whatever would hinder a build before its first package is written; gives the control file of each.
pub fn check(folder: &Path, options: &Options) -> Result<Vec<Control>, BuildError> {
    let (source, architectures) = open(folder, options)?;
    let planned = |architecture| Ok(plan(folder, &source, architecture, options)?.plan.control().clone());
    architectures.iter().map(planned).collect()
}

fn open(folder: &Path, options: &Options) -> Result<(Source, Vec<Architecture>), BuildError> {
    let source = Source::open(folder)?;
    let source = if options.snapshot { bump::at_snapshot(source, folder, options.out)? } else { source };
    let architectures = source.architectures(options.architectures);
    let architectures = architectures.map_err(|cause| BuildError::Architecture { folder: folder.to_owned(), cause })?;
    Ok((source, architectures))
}

/// What the package will hold, and what else had a part in it.
struct Planned {
    plan: Plan,
    dated_by: TimeOrigin,
    /// Files that are not packed as they are.
    read: Vec<PathBuf>,
    /// Packages of the system.
    installed: Vec<String>,
}

fn plan(folder: &Path, source: &Source, architecture: &Architecture, options: &Options) -> Result<Planned, BuildError> {
    let mut gathered = source.gather(architecture)?;
    if let Some(packed) = gathered.folders.iter().find(|packed| lies_inside(options.out, packed)) {
        return Err(BuildError::OutInsideSource { out: options.out.to_owned(), folder: packed.clone() });
    }
    let (time, dated_by) = time::of_source(options.source_date_epoch, folder, options.out, gathered.newest)?;
    let (read, installed) = (std::mem::take(&mut gathered.read), std::mem::take(&mut gathered.installed));
    let plan = Plan::new(gathered, time).map_err(|source| BuildError::Plan { folder: folder.to_owned(), source })?;
    Ok(Planned { plan, dated_by, read, installed })
}

fn build_one(
    folder: &Path,
    source: &Source,
    architecture: &Architecture,
    options: &Options,
) -> Result<Built, BuildError> {
    let Planned { plan, dated_by, read, installed } = plan(folder, source, architecture, options)?;
    let packing = Packing {
        compression: options.compression.or(source.compression()).unwrap_or_default(),
        threads: options.threads,
        record_inputs: options.record_inputs,
    };
    let Written { path, mut inputs } = write::write(&plan, options.out, options.signers, packing)?;
    for path in read.into_iter().filter(|_| options.record_inputs) {
        inputs.push(InputFile::read(path)?);
    }
    Ok(Built { path, control: plan.control().clone(), time: plan.time(), dated_by, inputs, installed })
}

/// Also for a folder that is not there yet.
fn lies_inside(path: &Path, folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = absolute.ancestors().find_map(|above| above.canonicalize().ok());
    existing.is_some_and(|existing| existing.starts_with(&folder))
}
