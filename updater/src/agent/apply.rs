//! An update that the fleet's server wishes: carried out, and how it ended.

use super::report::status;
use super::standing::{Busy, state};
use super::{Agent, Moment, Origin, own_unit};
use crate::config::Config;
use crate::fleet::{Applied, Outcome};
use crate::transaction::State;
use anyhow::Result;
use fleet_protocol::update_document::UpdateDocument;
use jiff::Timestamp;

/// Carries out an update document. `interrupted` is when it was begun before, if its end is not known: a version that
/// was rolled back since is not tried again.
pub(super) fn apply(config: &Config, document: &UpdateDocument, interrupted: Option<Timestamp>) -> Result<Applied> {
    match carry_out(config, document, interrupted) {
        Err(error) if error.is::<Busy>() => Ok(Applied::NotNow(error.to_string())),
        other => other,
    }
}

fn carry_out(config: &Config, document: &UpdateDocument, interrupted: Option<Timestamp>) -> Result<Applied> {
    own_unit::end_interrupted(config)?;
    let before = state(config)?;
    if let Some(since) = interrupted
        && began(&before).is_some_and(|began| began >= since)
        && matches!(before, State::RolledBack { .. })
    {
        return Ok(applied(before));
    }
    let succeeded = if own_unit::is_wanted(config) {
        own_unit::apply(config, document)? == Some(0)
    } else {
        Agent::open(config, Moment::Running)?.update(document, Origin::Asked)?;
        true
    };
    let after = state(config)?;
    if began(&after) != began(&before) {
        return Ok(applied(after));
    }
    Ok(Applied::Ended(if succeeded {
        Outcome::succeeded()
    } else {
        let reason = status(config)?.last_reason();
        Outcome::failed(reason.as_deref().unwrap_or("the update could not be begun; the device's journal says why"))
    }))
}

fn began(state: &State) -> Option<Timestamp> {
    state.transaction().map(|transaction| transaction.began)
}

/// What the state that an update ended in means for whoever wished it.
fn applied(state: State) -> Applied {
    match state {
        State::Committed { .. } => Applied::Ended(Outcome::succeeded()),
        State::RolledBack { reason, .. } => Applied::Ended(Outcome::rolled_back(&reason)),
        State::Abandoned { reason, .. } | State::Stuck { reason, .. } => Applied::Ended(Outcome::failed(&reason)),
        State::Postponed { reason, .. } => Applied::NotNow(reason),
        State::Rebooting { .. } => Applied::GoesOn,
        other => Applied::Ended(Outcome::failed(&format!("the update ended in the state {}", other.name()))),
    }
}
