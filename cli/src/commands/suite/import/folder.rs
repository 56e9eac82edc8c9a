//! All .debs of a folder.

use super::{Arguments, progress, send, tell_refusals};
use crate::report;
use crate::tar_stream::{Next, TarFile};
use anyhow::{Context as _, Result, bail};
use debian_formats::names::ComponentName;
use fleet_protocol::publishing::Imported;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

pub(super) fn run(arguments: &Arguments) -> Result<()> {
    let component = match arguments.component.as_slice() {
        [] => ComponentName::main(),
        [one] => one.clone(),
        _ => bail!("a folder is imported into one component; run the command once for each"),
    };
    let folder = Path::new(&arguments.source);
    let packages = packages(folder)?;
    let server = arguments.server.connect()?;
    let failed = || format!("could not import {} into {} at {}", folder.display(), arguments.suite, server.address());
    let progress = progress(packages.len() as u64);
    let files = packages.into_iter().map(|path| {
        progress.inc(1);
        let fail = |cause| io::Error::other(format!("could not read {}: {cause}", path.display()));
        open(&path).map_err(fail).map(Next::File)
    });
    let imported = send(&server, arguments, &component, files);
    progress.finish_and_clear();
    tell(&imported.with_context(failed)?, arguments.json)
}

fn packages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let entry = entry.with_context(|| format!("could not look for packages in {}", folder.display()))?;
        if entry.file_type().is_file() && entry.path().extension().is_some_and(|extension| extension == "deb") {
            found.push(entry.into_path());
        }
    }
    if found.is_empty() {
        bail!("{} holds no .deb", folder.display());
    }
    Ok(found)
}

fn open(path: &Path) -> io::Result<TarFile> {
    let file = File::open(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(TarFile { name, size: file.metadata()?.len(), content: Box::new(file) })
}

fn tell(imported: &Imported, json: bool) -> Result<()> {
    let Imported { suite, added, held, refused, .. } = imported;
    if json {
        report::result(&serde_json::to_string(imported)?)?;
    } else {
        tell_refusals(imported);
        report::result(&format!("{added} packages added to {suite}, {held} were there, {refused} refused"))?;
    }
    if *refused > 0 {
        bail!("the server refused {refused} packages; the others are published");
    }
    Ok(())
}
