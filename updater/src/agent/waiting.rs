//! Updates that the poll found and that may not be installed yet.

use super::{Agent, Places};
use crate::config::Config;
use crate::policy::{Facts, Metered, Obstacle, obstacle};
use crate::repository::Client;
use crate::stages::Plan;
use crate::system::is_metered;
use anyhow::{Context, Result};
use debian_formats::{PackageName, Version};
use jiff::Zoned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// What waits and what for: written when it changes, for `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Waiting {
    packages: BTreeMap<PackageName, Version>,
    obstacle: Obstacle,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let packages: Vec<String> = self.packages.iter().map(|(name, version)| format!("{name} {version}")).collect();
        write!(f, "{} waits for ", packages.join(", "))?;
        match self.obstacle {
            Obstacle::Battery => f.write_str("the battery to be charged"),
            Obstacle::MeteredNetwork => f.write_str("a network that is not metered"),
            Obstacle::Window { opens: Some(opens) } => {
                write!(
                    f,
                    "the maintenance window that opens at {}",
                    opens.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z")
                )
            }
            Obstacle::Window { opens: None } => f.write_str("a maintenance window; none opens in the next two weeks"),
        }
    }
}

impl Waiting {
    /// What waits according to the last poll.
    fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    }
}

impl Agent<'_> {
    /// Whether an update that the poll found has to wait; if so, it is brought here meanwhile where that is allowed.
    pub(super) fn must_wait(&mut self, client: &Client, plan: &Plan) -> Result<bool> {
        let policy = &self.config.policy;
        let facts = Facts {
            battery: self.device.battery(),
            is_metered: match policy.metered {
                Metered::Auto => is_metered(&self.device, &self.places.log),
                Metered::Never => false,
                Metered::Always => true,
            },
            is_downloaded: plan.packages().all(|(planned, entry)| self.downloads.has(planned, entry)),
        };
        let mut found = obstacle(policy, facts, &Zoned::now());
        let may_download = found.is_none_or(|obstacle| obstacle.allows_download(facts));
        // A window is there for installing, and may close while a download takes its time.
        if may_download && !facts.is_downloaded && !policy.windows.are_always_open() {
            self.fetch_ahead(client, plan)?;
            let facts = Facts { is_downloaded: true, ..facts };
            found = found.or_else(|| obstacle(policy, facts, &Zoned::now()));
        }
        let Some(obstacle) = found else { return Ok(false) };
        self.ahead.extend(plan.packages().map(|(_, entry)| entry.sha256().to_owned()));
        let packages = plan.packages().map(|(planned, _)| (planned.name.clone(), planned.to.clone()));
        self.waiting.get_or_insert_with(|| Waiting { packages: BTreeMap::new(), obstacle }).packages.extend(packages);
        Ok(true)
    }

    fn fetch_ahead(&self, client: &Client, plan: &Plan) -> Result<()> {
        let keys = self.package_keys.as_ref().context("no package keys are loaded")?;
        let apt = self.apt.as_ref().context("apt was not asked")?;
        let (ours, others) = plan.by_source();
        for (planned, entry) in ours {
            tracing::info!("downloading {} {} ({} bytes) ahead", planned.name, planned.to, entry.size());
            self.downloads.fetch_ahead(client, planned, entry, keys, &self.config.required_signatures)?;
        }
        Ok(self.downloads.fetch_ahead_by_apt(apt, &others)?)
    }

    /// Tells of what waits, once when it changes, and removes what waited before. Nothing is written where nothing changed.
    pub(super) fn note_waiting(&self) -> Result<()> {
        self.downloads.clear_ahead(&self.ahead)?;
        let before = Waiting::read(&self.places.waiting);
        match &self.waiting {
            Some(waiting) if before.as_ref() != Some(waiting) => {
                tracing::info!("{waiting}");
                let json = serde_json::to_vec(waiting).context("could not write down what waits")?;
                durable_files::replace(&self.places.waiting, &json, 0o600)?;
            }
            None if self.places.waiting.exists() => durable_files::remove(&self.places.waiting)?,
            _ => {}
        }
        Ok(())
    }
}

/// What waits on this device, in words; `is_there` says what somebody installed meanwhile.
pub(super) fn waiting(config: &Config, is_there: impl Fn(&PackageName, &Version) -> bool) -> Option<String> {
    let mut waiting = Waiting::read(&Places::of(config).waiting)?;
    waiting.packages.retain(|name, version| !is_there(name, version));
    (!waiting.packages.is_empty()).then(|| waiting.to_string())
}
