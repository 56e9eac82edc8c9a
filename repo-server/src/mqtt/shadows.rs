//! `$aws/things/THING/shadow/…`: getting, updating and deleting shadows.

use crate::messaging::Outgoing;
use crate::shadows::Shadows;
use fleet_protocol::shadow::{Operation, ShadowId};

/// What is said to a request.
pub(super) async fn answer(
    shadows: &Shadows,
    shadow: &ShadowId,
    operation: Operation,
    payload: &[u8],
) -> Vec<Outgoing> {
    match shadows.carry_out(shadow, operation, payload, None).await {
        Ok(done) => done.into_messages(shadow, operation),
        Err(error) => vec![shadows.rejection(shadow, operation, payload, &error)],
    }
}
