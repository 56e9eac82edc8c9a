//! AWS IoT Core as the fleet's broker. There shadows, provisioning and presence are AWS's own; this server is an ordinary
//! client, and takes part in what is its own: the registry learns who is connected and what is installed.
//!
//! A client is not told who published a message. A rule is, and republishes each with it on a topic of this server's
//! (docs/external-brokers.md has the rules). Nobody else may publish there: the policies of devices must not allow it.

mod rule;

use crate::provisioning::Provisioning;
use crate::shadows::Shadows;
use crate::things::{Presence as Noted, Registry};
use fleet_protocol::names::ThingName;
use fleet_protocol::presence::{Presence, PresenceEvent};
use fleet_protocol::shadow::{Operation, Outcome, PACKAGES, ShadowTopic, ShadowTopicKind};
use jiff::Timestamp;
use rule::{Republished, RuleError, TOPICS};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The MQTT client id of this server.
pub(crate) const CLIENT_ID: &str = "debfleet-server";

/// Things whose last event is remembered.
const REMEMBERED: usize = 200_000;

/// Who learns from AWS.
pub(super) struct Domains {
    pub(super) shadows: Arc<Shadows>,
    pub(super) registry: Arc<Registry>,
    pub(super) provisioning: Arc<Provisioning>,
}

/// What this server does with what AWS's rules bring.
pub(super) struct Aws {
    domains: Domains,
    /// The number of the last connection that was told of, by thing: AWS's events come in any order.
    latest: Mutex<HashMap<ThingName, (i64, bool)>>,
}

/// Why a message of a rule changes nothing.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error(transparent)]
    Rule(#[from] RuleError),
    #[error("its payload is not what AWS publishes on {topic}: {reason}")]
    Payload { topic: String, reason: serde_json::Error },
    #[error(
        "there is no use for messages of {0} here; only presence events and what `$package` shadows report are taken"
    )]
    Topic(String),
    #[error("{0}")]
    Failed(String),
}

/// The part of an accepted update that says what is so.
#[derive(Deserialize)]
struct Accepted {
    state: AcceptedState,
}

#[derive(Deserialize)]
struct AcceptedState {
    reported: Option<Value>,
}

impl Aws {
    pub(super) fn new(domains: Domains) -> Self {
        Self { domains, latest: Mutex::default() }
    }

    /// What to subscribe to.
    pub(super) fn filters() -> Vec<String> {
        vec![TOPICS.to_owned()]
    }

    /// Takes in what a rule republished.
    pub(super) async fn hear(&self, topic: &str, payload: &[u8]) {
        match self.take(payload).await {
            Ok(()) => {}
            Err(error @ NotTaken::Failed(_)) => tracing::error!(%error, topic, "what AWS IoT told was not noted"),
            Err(error) => tracing::warn!(%error, topic, "a message of an AWS IoT rule is not taken"),
        }
    }

    async fn take(&self, payload: &[u8]) -> Result<(), NotTaken> {
        let Republished { topic, data } = Republished::read(payload)?;
        let wrong = |reason| NotTaken::Payload { topic: topic.clone(), reason };
        if topic.starts_with("$aws/events/presence/") {
            return self.attend(serde_json::from_slice(&data).map_err(wrong)?).await;
        }
        let shadow: ShadowTopic = topic.parse().map_err(|_| NotTaken::Topic(topic.clone()))?;
        let is_packages = shadow.shadow.name.as_ref().is_some_and(|name| name.as_str() == PACKAGES);
        let is_accepted = shadow.kind == ShadowTopicKind::Answer(Operation::Update, Outcome::Accepted);
        if !is_packages || !is_accepted {
            return Err(NotTaken::Topic(topic));
        }
        let accepted: Accepted = serde_json::from_slice(&data).map_err(wrong)?;
        let Some(reported) = accepted.state.reported else { return Ok(()) };
        // The server's own shadow of the same name is what things are found and grouped by. The answer is AWS's to give.
        let update = json!({"state": {"reported": reported}}).to_string();
        let done = self.domains.shadows.carry_out(&shadow.shadow, Operation::Update, update.as_bytes(), None).await;
        done.map_err(|error| NotTaken::Failed(error.to_string()))?;
        self.domains.registry.shadow_changed(&shadow.shadow.thing).await;
        Ok(())
    }

    async fn attend(&self, event: PresenceEvent) -> Result<(), NotTaken> {
        // Clients that are no things come and go, too.
        let Ok(thing) = event.client_id.parse::<ThingName>() else { return Ok(()) };
        let connected = matches!(event.what, Presence::Connected { .. });
        if !self.is_news(&thing, event.version_number, connected) {
            return Ok(());
        }
        let failed = |error: &dyn std::fmt::Display| NotTaken::Failed(error.to_string());
        let disconnect_reason = match &event.what {
            Presence::Connected { .. } => None,
            Presence::Disconnected { disconnect_reason, .. } => Some(disconnect_reason.to_string()),
        };
        let at = Timestamp::from_millisecond(event.timestamp).unwrap_or_else(|_| Timestamp::now());
        let noted = Noted { thing, connected, at, disconnect_reason };
        self.domains.registry.note_presence(&[noted]).await.map_err(|error| failed(&error))?;
        // A certificate of the fleet CA that is registered with AWS, too, has the same id there.
        if let Presence::Connected { ip_address } = &event.what
            && let (Ok(certificate), Ok(address)) = (event.principal_identifier.parse(), ip_address.parse())
        {
            let connected = self.domains.provisioning.connected(&certificate, address, Timestamp::now()).await;
            connected.map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    /// Whether an event is of a later connection than the last, or of its end.
    fn is_news(&self, thing: &ThingName, number: i64, connected: bool) -> bool {
        // A map is whole at any time.
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = match latest.get(thing) {
            Some((known, ended)) => number > *known || (number == *known && !connected && !*ended),
            None => true,
        };
        if is_news {
            if latest.len() >= REMEMBERED {
                latest.clear();
            }
            latest.insert(thing.clone(), (number, !connected));
        }
        is_news
    }
}
