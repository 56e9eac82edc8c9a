//! A package's source: its folder below `packaging/`, and beside it the program, its manual and its completions.

use crate::program::{run, workspace};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What stands for the workspace's version in a manifest below `packaging/`.
const VERSION: &str = "\"WORKSPACE\"";

/// Makes the folder anew for a program, which `strip` reduces to what runs, and gives it.
#[expect(clippy::disallowed_methods, reason = "a stage that is lost is made again")]
pub(crate) fn stage(name: &str, program: &Path, strip: &str, manual_writers: &Path, stage: &Path) -> Result<PathBuf> {
    if stage.exists() {
        std::fs::remove_dir_all(stage).with_context(|| format!("could not remove {}", stage.display()))?;
    }
    let parent = stage.parent().context("a stage lies in a folder")?;
    std::fs::create_dir_all(parent).with_context(|| format!("could not make {}", parent.display()))?;
    run(Command::new("cp").arg("-r").arg(workspace().join("packaging").join(name)).arg(stage))?;

    let manifest = stage.join("debfleet.toml");
    let text = std::fs::read_to_string(&manifest).with_context(|| format!("could not read {}", manifest.display()))?;
    if !text.contains(VERSION) {
        bail!("packaging/{name}/debfleet.toml does not have version = {VERSION}");
    }
    let version = concat!("\"", env!("CARGO_PKG_VERSION"), "\"");
    std::fs::write(&manifest, text.replacen(VERSION, version, 1))
        .with_context(|| format!("could not write {}", manifest.display()))?;

    let bin = stage.join("bin");
    let (completions, man) = (stage.join("completions"), stage.join("man"));
    for folder in [&bin, &man] {
        std::fs::create_dir(folder).with_context(|| format!("could not make {}", folder.display()))?;
    }
    // A release build is stripped by its profile, and loses nothing here.
    run(Command::new(strip).args(["--remove-section=.comment", "-o"]).arg(bin.join(name)).arg(program))?;
    run(Command::new(manual_writers.join(name)).arg("write-manual").arg(&completions))?;
    for page in manual_pages(&completions)? {
        // Policy 12.1: manual pages are compressed with gzip -9; -n leaves name and time out.
        run(Command::new("gzip").arg("-9n").arg(&page))?;
        let compressed = page.with_extension("1.gz");
        let file_name = compressed.file_name().context("a page has a name")?;
        std::fs::rename(&compressed, man.join(file_name))
            .with_context(|| format!("could not move {}", compressed.display()))?;
    }
    Ok(stage.to_owned())
}

/// Names the packages of its libraries, where they cannot be found by looking.
#[expect(clippy::disallowed_methods, reason = "a stage that is lost is made again")]
pub(crate) fn name_libraries(stage: &Path, libraries: &str) -> Result<()> {
    let manifest = stage.join("debfleet.toml");
    let text = std::fs::read_to_string(&manifest).with_context(|| format!("could not read {}", manifest.display()))?;
    std::fs::write(&manifest, text.replacen("\"${auto}\"", libraries, 1))
        .with_context(|| format!("could not write {}", manifest.display()))
}

fn manual_pages(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = folder.read_dir().with_context(|| format!("could not read {}", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "1")).collect())
}
