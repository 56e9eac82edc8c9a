//! The one place that sees everything: it drives the state machine and performs its actions.

mod actions;
mod explain;
pub(crate) mod own_unit;
mod plan_report;
mod planning;
mod report;
mod run;
mod safe_state;
mod trial;
mod waiting;

pub(crate) use explain::{explain, history, lines as history_lines};
pub(crate) use report::status;
pub(crate) use run::{newest, run};
pub(crate) use trial::self_check;

use crate::config::Config;
use crate::history::{Ended, Entry, History};
use crate::memory::Memory;
use crate::policy::MachineId;
use crate::repository::{Client, Index, Suite, VerifiedPackage};
use crate::snapshot;
use crate::stages::{Choice, Downloads, Plan, Refusal, Wish};
use crate::supervision;
use crate::system::{
    Apt, Device, Dpkg, FrontendLock, Services, Starting, current_boot, end_marked_processes, end_rest_of_unit,
    is_inside_own_unit,
};
use crate::transaction::{Action, Event, Failure, Journal, JournalError, Outcome, State, transition};
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
use std::time::{Duration, Instant};
use waiting::Waiting;

/// The highest exit code that the commands have; `--help` says what each means.
pub(crate) const LAST_EXIT_CODE: u8 = 5;

/// Where the agent keeps its files.
pub(crate) struct Places {
    journal: PathBuf,
    history: PathBuf,
    /// What a person wishes of a version on trial.
    wish: PathBuf,
    /// A copy of this program that no update touches.
    recovery: PathBuf,
    memory: PathBuf,
    snapshot: PathBuf,
    downloads: PathBuf,
    /// What is brought here before it may be installed.
    ahead: PathBuf,
    /// The last index of each suite.
    index: PathBuf,
    /// Why an update that was found waits.
    waiting: PathBuf,
    /// What apt is given and writes while it plans.
    apt: PathBuf,
    log: PathBuf,
}

impl Places {
    pub(crate) fn of(config: &Config) -> Self {
        let place = |name: &str| config.state_dir.join(name);
        Self {
            journal: place("journal"),
            history: place("history.json"),
            wish: place("wish"),
            recovery: place("recovery"),
            memory: place("memory.json"),
            snapshot: place("snapshot"),
            downloads: place("downloads"),
            ahead: place("ahead"),
            index: place("index"),
            waiting: place("waiting.json"),
            apt: place("apt"),
            log: place("last-program.log"),
        }
    }
}

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
        let alone = alone(config)?;
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

    fn drive(&mut self, event: Event) -> Result<()> {
        self.drive_with(event, None)
    }

    /// Feeds events to the table until nothing is left to do. Each state is durable before its action begins.
    fn drive_with(&mut self, event: Event, client: Option<&Client>) -> Result<()> {
        let driven = self.drive_to_rest(event, client);
        match driven {
            // The agent's own records failed in the middle: what was begun is not ended.
            Err(error) if !self.journal.state().is_at_rest() => {
                let reason = format!("{error:#}; `debfleet-updater recover` ends it, as does the next start");
                Err(InBetween::new(reason).into())
            }
            other => other,
        }
    }

    fn drive_to_rest(&mut self, event: Event, client: Option<&Client>) -> Result<()> {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let (state, action) = transition(self.journal.state().clone(), event)?;
            if *self.journal.state() != state {
                self.journal.enter(state)?;
            }
            if let Some(action) = action {
                next = self.perform(action, client)?;
            }
        }
        self.note_stuck()?;
        self.dpkg_lock = None;
        Ok(())
    }

    /// Performs an action; a failure of it is an event, an error is a failure of the agent's own records.
    fn perform(&mut self, action: Action, client: Option<&Client>) -> Result<Option<Event>> {
        let outcome = |result: Result<()>, event: Event| match result {
            Ok(()) => event,
            Err(error) => Event::Failed(format!("{error:#}")),
        };
        supervision::step_may_take(self.longest(action));
        let failed = |error: anyhow::Error| Event::Failed(format!("{error:#}"));
        Ok(Some(match action {
            Action::Download => outcome(self.download(client), Event::Verified),
            Action::TakeSnapshot => match self.inhibited()? {
                Some(reason) => Event::Inhibited(reason),
                None => outcome(self.take_snapshot(), Event::SnapshotTaken),
            },
            Action::AnnounceInstall => Event::InstallStarts,
            Action::Install => self.install().and_then(|()| self.after_install()).unwrap_or_else(failed),
            Action::Reboot => return self.reboot(),
            Action::CheckHealth => self.check_health().unwrap_or_else(failed),
            Action::Restore => outcome(self.restore(), Event::Restored),
            Action::Settle => {
                self.is_settled = false;
                self.settle().context("the update has ended, but not all that follows from it could be recorded")?;
                self.is_settled = true;
                return Ok(None);
            }
        }))
    }

    /// After this time a step hangs where no time limit of its own reaches. A trial says its time itself.
    fn longest(&self, action: Action) -> Duration {
        const HOUR: Duration = Duration::from_secs(3600);
        match action {
            Action::Download => 48 * HOUR,
            Action::Install => self.config.install_timeout + HOUR,
            _ => HOUR,
        }
    }

    /// Kills what an interrupted transaction left running.
    fn end_leftovers(&self) -> Result<()> {
        end_marked_processes(&self.mark()?);
        end_rest_of_unit();
        Ok(())
    }

    fn note_stuck(&mut self) -> Result<()> {
        if let State::Stuck { transaction, reason } = self.journal.state().clone() {
            let entry = Entry::new(&transaction, Timestamp::now(), Ended::Stuck);
            if let Err(error) = self.history.add(entry.because(&reason, &[])) {
                tracing::warn!("could not note the attempt in the history: {error}");
            }
            let (at, outcome, transaction) = (Timestamp::now(), Outcome::Stuck, Some(transaction));
            self.journal.note_failure(Failure { at, outcome, reason, transaction, left_behind: Vec::new() })?;
        }
        Ok(())
    }
}

