//! The machine that builds, in Debian's words.

use debian_formats::Architecture;

/// The architecture that this program was built for, and so one that the machine runs.
#[must_use]
pub fn own() -> Option<Architecture> {
    let name = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" if cfg!(target_abi = "eabihf") => "armhf",
        "arm" => "armel",
        "x86" => "i386",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64el",
        "loongarch64" => "loong64",
        same @ ("riscv64" | "s390x") => same,
        _ => return None,
    };
    name.parse().ok()
}
