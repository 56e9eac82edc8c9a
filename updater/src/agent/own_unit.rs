//! What changes the device runs in a unit of its own, from a copy of the updater that no update touches.

use super::{Agent, Moment, Places};
use crate::config::Config;
use crate::system::{is_inside_own_unit, run_in_own_unit};
use anyhow::{Context, Result};
use debian_formats::PackageName;
use fleet_protocol::update_document::UpdateDocument;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The exit code of a command that failed and changed nothing.
pub(crate) const FAILED: u8 = 1;

/// Whether what changes the device should be handed to a unit of its own: on a running system with systemd, unless
/// this is that unit.
pub(crate) fn is_wanted(config: &Config) -> bool {
    let systemd_runs = Path::new("/run/systemd/system").is_dir() && Path::new("/run/dbus/system_bus_socket").exists();
    config.root == Path::new("/") && systemd_runs && !is_inside_own_unit()
}

/// Runs this program's own command line in a unit of its own. Gives its exit code; none if it was ended from outside.
pub(crate) fn run(config: &Config) -> Result<Option<u8>> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    start(config, &arguments)
}

/// The recovery in a unit of its own.
pub(crate) fn recover(config: &Config) -> Result<()> {
    start(config, &recover_arguments(config)).map(drop)
}

/// Ends what an interruption left half-done: where systemd runs, not in this process.
pub(crate) fn end_interrupted(config: &Config) -> Result<()> {
    if !is_wanted(config) {
        return Agent::open(config, Moment::Running).map(drop);
    }
    if super::is_at_rest(config) { Ok(()) } else { recover(config) }
}

/// Brings one package up to date in a unit of its own, as the poll found it. Gives whether it did not fail: what was
/// rolled back needs no other attempt.
pub(super) fn poll(config: &Config, package: &PackageName) -> Result<bool> {
    let command = ["--config".into(), config.path.clone().into(), "poll".into(), package.to_string().into()];
    start(config, &command).map(|code| code != Some(FAILED))
}

/// Carries out an update document in a unit of its own. Gives its exit code; none if it was ended from outside.
pub(super) fn apply(config: &Config, document: &UpdateDocument) -> Result<Option<u8>> {
    let document = serde_json::to_string(document).context("could not write the update document")?;
    start(config, &["--config".into(), config.path.clone().into(), "apply".into(), document.into()])
}

fn start(config: &Config, arguments: &[OsString]) -> Result<Option<u8>> {
    let places = Places::of(config);
    // systemd would say it, too, but not in words that tell what is going on.
    drop(super::standing::alone(config)?);
    let copy = recovery_program(&places.recovery, super::is_at_rest(config))?;
    let status = run_in_own_unit(&copy, arguments, &recover_arguments(config))
        .context("could not start systemd-run, which gives an update a unit of its own")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).filter(|code| *code <= super::LAST_EXIT_CODE))
}

fn recover_arguments(config: &Config) -> [OsString; 3] {
    ["--config".into(), config.path.clone().into(), "recover".into()]
}

/// Keeps a copy of this program where no package puts its files. The early recovery runs it, so that an update which
/// breaks the updater can be undone. Made anew when this program is another one.
///
/// In the middle of an update it stays what it is: this program may be the new one that is on trial, and the disk may be
/// full.
fn recovery_program(folder: &Path, is_at_rest: bool) -> Result<PathBuf> {
    let copy = folder.join("debfleet-updater");
    if !is_at_rest && copy.exists() {
        return Ok(copy);
    }
    // By this link also a program whose file was replaced meanwhile is what runs.
    let ours = Path::new("/proc/self/exe");
    let now = ours.metadata().context("could not look at this program")?;
    let kept = copy.metadata().ok();
    let is_same = |kept: &std::fs::Metadata| kept.len() == now.len() && kept.modified().ok() == now.modified().ok();
    if kept.as_ref().is_some_and(is_same) {
        return Ok(copy);
    }
    durable_files::create_dir(folder, 0o755)?;
    let unfinished = folder.join("debfleet-updater.new");
    let what = || format!("could not copy this program to {}", unfinished.display());
    let mut from = File::open(ours).with_context(what)?;
    let mut to = File::create(&unfinished).with_context(what)?;
    std::io::copy(&mut from, &mut to).with_context(what)?;
    to.set_permissions(std::fs::Permissions::from_mode(0o755)).with_context(what)?;
    to.set_modified(now.modified()?).with_context(what)?;
    to.sync_all().with_context(what)?;
    durable_files::rename(&unfinished, &copy)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The new updater must not take the place of the one that can undo it before it is committed.
    #[test]
    fn the_copy_is_not_touched_in_the_middle_of_an_update() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("debfleet-updater");
        durable_files::replace(&copy, b"the version before", 0o755).unwrap();
        assert_eq!(recovery_program(folder.path(), false).unwrap(), copy);
        assert_eq!(std::fs::read(&copy).unwrap(), b"the version before");
        recovery_program(folder.path(), true).unwrap();
        assert_eq!(copy.metadata().unwrap().len(), std::fs::metadata("/proc/self/exe").unwrap().len());
    }
}
