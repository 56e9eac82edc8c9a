//! A person who has signed in, by the session that a request comes with.

use super::caller::{address_of, bearer_token};
use super::problem::{Challenge, Problem};
use super::state::ServerState;
use crate::audit::Actor;
use crate::people::SignedIn;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// Whoever sends a session that counts. A handler that takes one is not run for anybody else.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) signed_in: SignedIn,
    /// As the audit log names them.
    pub(super) actor: Actor,
}

impl FromRequestParts<ServerState> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ServerState) -> Result<Self, Problem> {
        let secret = bearer_token(&parts.headers).ok_or_else(|| {
            let detail = "no session was sent; sign in (POST /api/v1/sessions) and send `Authorization: Bearer TOKEN`";
            Problem::unauthenticated(Challenge::Bearer, detail)
        })?;
        let signed_in = state.people.session(secret).await?;
        let actor = Actor {
            name: signed_in.user.user_name.to_string(),
            token: Some(signed_in.session.clone()),
            remote_address: address_of(parts.extensions.get()).to_string(),
        };
        Ok(Self { signed_in, actor })
    }
}
