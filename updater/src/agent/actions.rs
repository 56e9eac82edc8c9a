//! How each action of the state machine is performed.

use super::{Agent, Moment};
use crate::history::{Ended, Entry};
use crate::repository::{Client, VerifiedPackage};
use crate::snapshot::{self, Captured, is_part_of_the_system};
use crate::stages::{Plan, demand_no_new_privileges, marked, scope_of, units_of, unpacked_bytes};
use crate::system::Starting;
use crate::system::{ExactVersion, sequence};
use crate::transaction::{Cause, Failure, Outcome, PlannedPackage, State, Transaction};
use anyhow::{Context, Result, bail};
use debian_formats::checksums::sha256_hex;
use jiff::Timestamp;
use std::io;
use std::time::Duration;

/// How long a restore waits for another apt or dpkg, in each attempt.
const RESTORE_LOCK_WAIT: Duration = Duration::from_secs(60);

/// What a rollback by hand would overwrite, and others change too: dpkg's record of packages, and who may log in.
const SHARED_DATABASES: [&str; 5] = ["var/lib/dpkg/status", "etc/passwd", "etc/shadow", "etc/group", "etc/gshadow"];

impl Agent<'_> {
    /// What marks the processes of the transaction under way.
    pub(super) fn mark(&self) -> Result<String> {
        Ok(format!("{}@{}", self.config.state_dir.display(), self.transaction()?.began))
    }

    pub(super) fn transaction(&self) -> Result<Transaction> {
        self.journal.state().transaction().cloned().context("no update is under way")
    }

    pub(super) fn download(&mut self, client: Option<&Client>) -> Result<()> {
        let client = client.context("no connection to the repository")?;
        let keys = self.package_keys.as_ref().context("no package keys are loaded")?;
        let plan = self.plan.as_ref().context("nothing is planned")?;
        let apt = self.apt.as_ref().context("apt was not asked")?;
        let (ours, others) = plan.by_source();
        let mut verified = Vec::new();
        for (planned, entry) in ours {
            tracing::info!("downloading {} {} ({} bytes)", planned.name, planned.to, entry.size());
            let roles = &self.config.required_signatures;
            let package = self.downloads.fetch(client, planned, entry, keys, roles)?;
            demand_no_new_privileges(&self.device.root, &package, &self.config.allow_setuid)?;
            verified.push(package);
        }
        for (planned, entry) in &others {
            tracing::info!("apt downloads {} {} ({} bytes)", planned.name, planned.to, entry.size());
        }
        verified.extend(self.downloads.fetch_by_apt(apt, &others)?);
        // In the plan's order, which dpkg follows.
        let place = |package: &VerifiedPackage| {
            let control = package.control();
            let is_it = |planned: &PlannedPackage| {
                planned.name == *control.package() && planned.architecture == *control.architecture()
            };
            plan.transaction.packages.iter().position(is_it)
        };
        verified.sort_by_key(place);
        self.verified = verified;
        Ok(())
    }

    pub(super) fn take_snapshot(&mut self) -> Result<()> {
        let lock = self.dpkg.lock()?;
        self.dpkg.heal(&self.mark()?, &lock)?;
        let transaction = self.transaction()?;
        let (installed, native) = (self.dpkg.installed()?, self.architecture()?);
        for planned in &transaction.packages {
            let target = ExactVersion::exactly(planned).target;
            let before = installed.iter().find(|found| found.is(&target, &native)).map(|found| &found.version);
            if before != planned.from.as_ref() {
                bail!("{} was changed by somebody else since the update was planned", planned.name);
            }
        }
        let removed = &transaction.removed;
        if let Some(gone) = removed.iter().find(|gone| !installed.iter().any(|found| found.name == gone.name)) {
            bail!("{} was removed by somebody else since the update was planned", gone.name);
        }
        let mut scope =
            scope_of(&self.device, &self.verified, removed).context("could not find out what will change")?;
        scope.add_paths(transaction.packages.iter().flat_map(|planned| self.memory.left_behind(&planned.name)));
        let units = units_of(&self.device, &self.verified, removed)?;
        let install_bytes = self.verified.iter().map(|package| unpacked_bytes(package.control())).sum();
        let install_files = self.verified.iter().map(|package| package.paths().len() as u64).sum();
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
                install_files,
            },
        )?;
        self.dpkg_lock = Some(lock);
        Ok(())
    }

    pub(super) fn install(&mut self) -> Result<()> {
        let lock = self.dpkg_lock.as_ref().context("dpkg's lock is not held")?;
        tracing::info!("installing with dpkg");
        let plan = self.plan.as_ref().context("nothing is planned")?;
        let (calls, removed) = (sequence(&plan.steps), &plan.transaction.removed);
        self.dpkg.install(&calls, &self.verified, removed, self.config.install_timeout, &self.mark()?, lock)?;
        self.mark_automatic(plan).context("could not tell apt which packages came by themselves")?;
        // What a commit stands on must be on the disk.
        let manifest = snapshot::load(&self.places.snapshot)?.context("the snapshot is gone")?;
        Ok(snapshot::flush(&self.device.root, &manifest)?)
    }

    /// As apt does, so that `apt autoremove` later takes what nothing needs any more, and nothing that was asked for.
    fn mark_automatic(&self, plan: &Plan) -> Result<()> {
        let path = self.device.root.join("var/lib/apt/extended_states");
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            other => other?,
        };
        let native = self.architecture()?;
        let named = |planned: &'_ PlannedPackage| {
            let PlannedPackage { name, architecture, .. } = planned;
            (name.clone(), if architecture.is_all() { native.clone() } else { architecture.clone() })
        };
        let packages = &plan.transaction.packages;
        let automatic: Vec<_> = packages.iter().filter(|p| !p.asked && p.from.is_none()).map(named).collect();
        let asked: Vec<_> = packages.iter().filter(|planned| planned.asked).map(named).collect();
        if let Some(text) = marked(&text, &automatic, &asked) {
            durable_files::create_dir(&self.device.root.join("var/lib/apt"), 0o755)?;
            durable_files::replace(&path, text.as_bytes(), 0o644)?;
        }
        Ok(())
    }

    pub(super) fn restore(&mut self) -> Result<()> {
        self.end_leftovers()?;
        if self.dpkg_lock.is_none() {
            self.dpkg_lock = Some(self.dpkg.wait_for_lock(RESTORE_LOCK_WAIT)?);
        }
        // Nothing is installed from them any more, and on a full disk the way back needs their room.
        if let Err(error) = self.downloads.clear_all() {
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
        let starting = match self.moment {
            Moment::Boot => Starting::InTheirTurn,
            Moment::Running => Starting::Now,
        };
        self.services.reload_and_start(&manifest.active_units, starting);
        let left_behind =
            snapshot::changed_outside(&self.device.root, &self.places.snapshot, &self.config.state_dir, &manifest);
        self.remember_to_copy_away(&manifest.transaction, &left_behind);
        let transaction = Some(manifest.transaction);
        let failure = Failure { at: Timestamp::now(), outcome: Outcome::RolledBack, reason, transaction, left_behind };
        Ok(self.journal.note_failure(failure)?)
    }

    /// So that the next attempt can be rolled back wholly.
    fn remember_to_copy_away(&mut self, transaction: &Transaction, left_behind: &[String]) {
        let ours: Vec<String> = left_behind.iter().filter(|path| is_part_of_the_system(path)).cloned().collect();
        for package in transaction.of_suite() {
            if let Err(error) = self.memory.note_left_behind(&package.name, &ours) {
                tracing::warn!("could not remember what was left behind: {error}");
            }
        }
    }

    /// What follows from the end of a transaction. Repeated at every start, so that a power cut loses none of it.
    pub(super) fn settle(&mut self) -> Result<()> {
        // First what makes room for the rest, should the disk be full.
        if !matches!(self.journal.state(), State::Abandoned { .. } | State::Postponed { .. }) {
            self.downloads.clear().context("could not remove the downloads")?;
        }
        self.places.forget_wish()?;
        match self.journal.state().clone() {
            State::Committed { transaction } => {
                self.memory.note_committed(transaction.began)?;
                self.note_history(Entry::new(&transaction, Timestamp::now(), Ended::Committed))?;
                for package in transaction.of_suite() {
                    self.memory.forget_rolled_back(&package.name, &package.to)?;
                    self.memory.confirm_rollback_floor(&package.name)?;
                    self.memory.note_previous(&package.name, package.from.as_ref())?;
                }
                // Only room is lost if that does not work.
                if let Err(error) = snapshot::release_subvolume(&self.places.snapshot) {
                    tracing::warn!("the snapshot keeps more than it needs: {error}");
                }
            }
            State::RolledBack { transaction, reason, cause } => {
                snapshot::discard(&self.places.snapshot)?;
                let told = self.journal.last_failure().map(|failure| failure.left_behind.clone()).unwrap_or_default();
                let entry = Entry::new(&transaction, Timestamp::now(), Ended::RolledBack).because(&reason, &told);
                let is_new = self.note_history(entry)?;
                for package in transaction.of_suite() {
                    match cause {
                        Cause::Interrupted if is_new => self.memory.note_interrupted(&package.name, &package.to)?,
                        Cause::Interrupted => {}
                        Cause::Failed | Cause::ByHand => self.memory.note_rolled_back(&package.name, &package.to)?,
                    }
                    self.memory.drop_proposed_floor(&package.name)?;
                    // Back at the version before: what was before that one is not known any more.
                    if self.memory.previous(&package.name) == package.from.as_ref() {
                        self.memory.note_previous(&package.name, None)?;
                    }
                }
            }
            state @ (State::Abandoned { .. } | State::Postponed { .. }) => {
                let outcome =
                    if matches!(state, State::Postponed { .. }) { Outcome::Postponed } else { Outcome::Abandoned };
                let (State::Abandoned { transaction, reason } | State::Postponed { transaction, reason }) = state
                else {
                    return Ok(());
                };
                let entry = Entry::new(&transaction, Timestamp::now(), outcome.into());
                self.note_history(entry.because(&reason, &[]))?;
                // An older snapshot, of a transaction that was committed, stays: one may still go back to it.
                let ours = snapshot::load(&self.places.snapshot)?.is_none_or(|kept| kept.transaction == transaction);
                if ours {
                    snapshot::discard(&self.places.snapshot)?;
                }
                let known = self.journal.last_failure().is_some_and(|f| f.transaction.as_ref() == Some(&transaction));
                if !known {
                    let transaction = Some(transaction);
                    let at = Timestamp::now();
                    self.journal.note_failure(Failure { at, outcome, reason, transaction, left_behind: Vec::new() })?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds to the history; false if it was there already.
    fn note_history(&self, entry: Entry) -> Result<bool> {
        Ok(self.history.add(entry)?)
    }

    pub(super) fn shared_databases_hash(&self) -> Result<Option<String>> {
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
