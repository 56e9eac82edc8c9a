//! `$aws/things/THING/shadow/…`: getting, updating and deleting shadows.

use super::Services;
use crate::messaging::Outgoing;
use fleet_protocol::shadow::{Operation, ShadowId};

/// What is said to a request.
pub(super) async fn answer(
    services: &Services,
    shadow: &ShadowId,
    operation: Operation,
    payload: &[u8],
) -> Vec<Outgoing> {
    match services.shadows.carry_out(shadow, operation, payload, None).await {
        Ok(done) => {
            if operation != Operation::Get {
                services.registry.shadow_changed(&shadow.thing).await;
            }
            done.into_messages(shadow, operation)
        }
        Err(error) => vec![services.shadows.rejection(shadow, operation, payload, &error)],
    }
}
