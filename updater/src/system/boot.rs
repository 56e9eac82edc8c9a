//! The machine's boots.

use super::Device;
use super::process::{ProcessError, Program};
use crate::transaction::BootId;
use std::path::Path;
use std::time::Duration;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Debian's maintainer scripts make this file when only a boot brings what they installed into use.
const REBOOT_REQUIRED: &str = "run/reboot-required";

/// Which boot this is. Where the kernel does not say, all boots look like one.
pub(crate) fn current_boot() -> BootId {
    let id = std::fs::read_to_string(BOOT_ID).unwrap_or_default();
    BootId(id.trim().chars().take(64).collect())
}

/// Whether a maintainer script asked for a boot.
pub(crate) fn is_reboot_required(device: &Device) -> bool {
    device.root.join(REBOOT_REQUIRED).exists()
}

/// Begins to shut the machine down; it boots again. The file systems are flushed and services stopped in order.
pub(crate) fn reboot(log: &Path) -> Result<(), ProcessError> {
    let finished = Program::new("systemctl").args(["--no-block", "reboot"]).run(Duration::from_secs(60), log)?;
    if !finished.is_success() {
        tracing::error!("systemctl reboot: {}; boot this device by hand", finished.describe());
    }
    Ok(())
}
