//! The loop of the state machine: an event gives a state and an action, and the action's outcome is the next event.

use super::{Agent, InBetween};
use crate::history::{Ended, Entry};
use crate::repository::Client;
use crate::supervision;
use crate::system::{end_marked_processes, end_rest_of_unit};
use crate::transaction::{Action, Event, Failure, Outcome, State, transition};
use anyhow::{Context, Result};
use jiff::Timestamp;
use std::time::Duration;

impl Agent<'_> {
    pub(super) fn drive(&mut self, event: Event) -> Result<()> {
        self.drive_with(event, None)
    }

    /// Feeds events to the table until nothing is left to do. Each state is durable before its action begins.
    pub(super) fn drive_with(&mut self, event: Event, client: Option<&Client>) -> Result<()> {
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
                tracing::debug!(state = state.name(), "entering the state {}", state.name());
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
    pub(super) fn end_leftovers(&self) -> Result<()> {
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
