//! The one place that sees everything: it drives the state machine and performs its actions.

mod actions;
mod apply;
mod driving;
mod explain;
mod for_fleet;
pub(crate) mod own_unit;
mod places;
mod plan_report;
mod planning;
mod report;
mod run;
mod safe_state;
mod standing;
mod trial;
mod waiting;

pub(crate) use explain::{explain, history, lines as history_lines};
pub(crate) use places::Places;
pub(crate) use report::status;
pub(crate) use run::{newest, run};
pub(crate) use standing::{is_at_rest, state, wish};
pub(crate) use trial::self_check;

use crate::config::Config;
use crate::history::History;
use crate::memory::Memory;
use crate::policy::MachineId;
use crate::repository::{Client, Index, Suite, VerifiedPackage};
use crate::snapshot;
use crate::stages::{Choice, Downloads, Plan, Refusal};
use crate::system::{Apt, Device, Dpkg, FrontendLock, Services, current_boot};
use crate::transaction::{Event, Failure, Journal, Outcome, State};
use anyhow::{Context, Result, bail};
use debian_formats::openpgp::Keyring;
use debian_formats::{PackageName, Version};
use durable_files::Lock;
use fleet_protocol::update_document::{Update, UpdateDocument};
use jiff::Timestamp;
use plan_report::PlanReport;
use report::{CheckReport, PackageCheck};
use std::path::PathBuf;
use std::rc::Rc;
use waiting::Waiting;

/// The highest exit code that the commands have; `--help` says what each means.
pub(crate) const LAST_EXIT_CODE: u8 = 5;

/// Whether somebody asked for an update, or the poll found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A person or a job: also a version that was rolled back before.
    Asked,
    /// The poll: only what is new.
    Polled,
}

/// When an agent takes the device over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Early in the boot: files can be put back, and nothing else runs yet.
    Boot,
    /// Any time later.
    Running,
}

/// The device may be neither on the old version nor on the new one.
#[derive(Debug, thiserror::Error)]
#[error("the last update is unfinished, or could not be rolled back: {reason}")]
pub(crate) struct InBetween {
    reason: String,
}

impl InBetween {
    pub(crate) fn new(reason: String) -> Self {
        Self { reason }
    }
}

/// The agent of one device, alone in its state folder while it lives.
pub(crate) struct Agent<'a> {
    config: &'a Config,
    places: Places,
    device: Device,
    dpkg: Dpkg,
    services: Services,
    moment: Moment,
    journal: Journal,
    history: History,
    memory: Memory,
    downloads: Downloads,
    /// Where packages are taken from, if not from the configured repository.
    folder: Option<PathBuf>,
    machine: Option<MachineId>,
    /// The suite and where it came from, once it was asked for.
    fetched: Option<(Client, Rc<Suite>)>,
    /// The keys that packages must be signed with, once an index was fetched.
    package_keys: Option<Keyring>,
    /// The device's apt, once it was asked for a plan.
    apt: Option<Apt>,
    /// What the transaction under way is to do.
    plan: Option<Plan>,
    /// The packages of the transaction under way, once they are verified.
    verified: Vec<VerifiedPackage>,
    /// What may not be installed yet.
    waiting: Option<Waiting>,
    /// The SHA-256 of each package of it.
    ahead: Vec<String>,
    /// Held from the snapshot to the end of a transaction.
    dpkg_lock: Option<FrontendLock>,
    /// Whether all that follows from the last transaction is recorded.
    is_settled: bool,
    _alone: Lock,
}

impl<'a> Agent<'a> {
    /// Takes the device over; first it ends what an interruption left half-done.
    pub(crate) fn open(config: &'a Config, moment: Moment) -> Result<Self> {
        let places = Places::of(config);
        let alone = standing::alone(config)?;
        let device = Device { root: config.root.clone(), scripts: config.scripts };
        let memory = Memory::open(&places.memory);
        let mut agent = Self {
            config,
            dpkg: Dpkg::new(device.clone(), places.log.clone()),
            services: Services::new(&device, places.log.clone()),
            moment,
            journal: safe_state::open_journal(&places, &memory)?,
            history: History::new(places.history.clone()),
            memory,
            downloads: Downloads::new(places.downloads.clone(), places.ahead.clone(), &config.root),
            folder: None,
            machine: device.machine_id(),
            fetched: None,
            device,
            places,
            package_keys: None,
            apt: None,
            plan: None,
            verified: Vec::new(),
            waiting: None,
            ahead: Vec::new(),
            dpkg_lock: None,
            is_settled: true,
            _alone: alone,
        };
        if !agent.journal.state().is_at_rest() {
            // It may have to stop and start this very service.
            if moment == Moment::Running && own_unit::is_wanted(config) {
                bail!("an update was interrupted, and its recovery is not done yet; try again");
            }
            tracing::warn!("the last update was interrupted in the state {}", agent.journal.state().name());
            // A dpkg that outlived a killed updater must not go on writing.
            agent.end_leftovers()?;
        }
        let boot = current_boot();
        agent.drive(match moment {
            Moment::Boot => Event::Booted(boot),
            Moment::Running => Event::Started(boot),
        })?;
        agent.limit_boot();
        agent.memory.demand_readable()?;
        if let State::Stuck { reason, .. } = agent.journal.state() {
            bail!(InBetween::new(reason.clone()));
        }
        Ok(agent)
    }

