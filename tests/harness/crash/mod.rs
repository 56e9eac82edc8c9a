//! The fault campaign: an update is cut off, killed or refused its disk at one step after the other, and the device
//! must end wholly on the old tree or wholly on the new one.
//!
//! A step is a system call that changes the device's disk, made by the updater, dpkg or anything that they start.
//! Faults come from outside, by ptrace: the product knows nothing of them.
//!
//! What this cannot show is what a power cut loses from memory; the campaign on a virtual machine does.

mod bench;
mod cases;
mod disk;
mod points;
mod power;
mod step;
mod trace;

pub use power::{PowerCuts, power_campaign};
pub use trace::At;

use bench::{Bench, Ending};
use cases::{CASES, Case};
use points::{Place, Points};
use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;
use std::time::Instant;

/// What happens at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Everything stops at once, as when the power goes; at a second step it goes again, during the recovery.
    Cut,
    /// The program that would make the step is killed; all others go on.
    Kill,
    /// From this step on the disk is full, until the updater ends.
    Enospc,
    /// The step fails, as on a failing disk.
    Eio,
}

/// Their names, as `--fault` takes them.
const FAULTS: [(&str, Fault); 4] =
    [("cut", Fault::Cut), ("kill", Fault::Kill), ("enospc", Fault::Enospc), ("eio", Fault::Eio)];

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = FAULTS.iter().find(|(name, _)| *name == text);
        found.map(|(_, fault)| *fault).ok_or_else(|| format!("{text:?} is none of cut, kill, enospc, eio"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = FAULTS.iter().find(|(_, fault)| fault == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// Which part of the campaign is run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// A few steps of a few cases.
    pub is_sample: bool,
    /// Only this case.
    pub case: Option<String>,
    /// Only this fault.
    pub fault: Option<Fault>,
    /// Only at this step, such as `dpkg:17`, or `dpkg:17+updater:4` for a second cut.
    pub at: Option<Vec<At>>,
}

/// How many runs ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// On the tree before the update, byte for byte.
    pub old: usize,
    /// On the tree that an undisturbed update makes.
    pub new: usize,
    /// On neither.
    pub between: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { old, new, between } = self;
        write!(f, "old: {old}, new: {new}, in between: {between}")
    }
}

impl Tally {
    fn count(&mut self, ending: &Ending) {
        match ending {
            Ending::Old => self.old += 1,
            Ending::New => self.new += 1,
            Ending::Between(_) => self.between += 1,
        }
    }

    fn add(&mut self, other: Self) {
        self.old += other.old;
        self.new += other.new;
        self.between += other.between;
    }
}

/// The cases that a sample is made of.
const SAMPLED: [&str; 3] = ["upgrade", "failing-postinst", "full-disk-in-unpack"];

/// Cases are disturbed side by side.
const WORKERS: usize = 2;

/// Runs a campaign, printing as it goes, and counts.
pub fn campaign(selection: &Selection) -> Result<Tally, String> {
    let wanted = |case: &&Case| match &selection.case {
        Some(name) => case.name == name,
        None => !selection.is_sample || SAMPLED.contains(&case.name),
    };
    let mut cases: Vec<&Case> = CASES.iter().filter(wanted).collect();
    if cases.is_empty() {
        return Err(format!("no such case; there are: {}", cases::names()));
    }
    cases.reverse();
    let (waiting, total) = (Mutex::new(cases), Mutex::new(Tally::default()));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let Some(case) = waiting.lock().expect("no case panicked").pop() else { return };
                    let tally = disturb(case, selection);
                    total.lock().expect("no case panicked").add(tally);
                }
            });
        }
    });
    let total = *total.lock().expect("no case panicked");
    println!("{} runs in {} s", total.old + total.new + total.between, begun.elapsed().as_secs());
    println!("{total}");
    Ok(total)
}

/// Every chosen fault at every chosen step of one case.
fn disturb(case: &Case, selection: &Selection) -> Tally {
    let bench = Bench::new(case);
    let points = if selection.is_sample { Points::sample(bench.steps()) } else { Points::full(bench.steps()) };
    let mut tally = Tally::default();
    for (name, fault) in FAULTS {
        if selection.fault.is_some_and(|wanted| wanted != fault) {
            continue;
        }
        let begun = Instant::now();
        let places: Vec<Place> = match &selection.at {
            Some(at) => vec![Place::of(at)],
            None => points.places(fault),
        };
        let mut of_fault = Tally::default();
        let mut note = |at: &str, ending: &Ending| {
            of_fault.count(ending);
            if let Ending::Between(why) = ending {
                println!("in between: {why}\n  again: cargo xtask crash --case {} --fault {name} --at {at}", case.name);
            }
        };
        match fault {
            Fault::Cut => bench.cut(&places, &mut note),
            _ => places.iter().for_each(|place| note(&place.to_string(), &bench.fail(fault, &place.first))),
        }
        println!(
            "{} of {} steps, {name}: {of_fault} ({} s)",
            case.name,
            bench.steps().len(),
            begun.elapsed().as_secs()
        );
        tally.add(of_fault);
    }
    tally
}
