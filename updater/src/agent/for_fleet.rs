//! What the device tells its fleet, and does for it.

use super::Places;
use super::apply::apply;
use super::report::status;
use crate::config::Config;
use crate::fleet::{Applied, Device, Standing};
use crate::system::{Device as Machine, Dpkg, Stamp};
use anyhow::Result;
use fleet_protocol::update_document::UpdateDocument;
use jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;

/// The device behind a configuration. It is taken over only while an update is carried out.
pub(super) struct ForFleet(pub(super) Arc<Config>);

impl Device for ForFleet {
    fn look(&self, before: Option<&Standing>) -> Result<Option<Standing>> {
        let mark = mark(&self.0);
        if before.is_some_and(|before| before.mark == mark) {
            return Ok(None);
        }
        let status = status(&self.0)?;
        let installed = status.installed();
        let packages =
            installed.map(|(name, version)| (name.to_string(), json!({ "version": version.to_string() }))).collect();
        let mut updater = status.without_packages();
        updater.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
        updater.insert("architecture".to_owned(), architecture(&self.0)?.into());
        Ok(Some(Standing { packages, updater, mark }))
    }

    fn apply(&self, document: &UpdateDocument, interrupted: Option<Timestamp>) -> Result<Applied> {
        apply(&self.0, document, interrupted)
    }
}

/// Of the files that the status follows from.
fn mark(config: &Config) -> String {
    let places = Places::of(config);
    let dpkg = config.root.join("var/lib/dpkg/status");
    let files = [&dpkg, &places.journal, &places.memory, &places.waiting];
    format!("{:?}", files.map(|path| Stamp::of(path)))
}

fn architecture(config: &Config) -> Result<String> {
    if let Some(architecture) = &config.architecture {
        return Ok(architecture.to_string());
    }
    let machine = Machine { root: config.root.clone(), scripts: config.scripts };
    Ok(Dpkg::new(machine, config.state_dir.join("status.log")).architecture()?.to_string())
}
