//! Every reserved topic that the server answers, on one page.

use super::{provisioning, shadows};
use crate::messaging::{Outgoing, Principal, Sender};
use crate::provisioning::{Provisioning, Requester};
use crate::shadows::Shadows;
use crate::things::Registry;
use fleet_protocol::provisioning::topics::Topic as ProvisioningTopic;
use fleet_protocol::shadow::{ShadowTopic, ShadowTopicKind};
use std::sync::Arc;

/// What topics begin with that are the service's own, as on AWS IoT.
const RESERVED: &str = "$aws/";

/// The filters of those topics that say by themselves what is asked and of which thing. Whoever the broker lets publish
/// there is answered; for all others it has to be known who asks.
pub(crate) const BY_TOPIC: [&str; 6] = [
    "$aws/things/+/shadow/get",
    "$aws/things/+/shadow/update",
    "$aws/things/+/shadow/delete",
    "$aws/things/+/shadow/name/+/get",
    "$aws/things/+/shadow/name/+/update",
    "$aws/things/+/shadow/name/+/delete",
];

/// The domains that answer.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) shadows: Arc<Shadows>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) provisioning: Arc<Provisioning>,
}

impl Services {
    /// What is said to a client's message, in this order. Its policy allowed it to publish on this topic. None: the topic is
    /// not one of the service's own, so that the message is for whoever subscribed.
    ///
    /// A message on a reserved topic goes no further, whatever it is: nobody but the server says what only the server
    /// can know.
    pub(crate) async fn answer(&self, from: &Sender, topic: &str, payload: &[u8]) -> Option<Vec<Outgoing>> {
        if !topic.starts_with(RESERVED) {
            return None;
        }
        if let Ok(ShadowTopic { shadow, kind: ShadowTopicKind::Request(operation) }) = topic.parse() {
            return Some(shadows::answer(self, Some(from), &shadow, operation, payload).await);
        }
        // A person becomes no thing.
        if let (Some(topic), Principal::Device(certificate)) = (ProvisioningTopic::parse(topic), &from.principal) {
            let (certificate, client_id) = (certificate.clone(), from.client_id.clone());
            let requester = Requester { certificate, client_id, address: from.address };
            return Some(provisioning::answer(&self.provisioning, &requester, &topic, payload).await);
        }
        tracing::debug!(topic, client = from.client_id, "a message on a reserved topic that answers nothing");
        Some(Vec::new())
    }

    /// What is said to a message on one of [`BY_TOPIC`] that an external broker brings: that tells the topic, and not who
    /// published. The broker lets only those publish there whom a policy allows it.
    pub(crate) async fn answer_by_topic(&self, topic: &str, payload: &[u8]) -> Vec<Outgoing> {
        match topic.parse() {
            Ok(ShadowTopic { shadow, kind: ShadowTopicKind::Request(operation) }) => {
                shadows::answer(self, None, &shadow, operation, payload).await
            }
            _ => {
                tracing::debug!(topic, "a message that cannot be answered without knowing who asks");
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests;
