//! What an update would do, for people and scripts.

use crate::stages::Plan;
use crate::transaction::PlannedPackage;
use anyhow::Result;
use debian_formats::{Architecture, PackageName, Version};
use fleet_protocol::update_document::Update;
use serde::Serialize;
use std::fmt;

/// What an update would do, or why it is refused.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PlanReport {
    suite: String,
    changes: Vec<Change>,
    download_bytes: u64,
    /// On the device: the downloads, what is unpacked, and the copy of what is there now.
    room_bytes: u64,
    /// Why it would not be done.
    refused: Option<String>,
}

/// What would happen to one package.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Change {
    action: Action,
    name: PackageName,
    architecture: Option<Architecture>,
    from: Option<Version>,
    to: Option<Version>,
    /// Whether it was asked for; otherwise others need it, or take its place.
    asked: bool,
    /// Where it comes from: `suite`, or one of the sources of the device's own apt.
    source: Option<String>,
    download_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Install,
    Upgrade,
    Downgrade,
    Remove,
}

impl Action {
    fn of(planned: &PlannedPackage) -> Self {
        match &planned.from {
            None => Self::Install,
            Some(from) if planned.to < *from => Self::Downgrade,
            Some(_) => Self::Upgrade,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Upgrade => "upgrade",
            Self::Downgrade => "downgrade",
            Self::Remove => "remove",
        }
    }
}

impl PlanReport {
    /// What came of planning an update.
    pub(super) fn new(update: &Update, planned: Result<Option<Plan>>) -> Self {
        let suite = update.suite.clone();
        match planned {
            Ok(Some(plan)) => Self {
                suite,
                changes: changes(&plan),
                download_bytes: plan.download_bytes(),
                room_bytes: plan.room_bytes(),
                refused: None,
            },
            Ok(None) => Self { suite, changes: Vec::new(), download_bytes: 0, room_bytes: 0, refused: None },
            Err(error) => {
                let refused = Some(format!("{error:#}"));
                Self { suite, changes: Vec::new(), download_bytes: 0, room_bytes: 0, refused }
            }
        }
    }

    /// Whether the update would not be done.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }
}

/// What was asked for comes first, then what it brings, then what goes.
fn changes(plan: &Plan) -> Vec<Change> {
    let packages = plan.transaction.packages.iter().zip(&plan.entries);
    let mut changes: Vec<Change> = packages
        .map(|(planned, entry)| Change {
            action: Action::of(planned),
            name: planned.name.clone(),
            architecture: Some(planned.architecture.clone()),
            from: planned.from.clone(),
            to: Some(planned.to.clone()),
            asked: planned.asked,
            source: Some(planned.source.clone().unwrap_or_else(|| "suite".to_owned())),
            download_bytes: entry.size(),
        })
        .collect();
    changes.sort_by_key(|change| !change.asked);
    changes.extend(plan.transaction.removed.iter().map(|gone| Change {
        action: Action::Remove,
        name: gone.name.clone(),
        architecture: gone.architecture.clone(),
        from: Some(gone.version.clone()),
        to: None,
        asked: false,
        source: None,
        download_bytes: 0,
    }));
    changes
}

impl fmt::Display for PlanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(refused) = &self.refused {
            return writeln!(f, "refused: {refused}");
        }
        if self.changes.is_empty() {
            return writeln!(f, "nothing to do: up to date");
        }
        let row = |change: &Change| {
            let name = match &change.architecture {
                Some(architecture) => format!("{}:{architecture}", change.name),
                None => change.name.to_string(),
            };
            let versions = match (&change.from, &change.to) {
                (Some(from), Some(to)) => format!("{from} -> {to}"),
                (Some(version), None) | (None, Some(version)) => version.to_string(),
                (None, None) => String::new(),
            };
            let source = match change.source.as_deref() {
                None => "something in the set takes its place".to_owned(),
                Some("suite") => format!("from the suite {}", self.suite),
                Some(other) => format!("from {other}"),
            };
            let why = if change.asked || change.action == Action::Remove { "" } else { ", needed by the others" };
            [change.action.word().to_owned(), name, versions, format!("{source}{why}")]
        };
        let rows: Vec<[String; 4]> = self.changes.iter().map(row).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
        let (first, second, third) = (width(0), width(1), width(2));
        for [action, name, versions, source] in &rows {
            writeln!(f, "{action:first$}  {name:second$}  {versions:third$}  {source}")?;
        }
        writeln!(f, "to download: {}; room needed: {}", Size(self.download_bytes), Size(self.room_bytes))
    }
}

/// Bytes, as people read them.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ 0..10_000 => write!(f, "{bytes} bytes"),
            bytes @ 10_000..10_000_000 => write!(f, "{} kB", bytes / 1000),
            bytes => write!(f, "{} MB", bytes / 1_000_000),
        }
    }
}
