//! Running a program and seeing what it took.

use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::time::Instant;

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    /// Seconds from start to end.
    pub(super) wall: f64,
    /// User and system seconds, of all its processes.
    pub(super) cpu: f64,
    /// Megabytes (10⁶) of the largest of its processes.
    pub(super) memory: f64,
}

impl Sample {
    /// One run after the other.
    pub(super) fn then(self, next: Self) -> Self {
        Self { wall: self.wall + next.wall, cpu: self.cpu + next.cpu, memory: self.memory.max(next.memory) }
    }
}

/// All runs of one contender, in the order of the rounds.
#[derive(Debug)]
pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) samples: Vec<Sample>,
}

/// Runs every contender once to warm up, then all in turn, so that whatever else loads the machine meets them alike.
/// Round 0 is the warm-up.
pub(super) fn alternate(
    rounds: usize,
    names: &[&'static str],
    mut once: impl FnMut(usize, usize) -> Result<Sample>,
) -> Result<Vec<Contender>> {
    let mut contenders: Vec<Contender> =
        names.iter().map(|name| Contender { name, samples: Vec::with_capacity(rounds) }).collect();
    for round in 0..=rounds {
        for (number, contender) in contenders.iter_mut().enumerate() {
            let sample = once(number, round).with_context(|| format!("{}, round {round}", contender.name))?;
            let place = if round == 0 { "warm-up".to_owned() } else { format!("{round} of {rounds}") };
            println!("  {place}: {}: {:.2} s, {:.2} s of CPU", contender.name, sample.wall, sample.cpu);
            if round > 0 {
                contender.samples.push(sample);
            }
        }
    }
    Ok(contenders)
}

/// Runs a program that must end with this exit code.
pub(super) fn timed(command: &Command, code: i32) -> Result<Sample> {
    let figures = tempfile::NamedTempFile::new().context("could not make a temporary file")?;
    // What earlier runs left to be written is not charged to this one.
    let synced = Command::new("sync").status().context("could not start sync")?;
    if !synced.success() {
        bail!("sync failed ({synced})");
    }

    // wait4's figures reach a program without unsafe code only by way of time(1).
    let mut timed = Command::new("time");
    timed.args(["--quiet", "--format=%U %S %M", "--output"]).arg(figures.path()).arg("--");
    timed.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
    timed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        timed.current_dir(folder);
    }
    let start = Instant::now();
    let ended = timed.output().context("could not start time")?;
    let wall = start.elapsed().as_secs_f64();

    if ended.status.code() != Some(code) {
        bail!(
            "{command:?} should have ended with {code} ({}):\n{}{}",
            ended.status,
            String::from_utf8_lossy(&ended.stdout),
            String::from_utf8_lossy(&ended.stderr)
        );
    }
    let text = std::fs::read_to_string(figures.path()).context("could not read what time wrote")?;
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match figures.as_slice() {
        [user, system, kibibytes] => Ok(Sample { wall, cpu: user + system, memory: kibibytes * 1024.0 / 1e6 }),
        _ => bail!("time wrote {text:?}"),
    }
}

/// User and system seconds of a running process so far, and the megabytes of its peak.
pub(super) fn usage_so_far(process: u32) -> Result<(f64, f64)> {
    /// Linux shows times to programs in hundredths of a second, whatever it counts in.
    const TICKS: f64 = 100.0;
    let read = |file: &str| {
        let path = format!("/proc/{process}/{file}");
        std::fs::read_to_string(&path).with_context(|| format!("could not read {path}"))
    };
    let stat = read("stat")?;
    // The second field is the name in brackets, which may contain anything; utime and stime are the 14th and 15th.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: Option<f64> =
        fields.get(11..13).and_then(|times| times.iter().map(|time| time.parse::<f64>().ok()).sum());
    let status = read("status")?;
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    match (ticks, peak) {
        (Some(ticks), Some(kibibytes)) => Ok((ticks / TICKS, kibibytes * 1024.0 / 1e6)),
        _ => bail!("could not understand /proc/{process}"),
    }
}

/// Megabytes (10⁶) that a process holds.
pub(super) fn resident(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<f64>().ok());
    Ok(line.with_context(|| format!("could not understand {path}"))? * 1024.0 / 1e6)
}