    /// Takes packages from a folder instead of the configured repository.
    pub(crate) fn take_from(&mut self, folder: PathBuf) {
        self.folder = Some(folder);
    }

    /// The state at rest.
    pub(crate) fn state(&self) -> &State {
        self.journal.state()
    }

    /// What the suite offers for the configured packages.
    pub(crate) fn check(&mut self) -> Result<CheckReport> {
        let (_, index) = self.fetch_index(&self.config.suite)?;
        let mut packages = Vec::new();
        for name in &self.config.packages {
            let installed = self.installed_version(name)?;
            let available = self.available(&index, name);
            packages.push(PackageCheck::new(name, installed, available));
        }
        Ok(CheckReport { suite: self.config.suite.clone(), packages })
    }

    /// The version of a package that an update would install with all that it needs.
    fn available(&mut self, index: &Index, name: &PackageName) -> Result<Option<Version>> {
        let Choice::Update(entry) = self.choose(index, name, None, Origin::Polled, false)? else { return Ok(None) };
        let version = entry.control().version().clone();
        self.resolve(index, &[(name.clone(), Some(*entry))], false)?;
        Ok(Some(version))
    }

    /// What an update would do; nothing is changed.
    pub(crate) fn preview(&mut self, update: &Update) -> PlanReport {
        let planned = self.plan(update, Origin::Asked);
        PlanReport::new(update, planned.map(|planned| planned.map(|(_, plan)| plan)))
    }

    /// Carries out an update document. Gives whether anything was to be done; the state says how it ended.
    pub(crate) fn update(&mut self, document: &UpdateDocument, origin: Origin) -> Result<bool> {
        let Some((client, plan)) = self.prepare(document, origin)? else { return Ok(false) };
        self.places.forget_wish()?;
        let transaction = plan.transaction.clone();
        self.plan = Some(plan);
        self.drive_with(Event::Plan(transaction), Some(&client))?;
        Ok(true)
    }

    /// Plans an update document, and changes nothing; none if there is nothing to do now. Why it is refused is noted.
    fn prepare(&mut self, document: &UpdateDocument, origin: Origin) -> Result<Option<(Client, Plan)>> {
        let UpdateDocument::Update(update) = document;
        if !self.is_settled {
            bail!("the records of the last update could not be completed; the next start does that");
        }
        let planned = self.plan(update, origin).and_then(|planned| match planned {
            Some((client, plan)) if origin == Origin::Polled && self.must_wait(&client, &plan)? => Ok(None),
            planned => Ok(planned),
        });
        if let Err(error) = &planned {
            let (at, outcome, reason) = (Timestamp::now(), Outcome::Refused, format!("{error:#}"));
            self.journal.note_failure(Failure { at, outcome, reason, transaction: None, left_behind: Vec::new() })?;
        }
        planned
    }

    /// Puts back what was there before the last committed transaction.
    pub(crate) fn roll_back(&mut self) -> Result<()> {
        match self.state() {
            State::Committed { .. } | State::Abandoned { .. } | State::Postponed { .. } => {}
            State::RolledBack { .. } => bail!("there is nothing to roll back: the last update was rolled back already"),
            _ => bail!("there is nothing to roll back: this device made no update yet"),
        }
        let manifest = snapshot::load(&self.places.snapshot)?
            .context("there is nothing to roll back to: no snapshot of the version before is kept")?;
        for package in &manifest.transaction.packages {
            let floor = self.memory.rollback_floor(&package.name);
            if let (Some(from), Some(floor)) = (&package.from, floor)
                && from < floor
            {
                let (name, version, floor) = (package.name.clone(), from.clone(), floor.clone());
                bail!(Refusal::BelowFloor { name, version, floor });
            }
        }
        let lock = self.dpkg.lock()?;
        if self.shared_databases_hash()? != self.memory.committed_databases().map(str::to_owned) {
            bail!(
                "dpkg's database or the device's users changed since the update, so putting the snapshot back would undo other changes too; \
                 install the older version instead: debfleet-updater install NAME=VERSION --allow-downgrade"
            );
        }
        self.dpkg_lock = Some(lock);
        self.drive(Event::RollbackAsked(manifest.transaction))
    }
}
