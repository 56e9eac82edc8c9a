//! The one place that sees everything: it drives the state machine and performs its actions.

mod report;
mod run;

pub(crate) use report::status;
pub(crate) use run::run;

use crate::config::Config;
use crate::memory::Memory;
use crate::repository::{Client, Index, VerifiedPackage, fetch_index};
use crate::snapshot::{self, Captured};
use crate::stages::{Choice, Downloads, Refusal, Rules, check_health, choose, scope_of, units_of};
use crate::system::{Device, Dpkg, FrontendLock, Services, end_marked_processes, simulate_install};
use crate::transaction::{Action, Event, Failure, Journal, Outcome, PlannedPackage, State, Transaction, transition};
use anyhow::{Context, Result, bail};
use debian_formats::checksums::sha256_hex;
use debian_formats::names::SuiteName;
use debian_formats::openpgp::Keyring;
use debian_formats::{Architecture, PackageName, Version};
use durable_files::Lock;
use fleet_protocol::update_document::{Update, UpdateDocument};
use jiff::Timestamp;
use report::{CheckReport, PackageCheck};
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Where the agent keeps its files.
struct Places {
    journal: PathBuf,
    memory: PathBuf,
    snapshot: PathBuf,
    downloads: PathBuf,
    log: PathBuf,
}

