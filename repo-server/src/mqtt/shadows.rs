//! `$aws/things/THING/shadow/…`: getting, updating and deleting shadows.

use super::Services;
use crate::audit::Actor;
use crate::messaging::{Outgoing, Principal, Sender};
use fleet_protocol::shadow::{Operation, Refusal, ShadowId, UpdateRequest};

/// What is said to a request. None asks where a broker lets devices publish and does not tell who did.
pub(super) async fn answer(
    services: &Services,
    from: Option<&Sender>,
    shadow: &ShadowId,
    operation: Operation,
    payload: &[u8],
) -> Vec<Outgoing> {
    let by = match from.map(|from| (&from.principal, from.address)) {
        None | Some((Principal::Device(_), _)) => None,
        Some((Principal::Person { user, token }, address)) => {
            if operation == Operation::Update && changes_more_than_what_is_desired(payload) {
                return vec![services.shadows.rejection(shadow, operation, payload, &Refusal::OfThing.into())];
            }
            let (name, token) = (user.to_string(), Some(token.clone()));
            Some(Actor { name, token, remote_address: address.to_string() })
        }
    };
    match services.shadows.carry_out(shadow, operation, payload, by.as_ref()).await {
        Ok(done) => {
            if operation != Operation::Get {
                services.registry.shadow_changed(&shadow.thing).await;
            }
            done.into_messages(shadow, operation)
        }
        Err(error) => vec![services.shadows.rejection(shadow, operation, payload, &error)],
    }
}

/// What a thing reports is its own to say. What cannot be read is refused for that.
fn changes_more_than_what_is_desired(payload: &[u8]) -> bool {
    UpdateRequest::read(payload).is_ok_and(|request| !request.is_of_desired_only())
}
