//! `cargo xtask fuzz`: builds the targets of `fuzz/` with coverage counters, and runs each for a bounded time.
//!
//! On the stable compiler, which has the counters but not cargo-fuzz's sanitizers: our code is safe Rust, so what there
//! is to find are panics, broken promises, endless loops and memory without a bound.

use crate::program::{cargo, output, run, workspace};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// What libFuzzer needs from the compiler: a counter for each edge, and a call at each comparison.
const COVERAGE: [&str; 7] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "--cfg",
    "fuzzing",
];

/// The bounds of one input. The time is generous: other jobs share the machine.
const BOUNDS: [&str; 3] = ["-max_len=65536", "-rss_limit_mb=1024", "-timeout=30"];

/// Runs every target, or this one, for so many seconds each; what one finds is kept and makes an error.
pub(crate) fn fuzz(seconds: u64, only: Option<&str>) -> Result<()> {
    let mut names = target_names()?;
    if let Some(only) = only {
        let known = names.join(", ");
        names.retain(|name| name == only);
        ensure!(!names.is_empty(), "there is no fuzz target {only:?}; there are {known}");
    }
    let binaries = build()?;
    let found = names.iter().map(|name| Target::new(&binaries, name)?.run(seconds)).collect::<Result<Vec<bool>>>()?;
    match found.iter().filter(|found| **found).count() {
        0 => Ok(()),
        count => bail!("{count} of {} fuzz targets found a defect; mend it, and keep its input as a test", names.len()),
    }
}

fn target_names() -> Result<Vec<String>> {
    let path = workspace().join("fuzz/Cargo.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let manifest: toml::Table = text.parse().with_context(|| format!("{} is no TOML", path.display()))?;
    let binaries = manifest.get("bin").and_then(toml::Value::as_array).context("fuzz/Cargo.toml names no [[bin]]")?;
    Ok(binaries.iter().filter_map(|binary| Some(binary.get("name")?.as_str()?.to_owned())).collect())
}

/// Builds all targets and gives their folder.
fn build() -> Result<PathBuf> {
    let host = host()?;
    let folder = workspace().join("target/fuzz");
    println!("fuzz: building the targets in {}", folder.display());
    // With a named target, cargo leaves the flags away from build scripts and macros.
    run(cargo()
        .args(["build", "--quiet", "--release", "--bins", "--manifest-path=fuzz/Cargo.toml"])
        .args(["--target", &host, "--target-dir"])
        .arg(&folder)
        .env("CARGO_ENCODED_RUSTFLAGS", COVERAGE.join("\u{1f}")))?;
    Ok(folder.join(host).join("release"))
}

/// The triple of this machine, as `rustc` names it.
fn host() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = String::from_utf8(output(Command::new(rustc).arg("-vV"))?.stdout).context("rustc -vV told no text")?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    Ok(host.to_owned())
}

/// A target and its folders.
struct Target<'a> {
    name: &'a str,
    binary: PathBuf,
    /// Inputs that broke it stay here.
    artifacts: PathBuf,
    /// What else it writes, gone with us.
    scratch: TempDir,
}

impl<'a> Target<'a> {
    fn new(binaries: &Path, name: &'a str) -> Result<Self> {
        let artifacts = workspace().join("target/fuzz/artifacts").join(name);
        std::fs::create_dir_all(&artifacts).with_context(|| format!("could not make {}", artifacts.display()))?;
        // In memory, because some readers want a file for each input.
        let memory = Some(PathBuf::from("/dev/shm")).filter(|folder| folder.is_dir());
        let parent = memory.unwrap_or_else(std::env::temp_dir);
        let scratch = TempDir::with_prefix_in("debfleet-fuzz-", &parent)
            .with_context(|| format!("could not make a folder in {}", parent.display()))?;
        Ok(Self { name, binary: binaries.join(name), artifacts, scratch })
    }

