//! The architectures that devices have and the machine that builds may not have.

use crate::program::{install_missing, output};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::process::Command;

/// One of them, by Debian's name.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Foreign {
    Amd64,
    Arm64,
    Armhf,
}

impl Foreign {
    pub(super) fn debian_name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Armhf => "armhf",
        }
    }

    /// Rust's name.
    pub(super) fn target(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-unknown-linux-gnu",
            Self::Arm64 => "aarch64-unknown-linux-gnu",
            Self::Armhf => "armv7-unknown-linux-gnueabihf",
        }
    }

    /// GNU's name, with which its tools' names begin.
    fn triplet(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64-linux-gnu",
            Self::Arm64 => "aarch64-linux-gnu",
            Self::Armhf => "arm-linux-gnueabihf",
        }
    }

    /// A program of its toolchain, such as `gcc`.
    pub(super) fn tool(self, name: &str) -> String {
        format!("{}-{name}", self.triplet())
    }

    fn is_own(self) -> Result<bool> {
        let own = output(Command::new("dpkg").arg("--print-architecture"))?.stdout;
        Ok(own.trim_ascii() == self.debian_name().as_bytes())
    }

    /// The packages of the libraries that a program of Rust needs, as a manifest names them. dpkg-shlibdeps would want to find them installed here,
    /// for that architecture; the cross compiler's are of the same Debian.
    pub(super) fn libraries(self) -> Result<String> {
        if self.is_own()? {
            return Ok("\"${auto}\"".to_owned());
        }
        let cross = format!("libc6-{}-cross", self.debian_name());
        let found = output(Command::new("dpkg-query").args(["-W", "-f", "${Version}", &cross]))?;
        let version = String::from_utf8_lossy(&found.stdout).into_owned();
        let version = version.split('-').next().filter(|version| !version.is_empty());
        let version = version.with_context(|| format!("the version of {cross} is not known"))?;
        Ok(format!("\"libc6 (>= {version})\", \"libgcc-s1\""))
    }

    /// Installs its compiler and Rust's library for it.
    pub(super) fn prepare(self) -> Result<()> {
        let triplet = self.triplet().replace('_', "-");
        let libc = format!("libc6-dev-{}-cross", self.debian_name());
        let compiler = format!("gcc-{triplet}");
        // The machine's own compiler bears the same name, and needs no library of another.
        install_missing(&if self.is_own()? {
            vec![compiler.as_str()]
        } else {
            vec![compiler.as_str(), libc.as_str()]
        })?;
        let added = output(Command::new("rustup").args(["target", "add", self.target()]))
            .context("Rust's library for another architecture is installed by rustup")?;
        if !added.status.success() {
            bail!("rustup target add {} failed:\n{}", self.target(), String::from_utf8_lossy(&added.stderr));
        }
        Ok(())
    }
}