impl Places {
    fn of(config: &Config) -> Self {
        let place = |name: &str| config.state_dir.join(name);
        Self {
            journal: place("journal"),
            memory: place("memory.json"),
            snapshot: place("snapshot"),
            downloads: place("downloads"),
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

/// How long a restore waits for another apt or dpkg, in each attempt.
const RESTORE_LOCK_WAIT: Duration = Duration::from_secs(60);

/// What a rollback by hand would overwrite, and others change too: dpkg's record of packages, and who may log in.
const SHARED_DATABASES: [&str; 5] = ["var/lib/dpkg/status", "etc/passwd", "etc/shadow", "etc/group", "etc/gshadow"];

/// The device is neither on the old version nor on the new one.
#[derive(Debug, thiserror::Error)]
#[error("the last update could not be rolled back: {reason}")]
pub(crate) struct CouldNotRollBack {
    reason: String,
}

/// The agent of one device, alone in its state folder while it lives.
pub(crate) struct Agent<'a> {
    config: &'a Config,
    places: Places,
    device: Device,
    dpkg: Dpkg,
    services: Services,
    journal: Journal,
    memory: Memory,
    downloads: Downloads,
    /// The keys that packages must be signed with, once an index was fetched.
    package_keys: Option<Keyring>,
    /// The packages of the transaction under way, once they are verified.
    verified: Vec<VerifiedPackage>,
    /// Held from the snapshot to the end of a transaction.
    dpkg_lock: Option<FrontendLock>,
    /// Whether all that follows from the last transaction is recorded.
    is_settled: bool,
    _alone: Lock,
}

impl<'a> Agent<'a> {
    /// Takes the device over; first it ends what an interruption left half-done.
    pub(crate) fn open(config: &'a Config) -> Result<Self> {
        let places = Places::of(config);
        durable_files::create_dir(&config.state_dir, 0o700)?;
        let alone = Lock::acquire(&config.state_dir.join("lock"))
            .context("another debfleet-updater is at work on this device")?;
        let device = Device { root: config.root.clone(), scripts: config.scripts };
        let mut agent = Self {
            config,
            dpkg: Dpkg::new(device.clone(), places.log.clone()),
            services: Services::new(&device, places.log.clone()),
            device,
            journal: Journal::open(&places.journal)?,
            memory: Memory::open(&places.memory),
            downloads: Downloads::new(places.downloads.clone()),
            places,
            package_keys: None,
            verified: Vec::new(),
            dpkg_lock: None,
            is_settled: true,
            _alone: alone,
        };
        if !agent.journal.state().is_at_rest() {
            tracing::warn!("the last update was interrupted in the state {}", agent.journal.state().name());
            // A dpkg that outlived a killed updater must not go on writing.
            end_marked_processes(&agent.mark()?);
        }
        agent.drive(Event::Interrupted)?;
        agent.memory.demand_readable()?;
        if let State::Stuck { reason, .. } = agent.journal.state() {
            bail!(CouldNotRollBack { reason: reason.clone() });
        }
        Ok(agent)
    }

    /// The state at rest.
    pub(crate) fn state(&self) -> &State {
        self.journal.state()
    }

    /// What the suite offers for the configured packages.
    pub(crate) fn check(&mut self) -> Result<CheckReport> {
        let (_, index) = self.fetch_index(&self.config.suite)?;
        let architecture = self.architecture()?;
        let mut packages = Vec::new();
        for name in &self.config.packages {
            let installed = self.installed_version(name)?;
            let choice = self.choose(&index, name, None, installed.as_ref(), &architecture, Origin::Polled, false);
            packages.push(PackageCheck::new(name, installed, choice));
        }
        Ok(CheckReport { suite: self.config.suite.clone(), packages })
    }

    /// Carries out an update document. Gives whether anything was to be done; the state says how it ended.
    pub(crate) fn update(&mut self, document: &UpdateDocument, origin: Origin) -> Result<bool> {
        let UpdateDocument::Update(update) = document;
        if !self.is_settled {
            bail!("the records of the last update could not be completed; the next start does that");
        }
        match self.plan(update, origin) {
            Ok(None) => Ok(false),
            Ok(Some((client, transaction))) => {
                self.drive_with(Event::Plan(transaction), Some(&client))?;
                Ok(true)
            }
            Err(error) => {
                let reason = format!("{error:#}");
                let failure = Failure {
                    at: Timestamp::now(),
                    outcome: Outcome::Refused,
                    reason,
                    transaction: None,
                    left_behind: Vec::new(),
                };
                self.journal.note_failure(failure)?;
                Err(error)
            }
        }
    }

    /// Puts back what was there before the last committed transaction.
    pub(crate) fn roll_back(&mut self) -> Result<()> {
        match self.state() {
            State::Committed { .. } | State::Abandoned { .. } => {}
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

    fn plan(&mut self, update: &Update, origin: Origin) -> Result<Option<(Client, Transaction)>> {
        let suite: SuiteName = update.suite.parse()?;
        if update.packages.is_empty() {
            bail!("the update names no package");
        }
        let (client, index) = self.fetch_index(&suite)?;
        let architecture = self.architecture()?;
        let mut packages: Vec<PlannedPackage> = Vec::new();
        let mut names = BTreeSet::new();
        for wanted in &update.packages {
            let name: PackageName = wanted.name.parse()?;
            if !names.insert(name.clone()) {
                bail!("{name} is named twice");
            }
            let version: Option<Version> = wanted.version.as_deref().map(str::parse).transpose()?;
            let installed = self.installed_version(&name)?;
            let choice = self.choose(
                &index,
                &name,
                version.as_ref(),
                installed.as_ref(),
                &architecture,
                origin,
                update.allow_downgrade,
            )?;
            match choice {
                Choice::UpToDate => tracing::info!("{name} is up to date"),
                Choice::Update(planned) => packages.push(planned),
            }
        }
        if packages.is_empty() {
            return Ok(None);
        }
        Ok(Some((client, Transaction { began: Timestamp::now(), packages })))
    }

    #[expect(clippy::too_many_arguments, reason = "one call of a pure decision with all that it needs")]
    fn choose(
        &self,
        index: &Index,
        name: &PackageName,
        wanted: Option<&Version>,
        installed: Option<&Version>,
        architecture: &Architecture,
        origin: Origin,
        allow_downgrade: bool,
    ) -> Result<Choice> {
        let floor = self.memory.rollback_floor(name);
        let rules = Rules { architecture, installed, floor, wanted, allow_downgrade };
        let held_back = |version: &Version| origin == Origin::Polled && self.memory.was_rolled_back(name, version);
        Ok(choose(name, &index.entries(name)?, rules, held_back)?)
    }

    fn fetch_index(&mut self, suite: &SuiteName) -> Result<(Client, Index)> {
        let client = Client::new(&self.config.repository, self.config.ca.as_deref())?;
        let architecture = self.architecture()?;
        let keys = self.config.repository_keys()?;
        self.package_keys = Some(self.config.package_keys()?);
        let index = fetch_index(&client, &keys, suite, &architecture, &mut self.memory, Timestamp::now())?;
        Ok((client, index))
    }

    fn architecture(&self) -> Result<Architecture> {
        Ok(self.config.architecture.clone().map_or_else(|| self.dpkg.architecture(), Ok)?)
    }

    fn installed_version(&self, name: &PackageName) -> Result<Option<Version>> {
        let installed = self.dpkg.installed()?;
        Ok(installed.into_iter().find(|package| package.name == *name).map(|package| package.version))
    }

    fn drive(&mut self, event: Event) -> Result<()> {
        self.drive_with(event, None)
    }

    /// Feeds events to the table until nothing is left to do. Each state is durable before its action begins.
    fn drive_with(&mut self, event: Event, client: Option<&Client>) -> Result<()> {
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
        Ok(Some(match action {
            Action::Download => outcome(self.download(client), Event::Verified),
            Action::TakeSnapshot => outcome(self.take_snapshot(), Event::SnapshotTaken),
            Action::AnnounceInstall => Event::InstallStarts,
            Action::Install => outcome(self.install(), Event::Installed),
            Action::CheckHealth => outcome(self.check_health(), Event::Healthy),
            Action::Restore => outcome(self.restore(), Event::Restored),
            Action::Settle => {
                self.is_settled = false;
                self.settle().context("the update has ended, but not all that follows from it could be recorded")?;
                self.is_settled = true;
                return Ok(None);
            }
        }))
    }

    /// What marks the processes of the transaction under way.
    fn mark(&self) -> Result<String> {
        Ok(format!("{}@{}", self.config.state_dir.display(), self.transaction()?.began))
    }

    fn transaction(&self) -> Result<Transaction> {
        self.journal.state().transaction().cloned().context("no update is under way")
    }

    fn download(&mut self, client: Option<&Client>) -> Result<()> {
        let client = client.context("no connection to the repository")?;
        let keys = self.package_keys.as_ref().context("no package keys are loaded")?;
        self.verified.clear();
        for planned in &self.transaction()?.packages {
            tracing::info!("downloading {} {} ({} bytes)", planned.name, planned.to, planned.size);
            let roles = &self.config.required_signatures;
            self.verified.push(self.downloads.fetch(client, planned, keys, roles)?);
        }
        let files: Vec<PathBuf> = self.verified.iter().map(|package| package.path().to_owned()).collect();
        let names: Vec<&str> = self.verified.iter().map(|package| package.control().package().as_str()).collect();
        simulate_install(&self.device, &files, &names, &self.places.log)?;
        Ok(())
    }

    fn take_snapshot(&mut self) -> Result<()> {
        let lock = self.dpkg.lock()?;
        self.dpkg.heal(&self.mark()?, &lock)?;
        let transaction = self.transaction()?;
        for planned in &transaction.packages {
            if self.installed_version(&planned.name)? != planned.from {
                bail!("{} was changed by somebody else since the update was planned", planned.name);
            }
        }
        let scope = scope_of(&self.device, &self.verified).context("could not find out what will change")?;
        let units = units_of(&self.device, &self.verified)?;
        let install_bytes = self.verified.iter().map(unpacked_bytes).sum();
        tracing::info!("copying away what will change");
        snapshot::capture(
            &scope,
            Captured {
                root: &self.device.root,
                folder: &self.places.snapshot,
                ours: &self.config.state_dir,
                transaction: &transaction,
                active_units: self.services.active_among(&units),
                units,
                install_bytes,
            },
        )?;
        self.dpkg_lock = Some(lock);
        Ok(())
    }

    fn install(&mut self) -> Result<()> {
        let lock = self.dpkg_lock.as_ref().context("dpkg's lock is not held")?;
        tracing::info!("installing with dpkg");
        self.dpkg.install(&self.verified, self.config.install_timeout, &self.mark()?, lock)?;
        // What a commit stands on must be on the disk.
        rustix::fs::sync();
        Ok(())
    }

    fn check_health(&mut self) -> Result<()> {
        tracing::info!("checking health");
        let mark = self.mark()?;
        check_health(&self.verified, &self.device, &self.services, &self.places.log, &mark)
            .map_err(anyhow::Error::msg)?;
        // Noted before the commit: a second start must not take somebody else's later change for ours.
        let databases = self.shared_databases_hash()?;
        for package in &self.verified {
            if let Some(floor) = package.rollback_floor() {
                self.memory.propose_rollback_floor(package.control().package(), floor)?;
            }
        }
        Ok(self.memory.note_committed_databases(databases)?)
    }

    fn restore(&mut self) -> Result<()> {
        end_marked_processes(&self.mark()?);
        if self.dpkg_lock.is_none() {
            self.dpkg_lock = Some(self.dpkg.wait_for_lock(RESTORE_LOCK_WAIT)?);
        }
        // Nothing is installed from them any more, and on a full disk the way back needs their room.
        if let Err(error) = self.downloads.clear() {
            tracing::warn!("could not remove the downloads: {error}");
        }
        let manifest =
            snapshot::load(&self.places.snapshot)?.context("the snapshot is gone, so it cannot be put back")?;
        let reason = match self.journal.state() {
            State::RollingBack { reason, .. } => reason.clone(),
            _ => String::new(),
        };
        tracing::warn!("rolling back: {reason}");
        // Also what only the new version brought: its unit file goes, and its processes must not stay.
        self.services.stop(&self.services.running_among(&manifest.units));
        snapshot::restore(&self.device.root, &self.places.snapshot, &manifest)?;
        self.services.reload_and_start(&manifest.active_units);
        let left_behind =
            snapshot::changed_outside(&self.device.root, &self.places.snapshot, &self.config.state_dir, &manifest);
        let transaction = Some(manifest.transaction);
        let failure = Failure { at: Timestamp::now(), outcome: Outcome::RolledBack, reason, transaction, left_behind };
        Ok(self.journal.note_failure(failure)?)
    }

    /// What follows from the end of a transaction. Repeated at every start, so that a power cut loses none of it.
    fn settle(&mut self) -> Result<()> {
        // First what makes room for the rest, should the disk be full.
        if !matches!(self.journal.state(), State::Abandoned { .. }) {
            self.downloads.clear().context("could not remove the downloads")?;
        }
        match self.journal.state().clone() {
            State::Committed { transaction } => {
                for package in &transaction.packages {
                    self.memory.forget_rolled_back(&package.name, &package.to)?;
                    self.memory.confirm_rollback_floor(&package.name)?;
                    self.memory.note_previous(&package.name, package.from.as_ref())?;
                }
            }
            State::RolledBack { transaction, .. } => {
                snapshot::discard(&self.places.snapshot)?;
                for package in &transaction.packages {
                    self.memory.note_rolled_back(&package.name, &package.to)?;
                    self.memory.drop_proposed_floor(&package.name)?;
                    // Back at the version before: what was before that one is not known any more.
                    if self.memory.previous(&package.name) == package.from.as_ref() {
                        self.memory.note_previous(&package.name, None)?;
                    }
                }
            }
            State::Abandoned { transaction, reason } => {
                // An older snapshot, of a transaction that was committed, stays: one may still go back to it.
                let ours = snapshot::load(&self.places.snapshot)?.is_none_or(|kept| kept.transaction == transaction);
                if ours {
                    snapshot::discard(&self.places.snapshot)?;
                }
                let known = self.journal.last_failure().is_some_and(|f| f.transaction.as_ref() == Some(&transaction));
                if !known {
                    let transaction = Some(transaction);
                    let at = Timestamp::now();
                    let outcome = Outcome::Abandoned;
                    self.journal.note_failure(Failure { at, outcome, reason, transaction, left_behind: Vec::new() })?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn note_stuck(&mut self) -> Result<()> {
        if let State::Stuck { transaction, reason } = self.journal.state().clone() {
            let (at, outcome, transaction) = (Timestamp::now(), Outcome::Stuck, Some(transaction));
            self.journal.note_failure(Failure { at, outcome, reason, transaction, left_behind: Vec::new() })?;
        }
        Ok(())
    }

    fn shared_databases_hash(&self) -> Result<Option<String>> {
        let mut digests = String::new();
        for path in SHARED_DATABASES.map(|path| self.device.root.join(path)) {
            match std::fs::read(&path) {
                Ok(bytes) => digests.push_str(&sha256_hex(&bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => digests.push_str("absent"),
                Err(error) => return Err(error).with_context(|| format!("could not read {}", path.display())),
            }
        }
        Ok(Some(sha256_hex(digests.as_bytes())))
    }
}

/// `Installed-Size` (in KiB, Policy 5.6.20), or a guess from the package's own size.
fn unpacked_bytes(package: &VerifiedPackage) -> u64 {
    let declared = package.control().stanza().get("Installed-Size").and_then(|size| size.trim().parse::<u64>().ok());
    declared.map_or(64 << 20, |kib| kib.saturating_mul(1024))
}