    /// Runs it and says what came of it; true if it found something.
    fn run(&self, seconds: u64) -> Result<bool> {
        let corpus = self.scratch.path().join("corpus");
        copy_files(&workspace().join("fuzz/corpus-seeds").join(self.name), &corpus)?;
        // What broke it before is tried first.
        copy_files(&self.artifacts, &corpus)?;
        let outcome = output(
            Command::new(&self.binary)
                .arg(&corpus)
                .args(BOUNDS)
                .args([format!("-max_total_time={seconds}"), format!("-artifact_prefix={}/", self.artifacts.display())])
                .arg("-print_final_stats=1")
                .env("TMPDIR", self.scratch.path()),
        )?;
        let told = String::from_utf8_lossy(&outcome.stderr);
        if outcome.status.success() {
            let runs = after(&told, "stat::number_of_executed_units:").unwrap_or("?");
            println!("fuzz: {:<10} {runs:>8} runs, {:>4} kinds of input, nothing found", self.name, count(&corpus)?);
        } else {
            println!("{}", self.report(&outcome, &told));
        }
        Ok(!outcome.status.success())
    }

    fn report(&self, outcome: &Output, told: &str) -> String {
        let what = defect(told);
        let Some(input) = after(told, "Test unit written to ") else {
            return format!("fuzz: {} failed ({}) and kept no input:\n{what}", self.name, outcome.status);
        };
        let replay = format!("{} {input}", self.binary.display());
        format!("fuzz: {} FOUND A DEFECT\n{what}\n  input:  {input}\n  replay: {replay}", self.name)
    }
}

/// The rest of the last line that begins with this.
fn after<'a>(told: &'a str, start: &str) -> Option<&'a str> {
    told.lines().rev().find_map(|line| Some(line.split_once(start)?.1.trim()))
}

/// What a target says about its end: the panic, or libFuzzer's own words, or else its last lines.
fn defect(told: &str) -> String {
    let lines: Vec<&str> = told.lines().collect();
    let panic = lines.iter().position(|line| line.starts_with("thread '") && line.contains(" panicked at "));
    let error = || lines.iter().position(|line| line.contains("ERROR: libFuzzer:"));
    let (start, count) = match panic {
        Some(start) => (start, 4),
        None => error().map_or((lines.len().saturating_sub(10), 10), |start| (start, 1)),
    };
    let told = lines[start..]
        .iter()
        .take(count)
        .take_while(|line| !["note: ", "stack backtrace:"].iter().any(|end| line.starts_with(end)));
    told.map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("could not make {}", to.display()))?;
    for entry in from.read_dir().with_context(|| format!("could not read {}", from.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        std::fs::copy(&path, to.join(name)).with_context(|| format!("could not copy {}", path.display()))?;
    }
    Ok(())
}

fn count(folder: &Path) -> Result<usize> {
    Ok(folder.read_dir().with_context(|| format!("could not read {}", folder.display()))?.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_without_seeds_is_not_forgotten() {
        for name in target_names().unwrap() {
            assert_ne!(count(&workspace().join("fuzz/corpus-seeds").join(&name)).unwrap(), 0, "{name}");
        }
    }

    #[test]
    fn a_panic_is_told_in_its_own_words() {
        let told = "INFO: seed corpus\n\nthread '<unnamed>' (7) panicked at src/a.rs:1:2:\nindex out of bounds\nnote: run \
                    with `RUST_BACKTRACE=1`\n==7== ERROR: libFuzzer: deadly signal\n\
                    artifact_prefix='/a/'; Test unit written to /a/crash-1\n";
        assert_eq!(defect(told), "  thread '<unnamed>' (7) panicked at src/a.rs:1:2:\n  index out of bounds");
        assert_eq!(after(told, "Test unit written to "), Some("/a/crash-1"));
        let slow = "#2 INITED\n==7== ERROR: libFuzzer: timeout after 31 seconds\nSUMMARY: libFuzzer: timeout\n";
        assert_eq!(defect(slow), "  ==7== ERROR: libFuzzer: timeout after 31 seconds");
    }
}
