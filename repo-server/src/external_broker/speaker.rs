//! What this server says and hears, by the kind of its broker.

use super::aws::Aws;
use super::mosquitto::Mosquitto;
use crate::messaging::Outgoing;

pub(super) enum Speaker {
    Mosquitto(Box<Mosquitto>),
    Aws(Aws),
}

impl Speaker {
    /// What to subscribe to.
    pub(super) fn filters(&self) -> Vec<String> {
        match self {
            Self::Mosquitto(_) => Mosquitto::filters(),
            Self::Aws(_) => Aws::filters(),
        }
    }

    /// What is said to a message.
    pub(super) async fn hear(&self, topic: &str, payload: &[u8]) -> Vec<Outgoing> {
        match self {
            Self::Mosquitto(mosquitto) => mosquitto.hear(topic, payload).await,
            Self::Aws(aws) => {
                aws.hear(topic, payload).await;
                Vec::new()
            }
        }
    }

    /// Whether a message is this server's to publish there.
    pub(super) fn says(&self, message: &Outgoing) -> bool {
        match self {
            Self::Mosquitto(_) => true,
            // It disconnects whoever speaks on its own topics.
            Self::Aws(_) => !message.topic.starts_with('$'),
        }
    }

    /// Messages with the same value are answered in their order: those of one thing, or of one rule.
    pub(super) fn order<'a>(&self, topic: &'a str) -> &'a str {
        topic.split('/').nth(2).unwrap_or_default()
    }

    /// What to look at when there is no connection.
    pub(super) fn advice(&self) -> &'static str {
        match self {
            Self::Mosquitto(_) => "does it run with the mosquitto.conf of broker-folder, or with as much in its own?",
            Self::Aws(_) => {
                "is broker-cert active there, with a policy that lets the client debfleet-server connect and read \
                 debfleet/rules/+?"
            }
        }
    }
}
