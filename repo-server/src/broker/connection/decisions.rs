//! What a client may do, and the record of what it may not.

use crate::broker::link::Link;
use crate::broker::shared::Core;
use crate::messaging::Violations;
use crate::policies::Subject;
use fleet_protocol::policy::Action;

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denied {
    /// One of few words.
    pub(super) what: &'static str,
    pub(super) why: String,
}

impl Denied {
    pub(super) fn new(what: &'static str, why: impl ToString) -> Self {
        Self { what, why: why.to_string() }
    }

    /// It is against a policy.
    pub(super) fn is_violation(&self) -> bool {
        self.what == "policy"
    }
}

impl Core {
    pub(super) async fn may(&self, who: &Subject, action: Action, resource: &str) -> Result<(), Denied> {
        match self.policies.decide(who, action, resource).await {
            Ok(decision) if decision.is_allowed() => Ok(()),
            Ok(decision) => Err(Denied::new("policy", format!("{action} on {resource}: {decision}"))),
            Err(error) => Err(Denied::new("failed", error)),
        }
    }

    pub(super) async fn decide(&self, link: &Link, action: Action, resource: &str) -> Result<(), Denied> {
        match link.admitted() {
            Some(admitted) => self.may(&admitted.subject, action, resource).await,
            None => Err(Denied::new("policy", "it has not connected")),
        }
    }

    /// Notes that a client did not get what it asked for.
    pub(super) fn refuse(&self, link: &Link, action: Action, resource: &str, denied: &Denied) {
        self.metrics.mqtt_refused(denied.what);
        let (client, address, why) = (link.client_id(), link.address.to_string(), &denied.why);
        tracing::warn!(client, address, %action, resource, why, "refused what an MQTT client asked for");
    }

    /// Whether a client that violates a policy is disconnected.
    pub(super) fn disconnects(&self, link: &Link) -> bool {
        self.violations == Violations::Disconnect || !link.admitted().is_some_and(|admitted| admitted.version5)
    }
}