/// Takes the lock that an agent holds while it lives. In an update's own unit it waits for its turn: a poll or a
/// question may hold it for a moment.
fn alone(config: &Config) -> Result<Lock> {
    const LONGEST: Duration = Duration::from_secs(120);
    const PAUSE: Duration = Duration::from_millis(100);
    durable_files::create_dir(&config.state_dir, 0o700)?;
    let path = config.state_dir.join("lock");
    let deadline = Instant::now() + LONGEST;
    loop {
        match Lock::acquire(&path) {
            Err(_) if is_inside_own_unit() && Instant::now() < deadline => std::thread::sleep(PAUSE),
            other => {
                return other.context(
                    "another debfleet-updater is at work on this device; `debfleet-updater status` says what it does",
                );
            }
        }
    }
}

/// Where the device stands, without taking it over.
pub(crate) fn state(config: &Config) -> Result<State> {
    let journal = match Journal::open_if_there(&Places::of(config).journal) {
        // Whoever takes the device over keeps such a journal aside.
        Err(JournalError::Unreadable { .. } | JournalError::Schema { .. }) => None,
        other => other?,
    };
    Ok(journal.map_or(State::Idle, |journal| journal.state().clone()))
}

/// Whether nothing is under way, nor may be: a journal that cannot be read says neither.
pub(crate) fn is_at_rest(config: &Config) -> bool {
    match Journal::open_if_there(&Places::of(config).journal) {
        Ok(journal) => journal.is_none_or(|journal| journal.state().is_at_rest()),
        Err(_) => false,
    }
}

/// Tells whoever tries a version what a person wishes, and waits until the trial has ended. Gives false if there is no
/// trial under way.
pub(crate) fn wish(config: &Config, wish: Wish) -> Result<bool> {
    const LONGEST: Duration = Duration::from_secs(900);
    const PAUSE: Duration = Duration::from_millis(200);
    let places = Places::of(config);
    if !matches!(state(config)?, State::Probation { .. } | State::Rebooting { .. }) {
        return Ok(false);
    }
    places.make_wish(wish)?;
    let deadline = Instant::now() + LONGEST;
    let lock = config.state_dir.join("lock");
    // Whoever holds the lock tries the version; if nobody does, the caller takes over and finds the wish.
    while Lock::acquire(&lock).is_err() {
        if Instant::now() > deadline {
            bail!("the update under way did not end within {} s; see `debfleet-updater status`", LONGEST.as_secs());
        }
        std::thread::sleep(PAUSE);
    }
    Ok(true)
}
