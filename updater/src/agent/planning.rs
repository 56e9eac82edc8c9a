//! What is to be done: from an update document and a verified index to a set that apt's resolver completed.

use super::{Agent, Origin};
use crate::policy::is_phased_in;
use crate::repository::{Client, Index, KeptIndex, Suite};
use crate::stages::{Choice, Plan, Rules, SetFacts, SetRefusal, choose, judge};
use crate::system::{Apt, AptError, ExactVersion, Step, Target};
use anyhow::{Result, bail};
use debian_formats::names::SuiteName;
use debian_formats::packages::PackageEntry;
use debian_formats::{Architecture, PackageName, Version};
use fleet_protocol::update_document::Update;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::rc::Rc;

/// A package that was asked for, and the suite's entry of the version to install; none: it is up to date.
type Asked = (PackageName, Option<PackageEntry>);

impl Agent<'_> {
    /// Plans an update; none if nothing is to be done.
    pub(super) fn plan(&mut self, update: &Update, origin: Origin) -> Result<Option<(Client, Plan)>> {
        let suite: SuiteName = update.suite.parse()?;
        if update.packages.is_empty() {
            bail!("the update names no package");
        }
        let (client, index) = self.fetch_index(&suite)?;
        let mut asked: Vec<Asked> = Vec::new();
        for wanted in &update.packages {
            let name: PackageName = wanted.name.parse()?;
            if asked.iter().any(|(other, _)| *other == name) {
                bail!("{name} is named twice");
            }
            let version: Option<Version> = wanted.version.as_deref().map(str::parse).transpose()?;
            match self.choose(&index, &name, version.as_ref(), origin, update.allow_downgrade)? {
                Choice::UpToDate => {
                    match origin {
                        Origin::Asked => tracing::info!("{name} is up to date"),
                        // Nobody asked, and while another one waits it is so at each poll.
                        Origin::Polled => tracing::debug!("{name} is up to date"),
                    }
                    asked.push((name, None));
                }
                Choice::Update(entry) => asked.push((name, Some(*entry))),
            }
        }
        Ok(self.resolve(&index, &asked, update.allow_downgrade)?.map(|plan| (client, plan)))
    }

    /// Lets apt's resolver complete a set, and judges what it says; none if nothing is to be done.
    pub(super) fn resolve(&mut self, index: &Index, asked: &[Asked], allow_downgrade: bool) -> Result<Option<Plan>> {
        let entries: Vec<&PackageEntry> = asked.iter().filter_map(|(_, entry)| entry.as_ref()).collect();
        if entries.is_empty() {
            return Ok(None);
        }
        let native = self.architecture()?;
        let (folder, log) = (self.places.apt.clone(), self.places.log.clone());
        durable_files::create_dir(&folder, 0o700)?;
        let rate = self.config.remote.rate_limit;
        let apt = Apt::with_suite(&self.device, &native, folder, log, rate, index.narrowed_to(&entries))?;
        let plan = self.resolve_with(&apt, index, asked, allow_downgrade, &native);
        self.apt = Some(apt);
        plan.map(Some)
    }

    fn resolve_with(
        &self,
        apt: &Apt,
        index: &Index,
        asked: &[Asked],
        allow_downgrade: bool,
        native: &Architecture,
    ) -> Result<Plan> {
        let wanted: Vec<&PackageName> =
            asked.iter().filter(|(_, entry)| entry.is_some()).map(|(name, _)| name).collect();
        let installed = self.dpkg.installed()?;
        let is_held = |target: &Target| installed.iter().any(|found| found.is(target, native) && found.is_held());
        let steps = match apt.simulate(&wanted) {
            // apt says that it cannot be done, and not which hold stands in the way.
            Err(refused @ AptError::Refused { .. }) => {
                let changed = match apt.simulate_without_holds(&wanted) {
                    Ok(steps) => steps.into_iter().find_map(|step| match step {
                        Step::Unpack(unpack) if is_held(&unpack.target) => Some((unpack.target.name, "change")),
                        Step::Remove(target) if is_held(&target) => Some((target.name, "remove")),
                        _ => None,
                    }),
                    Err(_) => None,
                };
                match changed {
                    Some((name, change)) => bail!(SetRefusal::Held { name, change }),
                    None => bail!(refused),
                }
            }
            other => other?,
        };
        let unpacked =
            || steps.iter().filter_map(|step| if let Step::Unpack(unpack) = step { Some(unpack) } else { None });
        let names: BTreeSet<&PackageName> = unpacked().map(|unpack| &unpack.target.name).collect();
        let suite = index.entries_of(&names)?;
        let is_offered = |name: &PackageName| suite.iter().any(|entry| entry.control().package() == name);
        let others: Vec<ExactVersion> = unpacked()
            .filter(|unpack| !is_offered(&unpack.target.name))
            .map(|unpack| ExactVersion { target: unpack.target.clone(), version: unpack.version.clone() })
            .collect();
        let (others, locations) =
            if others.is_empty() { Default::default() } else { (apt.show(&others)?, apt.locate(&wanted)?) };
        let facts = SetFacts {
            asked,
            allow_downgrade,
            suite: &suite,
            others: &others,
            locations: &locations,
            installed: &installed,
            native,
            floor: &|name| self.memory.rollback_floor(name).cloned(),
        };
        Ok(judge(&steps, &facts, Timestamp::now(), self.folder.is_none())?)
    }

    pub(super) fn choose(
        &self,
        index: &Index,
        name: &PackageName,
        wanted: Option<&Version>,
        origin: Origin,
        allow_downgrade: bool,
    ) -> Result<Choice> {
        let installed = self.installed_version(name)?;
        let architecture = self.architecture()?;
        let floor = self.memory.rollback_floor(name);
        let rules =
            Rules { architecture: &architecture, installed: installed.as_ref(), floor, wanted, allow_downgrade };
        let entries = index.entries(name)?;
        // As apt does, only what is there already is updated in phases.
        let phased_out = |version: &Version| {
            let entry = entries.iter().find(|entry| entry.control().version() == version);
            installed.is_some() && entry.is_some_and(|entry| !is_phased_in(entry.control(), self.machine.as_ref()))
        };
        let held_back = |version: &Version| {
            origin == Origin::Polled && (self.memory.was_rolled_back(name, version) || phased_out(version))
        };
        Ok(choose(name, &entries, rules, held_back)?)
    }

    /// The suite as its repository has it now, asked once in the agent's life.
    pub(super) fn fetch_suite(&mut self, name: &SuiteName) -> Result<(Client, Rc<Suite>)> {
        if let Some((client, suite)) = self.fetched.as_ref().filter(|(_, suite)| suite.name() == name) {
            return Ok((client.clone(), Rc::clone(suite)));
        }
        let (client, kept) = match &self.folder {
            Some(folder) => (Client::in_folder(folder, name.as_str())?, None),
            None => (Client::over_http(&self.config.remote)?, Some(KeptIndex::of(&self.places.index, name))),
        };
        let keys = self.config.repository_keys()?;
        self.package_keys = Some(self.config.package_keys()?);
        let suite = Rc::new(Suite::fetch(&client, &keys, name, kept, &self.memory, Timestamp::now())?);
        self.fetched = Some((client.clone(), Rc::clone(&suite)));
        Ok((client, suite))
    }

    pub(super) fn fetch_index(&mut self, suite: &SuiteName) -> Result<(Client, Index)> {
        let (client, suite) = self.fetch_suite(suite)?;
        let architecture = self.architecture()?;
        let index = suite.index(&client, &architecture, &mut self.memory)?;
        Ok((client, index))
    }

    pub(super) fn architecture(&self) -> Result<Architecture> {
        Ok(self.config.architecture.clone().map_or_else(|| self.dpkg.architecture(), Ok)?)
    }

    /// The installed version of a package of this machine's architecture.
    pub(super) fn installed_version(&self, name: &PackageName) -> Result<Option<Version>> {
        let target = Target { name: name.clone(), architecture: None };
        let native = self.architecture()?;
        let installed = self.dpkg.installed()?;
        Ok(installed.into_iter().find(|package| package.is(&target, &native)).map(|package| package.version))
    }
}
