//! One case made ready: a server, a device, the old tree and the new one, and runs that are disturbed.

use super::Fault;
use super::cases::Case;
use super::disk::{Disk, Root};
use super::points::{Again, Place, evenly};
use super::trace::{At, Order, Step, trace};
use crate::device::Device;
use crate::package::PackageKey;
use crate::program::{Ended, run};
use crate::server::Server;
use crate::tree::{Known, Tree};
use nix::errno::Errno;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::SystemTime;

/// How a disturbed device ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    Old,
    New,
    /// Neither, and what is wrong.
    Between(String),
}

/// What the updater tells of a device, and what is on its disk.
struct Picture {
    tree: Tree,
    packages: Value,
}

/// A case made ready.
pub(super) struct Bench<'a> {
    case: &'a Case,
    disk: Disk,
    device: Device,
    _server: Server,
    start: Root,
    began: SystemTime,
    old: Picture,
    known: Mutex<Known>,
    /// None if the undisturbed update is rolled back.
    new: Option<Picture>,
    steps: Vec<Step>,
}

/// Short, so that a mistake of the campaign's own does not take an hour.
const SETTINGS: &str = "install-timeout = 60\n";

impl<'a> Bench<'a> {
    /// Makes the device, takes a picture of it, and runs the update undisturbed.
    pub(super) fn new(case: &'a Case) -> Self {
        let key = PackageKey::new();
        let server = Server::start(&key);
        let disk = Disk::new();
        let start = disk.empty();
        let device = Device::on(start.subvolume(), server.url(), &key);
        device.configure(server.url(), if case.settings.is_empty() { SETTINGS } else { case.settings });
        for source in case.before() {
            let package = source.build(&key);
            server.publish(&package);
            let name = package.file_name().and_then(|name| name.to_str()?.split('_').next()).expect("a package's name");
            device.updater(&["install", name]).success();
        }
        device.root.shell(case.owner).success();
        for source in case.offered() {
            server.publish(&source.build(&key));
        }
        // A device whose updater never ran has no folder for it.
        device.updater(&["recover"]).success();
        let mut known = Known::default();
        let old = picture(&device, start.path(), &mut known);
        let mut bench = Self {
            case,
            disk,
            device,
            _server: server,
            start,
            began: SystemTime::now(),
            old,
            known: Mutex::new(known),
            new: None,
            steps: Vec::new(),
        };
        bench.run_undisturbed();
        bench
    }

