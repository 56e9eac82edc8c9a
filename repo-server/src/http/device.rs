//! Devices that ask with their client certificate.

use super::exchange::Client;
use super::problem::{Challenge, Problem};
use super::state::ServerState;
use crate::certificates::Standing;
use crate::policies::Subject;
use axum::http::request::Parts;
use fleet_protocol::names::ThingName;
use fleet_protocol::policy::Action;
use jiff::Timestamp;

/// Goes on only if the request comes from a device, for a thing that its certificate speaks for, and if its policies allow
/// it. The resource is the thing's name, perhaps with more behind a slash.
pub(super) async fn require(
    head: &Parts,
    state: &ServerState,
    thing: &ThingName,
    action: Action,
    resource: &str,
) -> Result<(), Problem> {
    let client = head.extensions.get::<Client>();
    let Some((shown, address)) = client.and_then(|client| Some((client.certificate.as_ref()?, client.address))) else {
        return Err(Problem::unauthenticated(
            Challenge::Bearer,
            "no token was sent, and no client certificate was shown; send `Authorization: Bearer TOKEN` (debfleet: \
             DEBFLEET_TOKEN), or show a device's certificate over HTTPS",
        ));
    };
    match state.certificates.standing(shown, Timestamp::now()).await? {
        Ok(Standing::Device { has_been_used: true }) => {}
        Ok(Standing::Device { has_been_used: false }) => {
            state.provisioning.connected(&shown.id, address, Timestamp::now()).await?;
        }
        Ok(Standing::Unregistered | Standing::Claim(_)) => {
            let detail =
                format!("the client certificate {} is not a device's own; `debfleet certificate list`", shown.id);
            return Err(Problem::forbidden(detail));
        }
        Err(not_valid) => return Err(Problem::unauthenticated(Challenge::Bearer, not_valid.to_string())),
    }
    if !state.certificates.things(&shown.id).await?.contains(thing) {
        let detail = format!("the client certificate {} does not speak for the thing {thing}", shown.id);
        return Err(Problem::forbidden(detail));
    }
    let subject = Subject {
        client_id: thing.to_string(),
        certificate: shown.id.clone(),
        address,
        persistent: false,
        will_topic: None,
    };
    if state.policies.decide(&subject, action, resource).await?.is_allowed() {
        return Ok(());
    }
    tracing::warn!(%thing, action = action.as_str(), resource, %address, "refused what no policy of the device allows");
    let action = action.as_str();
    Err(Problem::forbidden(format!(
        "no policy of the client certificate allows {action} on {resource}; an admin attaches one"
    )))
}
