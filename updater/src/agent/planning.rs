//! What is to be done: from an update document and a verified index to a transaction.

use super::{Agent, Origin};
use crate::policy::is_phased_in;
use crate::repository::{Client, Index, KeptIndex, Suite};
use crate::stages::{Choice, Rules, choose};
use crate::transaction::{PlannedPackage, Transaction};
use anyhow::{Result, bail};
use debian_formats::names::SuiteName;
use debian_formats::{Architecture, PackageName, Version};
use fleet_protocol::update_document::Update;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::rc::Rc;

impl Agent<'_> {
    pub(super) fn plan(&mut self, update: &Update, origin: Origin) -> Result<Option<(Client, Transaction)>> {
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
        Ok(Some((client, Transaction { began: Timestamp::now(), packages, from_server: self.folder.is_none() })))
    }

    #[expect(clippy::too_many_arguments, reason = "one call of a pure decision with all that it needs")]
    pub(super) fn choose(
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

    pub(super) fn installed_version(&self, name: &PackageName) -> Result<Option<Version>> {
        let installed = self.dpkg.installed()?;
        Ok(installed.into_iter().find(|package| package.name == *name).map(|package| package.version))
    }
}