    /// The steps of the undisturbed run.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    fn run_undisturbed(&mut self) {
        let root = self.disk.copy(&self.start);
        let mut steps = Vec::new();
        let code = self.trace(&root, self.case.command, |step| {
            steps.push(step.clone());
            Order::Go
        });
        self.steps = steps;
        let expected = if self.case.commits { 0 } else { 3 };
        assert!(code == Some(expected), "the case {} ended with {code:?} though nothing disturbed it", self.case.name);
        let after = self.picture(&root);
        if self.case.commits {
            assert!(!self.old.tree.differences(&after.tree).is_empty(), "the update changed nothing");
            self.new = Some(after);
        } else {
            self.old.tree.assert_same(&after.tree);
        }
        root.discard();
    }

    /// Cuts the power at each of these places of one run: everything on the disk is copied at that moment, and the
    /// copy is what a device finds when it starts again.
    pub(super) fn cut(&self, places: &[Place], note: &mut dyn FnMut(&str, &Ending)) {
        let root = self.disk.copy(&self.start);
        let copies = self.copies_at(&root, self.case.command, places.iter().map(|place| &place.first));
        root.discard();
        for place in places {
            let Some((step, copy)) = copies.get(&place.first) else {
                note(&place.to_string(), &Ending::Between(format!("this run has no step {}", place.first)));
                continue;
            };
            self.cut_again(place, copy, note);
            note(&place.first.to_string(), &self.judge(copy, &format!("cut off before {step}")));
        }
        copies.into_values().for_each(|(_, copy)| copy.discard());
    }

    fn cut_again(&self, place: &Place, copy: &Root, note: &mut dyn FnMut(&str, &Ending)) {
        let wanted: Vec<At> = match &place.again {
            Again::No => return,
            Again::At(at) => vec![at.clone()],
            Again::Evenly(many) => {
                let root = self.disk.copy(copy);
                let mut steps = Vec::new();
                self.trace(&root, &["recover"], |step| {
                    steps.push(step.at.clone());
                    Order::Go
                });
                root.discard();
                evenly(&steps, *many).into_iter().cloned().collect()
            }
        };
        let root = self.disk.copy(copy);
        let copies = self.copies_at(&root, &["recover"], wanted.iter());
        root.discard();
        for (at, (step, copy)) in copies {
            let what = format!("cut off before {}, and again before {step}", place.first);
            note(&format!("{}+{at}", place.first), &self.judge(&copy, &what));
            copy.discard();
        }
    }

    /// Copies of the disk at some steps of one run, which is ended at the last of them.
    fn copies_at<'b>(
        &self,
        root: &Root,
        command: &[&str],
        wanted: impl Iterator<Item = &'b At>,
    ) -> BTreeMap<At, (Step, Root)> {
        let mut missing: std::collections::BTreeSet<&At> = wanted.collect();
        let mut copies = BTreeMap::new();
        self.trace(root, command, |step| {
            if missing.remove(&step.at) {
                copies.insert(step.at.clone(), (step.clone(), self.disk.copy(root)));
            }
            if missing.is_empty() { Order::KillAll } else { Order::Go }
        });
        copies
    }

    /// Lets one step fail in a run that otherwise goes on.
    pub(super) fn fail(&self, fault: Fault, at: &At) -> Ending {
        let root = self.disk.copy(&self.start);
        let mut reached = None;
        self.trace(&root, self.case.command, |step| {
            let is_here = step.at == *at;
            if is_here {
                reached = Some(step.clone());
            }
            match fault {
                Fault::Kill if is_here => Order::Kill,
                Fault::Eio if is_here => Order::Fail(Errno::EIO),
                Fault::Enospc if reached.is_some() && step.grows => Order::Fail(Errno::ENOSPC),
                _ => Order::Go,
            }
        });
        let ending = match reached {
            Some(step) => self.judge(&root, &format!("{fault} at {step}")),
            None => Ending::Between(format!("this run has no step {at}")),
        };
        root.discard();
        ending
    }

    /// Runs the updater in a root; a case with a full disk refuses it room as soon as dpkg unpacks.
    fn trace(&self, root: &Root, command: &[&str], mut order: impl FnMut(&Step) -> Order + Send) -> Option<i32> {
        let mut program = self.device.command_in(root.path(), command);
        program.env("DEBFLEET_LOG", "off");
        let mut is_full = false;
        let order = |step: &Step| {
            let asked = order(step);
            // The first file that dpkg unpacks still fits; the way back needs no more room than it frees.
            let unpacks = step.path.extension().is_some_and(|ending| ending == "dpkg-new");
            is_full = self.case.fills_disk && (is_full || unpacks) && step.at.who != "journal";
            let by_dpkg = !matches!(step.at.who.as_str(), "updater" | "journal");
            if is_full && asked == Order::Go && step.grows && by_dpkg && step.call != "openat" {
                return Order::Fail(Errno::ENOSPC);
            }
            asked
        };
        // The thread's end lets go of whatever a killed updater left running.
        std::thread::scope(|scope| scope.spawn(|| trace(&program, root.path(), order)).join())
            .expect("the run is followed")
    }

    /// Starts the device again, and looks what it is.
    fn judge(&self, root: &Root, what: &str) -> Ending {
        let between = |why: String| Ending::Between(format!("{}, {what}: {why}", self.case.name));
        let recovered = self.updater(root.path(), &["recover"]);
        if recovered.code != 0 {
            return between(format!("the recovery failed: {recovered}"));
        }
        let state = recovered.stdout.trim().trim_start_matches("state: ").to_owned();
        if !["idle", "committed", "rolled-back", "abandoned", "postponed"].contains(&state.as_str()) {
            return between(format!("the state after the recovery is {state}"));
        }
        let now = self.picture(root);
        let from_old = self.old.tree.differences(&now.tree);
        if from_old.is_empty() {
            return if agree(&now.packages, &self.old.packages) {
                Ending::Old
            } else {
                between(format!("the tree is old, and status says {}", now.packages))
            };
        }
        let new =
            self.new.as_ref().map(|new| (new, new.tree.since(self.began).differences(&now.tree.since(self.began))));
        match new {
            Some((new, from_new)) if from_new.is_empty() => {
                if agree(&now.packages, &new.packages) {
                    Ending::New
                } else {
                    between(format!("the tree is new, and status says {}", now.packages))
                }
            }
            Some((_, from_new)) => between(format!(
                "state {state}\nnot the old tree, because {}\nnot the new tree, because {}",
                few(&from_old),
                few(&from_new)
            )),
            None => between(format!("state {state}\nnot the old tree, because {}", few(&from_old))),
        }
    }

    fn picture(&self, root: &Root) -> Picture {
        picture(&self.device, root.path(), &mut self.known.lock().expect("nobody panicked with it"))
    }

    fn updater(&self, root: &Path, arguments: &[&str]) -> Ended {
        run(&mut self.device.command_in(root, arguments))
    }
}

fn picture(device: &Device, root: &Path, known: &mut Known) -> Picture {
    let mut command: Command = device.command_in(root, &["status", "--json"]);
    let status: Value = serde_json::from_str(&run(&mut command).success()).expect("status is JSON");
    Picture { tree: Tree::of_known(root, known), packages: status["packages"].clone() }
}

/// Whether two lists of `status` say the same of each package that is in both: it tells of those of the last attempt, too.
fn agree(now: &Value, then: &Value) -> bool {
    let packages = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let then = packages(then);
    let known = |package: &Value| then.iter().find(|other| other["name"] == package["name"]).cloned();
    packages(now).iter().all(|package| known(package).is_none_or(|other| other == *package))
}

fn few(differences: &[String]) -> String {
    format!(
        "{} paths differ:\n{}",
        differences.len(),
        differences.iter().take(8).cloned().collect::<Vec<_>>().join("\n")
    )
}
