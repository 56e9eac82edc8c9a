//! Whether the network costs by the byte, as NetworkManager says.

use super::Device;
use super::process::Program;
use std::path::Path;
use std::time::Duration;

/// Where nobody answers, the network is taken for free.
pub(crate) fn is_metered(device: &Device, log: &Path) -> bool {
    const NAME: &str = "org.freedesktop.NetworkManager";
    if !device.is_running_system() {
        return false;
    }
    let program = Program::new("busctl")
        // It is not started for this question.
        .args(["--system", "--auto-start=no", "--timeout=5", "get-property", NAME])
        .args(["/org/freedesktop/NetworkManager", NAME, "Metered"])
        .stderr_apart();
    let finished = program.run(Duration::from_secs(10), log);
    finished.is_ok_and(|finished| finished.is_success() && says_metered(&finished.output))
}

/// NMMetered: 1 is yes, 3 a guess that it is; 2 and 4 mean no, and 0 that it is unknown.
fn says_metered(output: &str) -> bool {
    matches!(output.trim(), "u 1" | "u 3")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guess_counts_and_silence_does_not() {
        assert!(says_metered("u 1\n") && says_metered("u 3\n"));
        assert!(["u 0", "u 2", "u 4", "", "u 11", "Call failed"].iter().all(|output| !says_metered(output)));
    }
}
