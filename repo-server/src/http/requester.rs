//! A device that proves who it is with its client certificate.

use super::exchange::Client;
use super::problem::Problem;
use super::state::ServerState;
use crate::certificates::Standing;
use crate::provisioning::Requester;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::Timestamp;

/// Whoever showed a client certificate that is registered here and counts, a claim or a device's own.
#[derive(Debug, Clone)]
pub(super) struct Device(pub(super) Requester);

impl FromRequestParts<ServerState> for Device {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ServerState) -> Result<Self, Problem> {
        let client = parts.extensions.get::<Client>();
        let Some((client, shown)) = client.and_then(|client| Some((client, client.certificate.as_ref()?))) else {
            return Err(Problem::of_stranger(
                "this is for devices, which show a client certificate of the fleet CA; connect to the server's https \
                 address itself, with a certificate and its key",
            ));
        };
        let now = Timestamp::now();
        let requester =
            Requester { certificate: shown.id.clone(), client_id: shown.id.to_string(), address: client.address };
        match state.certificates.standing(shown, now).await? {
            Ok(Standing::Device { has_been_used: false }) => {
                state.provisioning.connected(&shown.id, client.address, now).await?;
            }
            Ok(Standing::Device { .. } | Standing::Claim(_)) => {}
            Ok(Standing::Unregistered) => {
                return Err(Problem::of_stranger(format!(
                    "the client certificate {} is not registered here; `debfleet certificate register` does that",
                    shown.id
                )));
            }
            Err(not_valid) => return Err(Problem::of_stranger(not_valid.to_string())),
        }
        Ok(Self(requester))
    }
}
