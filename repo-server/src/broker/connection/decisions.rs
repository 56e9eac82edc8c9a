//! What a client may do, and the record of what it may not.

use crate::broker::identity::Asking;
use crate::broker::link::{Admitted, Link};
use crate::broker::shared::Core;
use crate::messaging::Violations;
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
    pub(super) async fn may(&self, who: &Asking, action: Action, resource: &str) -> Result<(), Denied> {
        let decision = match who {
            Asking::Device(subject) => {
                self.policies.decide(subject, action, resource).await.map_err(|error| Denied::new("failed", error))
            }
            Asking::Person(subject) => {
                self.people.decide(subject, action, resource).await.map_err(|error| Denied::new("failed", error))
            }
        }?;
        match decision.is_allowed() {
            true => Ok(()),
            false => Err(Denied::new("policy", format!("{action} on {resource}: {decision}"))),
        }
    }

    pub(super) async fn decide(&self, link: &Link, action: Action, resource: &str) -> Result<(), Denied> {
        match link.admitted() {
            Some(admitted) => self.may(&admitted.asking, action, resource).await,
            None => Err(Denied::new("policy", "it has not connected")),
        }
    }

    /// Notes that a client did not get what it asked for.
    pub(super) fn refuse(&self, link: &Link, action: Action, resource: &str, denied: &Denied) {
        self.metrics.mqtt_refused(denied.what);
        let (client, address, why) = (link.client_id(), link.address.to_string(), &denied.why);
        tracing::warn!(client, address, %action, resource, why, "refused what an MQTT client asked for");
    }

    /// Whether a client that violates a policy is disconnected. A person is told where that can be said: a page that
    /// connected again and asked for the same would go on for ever.
    pub(super) fn disconnects(&self, link: &Link) -> bool {
        let goes_on = link.admitted().is_some_and(|Admitted { identity, version5, .. }| {
            *version5 && (self.violations == Violations::ReasonCode || identity.person().is_some())
        });
        !goes_on
    }

    /// Whether a client that may not subscribe to something is disconnected. Also MQTT 3.1.1 can say so (§3.9.3).
    pub(super) fn disconnects_subscriber(&self, link: &Link) -> bool {
        self.disconnects(link) && link.admitted().is_none_or(|admitted| admitted.identity.person().is_none())
    }
}
