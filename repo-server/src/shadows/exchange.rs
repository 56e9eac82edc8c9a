//! A request about a shadow as it comes, over whatever carries it, and what is said about it.

use super::error::ShadowError;
use super::store::Shadows;
use crate::audit::Actor;
use crate::messaging::{Audience, Outgoing};
use bytes::Bytes;
use fleet_protocol::shadow::{
    Operation, Outcome, Refusal, Rejected, ShadowId, ShadowTopicKind, TokenRequest, UpdateRequest, client_token,
};
use serde::Serialize;

/// A request that was carried out.
#[derive(Debug)]
pub(crate) struct Done {
    /// What is answered.
    pub(crate) accepted: Bytes,
    /// What is told besides.
    told: Vec<Outgoing>,
}

impl Done {
    /// Everything there is to tell, in its order, where the answer is published, too.
    pub(crate) fn into_messages(self, shadow: &ShadowId, operation: Operation) -> Vec<Outgoing> {
        let answer = message(shadow, ShadowTopicKind::Answer(operation, Outcome::Accepted), self.accepted);
        std::iter::once(answer).chain(self.told).collect()
    }
}

impl Shadows {
    /// Carries out what a payload asks; if a person asks to change something, that is noted.
    pub(crate) async fn carry_out(
        &self,
        shadow: &ShadowId,
        operation: Operation,
        payload: &[u8],
        by: Option<&Actor>,
    ) -> Result<Done, ShadowError> {
        let mut told = Vec::new();
        let accepted = match operation {
            Operation::Get => to_bytes(&self.get(shadow, &TokenRequest::read(payload)?).await?)?,
            Operation::Delete => {
                // The service ignores what else the message of a deletion says.
                let request = TokenRequest { client_token: client_token(payload) };
                to_bytes(&self.delete(shadow, &request, by).await?)?
            }
            Operation::Update => {
                let update = self.update(shadow, &UpdateRequest::read(payload)?, by).await?;
                if let Some(delta) = &update.delta {
                    told.push(message(shadow, ShadowTopicKind::Delta, to_bytes(delta)?));
                }
                told.push(message(shadow, ShadowTopicKind::Documents, to_bytes(&update.documents)?));
                to_bytes(&update.accepted)?
            }
        };
        Ok(Done { accepted, told })
    }

    /// What is told of a request that was not carried out. What was the server's fault is logged.
    pub(crate) fn rejected(&self, shadow: &ShadowId, payload: &[u8], error: &ShadowError) -> Rejected {
        if error.is_full() {
            tracing::error!(%error, shadow = shadow.label(), "the disk is full: a shadow was not changed");
        } else if !matches!(error, ShadowError::Refused(_)) {
            tracing::error!(%error, shadow = shadow.label(), "a request about a shadow failed");
        }
        let refusal = error.refusal();
        Rejected {
            code: refusal.code(),
            message: refusal.to_string(),
            timestamp: self.now(),
            client_token: client_token(payload),
        }
    }

    /// The same, as a message.
    pub(crate) fn rejection(
        &self,
        shadow: &ShadowId,
        operation: Operation,
        payload: &[u8],
        error: &ShadowError,
    ) -> Outgoing {
        let rejected = self.rejected(shadow, payload, error);
        let payload = to_bytes(&rejected).unwrap_or_default();
        message(shadow, ShadowTopicKind::Answer(operation, Outcome::Rejected), payload)
    }
}

/// As on AWS, everybody hears it who may subscribe to the topic: applications watch a thing's `update/accepted`.
fn message(shadow: &ShadowId, kind: ShadowTopicKind, payload: Bytes) -> Outgoing {
    Outgoing { topic: shadow.topic(kind).to_string(), payload, audience: Audience::Subscribers }
}

/// Texts, numbers and maps with texts as keys: they can be written.
fn to_bytes(value: &impl Serialize) -> Result<Bytes, ShadowError> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|_| Refusal::Internal.into())
}
