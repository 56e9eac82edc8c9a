//! Who calls: the token and the address that a request comes with.

use super::exchange::Client;
use super::problem::{Challenge, Problem};
use super::state::ServerState;
use crate::access::{Action, Token, may};
use crate::audit::{Actor, Entry};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use debian_formats::names::SuiteName;
use fleet_protocol::audit::Outcome;
use jiff::Timestamp;
use std::net::{IpAddr, Ipv4Addr};

/// Whoever holds a token that counts. A handler that takes one is not run for anybody else.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    token: Token,
    address: IpAddr,
}

impl Caller {
    /// Whether the caller may do it; a no is nobody's mistake.
    pub(super) fn may(&self, action: Action<'_>) -> bool {
        may(&self.token.grant, action).is_ok()
    }

    /// Whoever sends the token as a password, as dput does, or as the API is used.
    pub(super) async fn by_password(parts: &Parts, state: &ServerState) -> Result<Self, Problem> {
        let headers = &parts.headers;
        let secret = basic_password(headers).or_else(|| bearer_token(headers).map(str::to_owned)).ok_or_else(|| {
            Problem::unauthenticated(
                Challenge::Basic,
                "no password was sent; any name and a token as password will do (dput: `login` in dput.cf)",
            )
        })?;
        let address = address_of(parts.extensions.get());
        let admitted = state.access.admit(&secret, address, Timestamp::now()).await;
        let token = admitted.map_err(|error| Problem::not_admitted(Challenge::Basic, error))?;
        Ok(Self { token, address })
    }

    /// Its token's id.
    pub(super) fn token_id(&self) -> &str {
        &self.token.id
    }

    /// Goes on only if the caller may publish in one of these suites.
    pub(super) fn require_for_any(&self, suites: &[SuiteName]) -> Result<(), Problem> {
        let may_publish = |suite: &SuiteName| may(&self.token.grant, Action::Publish(suite)).is_ok();
        if suites.iter().any(may_publish) {
            return Ok(());
        }
        Err(Problem::forbidden("the token may not publish in any suite of this server; use one of the role publisher"))
    }

    /// Goes on only if the caller may do it.
    pub(super) fn require(&self, action: Action<'_>) -> Result<(), Problem> {
        may(&self.token.grant, action).map_err(|forbidden| {
            let (token, name, address) = (&self.token.id, &self.token.name, self.address);
            tracing::warn!(%action, token, name, %address, "refused what the token does not allow");
            forbidden.into()
        })
    }

    /// As the audit log names the caller.
    pub(super) fn actor(&self) -> Actor {
        Actor {
            name: self.token.name.clone(),
            token: Some(self.token.id.clone()),
            remote_address: self.address.to_string(),
        }
    }

    /// An entry of the audit log about what this caller did.
    pub(super) fn entry(&self, action: &'static str, subject: &str, detail: String, outcome: Outcome) -> Entry {
        Entry { actor: self.actor(), action, subject: subject.to_owned(), detail, outcome }
    }
}

impl FromRequestParts<ServerState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ServerState) -> Result<Self, Problem> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let secret = bearer_token(&parts.headers).ok_or_else(|| {
            Problem::unauthenticated(
                Challenge::Bearer,
                "no token was sent; send `Authorization: Bearer TOKEN` (debfleet: DEBFLEET_TOKEN)",
            )
        })?;
        let address = address_of(parts.extensions.get());
        let admitted = state.access.admit(secret, address, Timestamp::now()).await;
        let token = admitted.map_err(|error| Problem::not_admitted(Challenge::Bearer, error))?;
        Ok(Self { token, address })
    }
}

/// The listener says who is at the other end of each connection; one that does not is treated as one single stranger.
pub(super) fn address_of(client: Option<&Client>) -> IpAddr {
    client.map_or(Ipv4Addr::UNSPECIFIED.into(), |client| client.address)
}

/// RFC 6750 §2.1.
pub(super) fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    credentials(headers, "bearer")
}

/// The password of RFC 7617 §2; the user's name before it may be anything.
pub(super) fn basic_password(headers: &HeaderMap) -> Option<String> {
    let text = STANDARD.decode(credentials(headers, "basic")?).ok()?;
    let text = String::from_utf8(text).ok()?;
    let (_, password) = text.split_once(':')?;
    (!password.is_empty()).then(|| password.to_owned())
}

/// The scheme's name is compared without case (RFC 9110 §11.1).
fn credentials<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let (scheme, credentials) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let credentials = credentials.trim();
    (scheme.eq_ignore_ascii_case(wanted) && !credentials.is_empty()).then_some(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        headers
    }

    #[test]
    fn only_a_bearer_token_counts() {
        for good in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(bearer_token(&sent(good)), Some("abc"), "{good:?}");
        }
        for bad in ["abc", "Basic abc", "Bearer", "Bearer ", ""] {
            assert_eq!(bearer_token(&sent(bad)), None, "{bad:?}");
        }
        assert_eq!(bearer_token(&HeaderMap::new()), None);
    }

    #[test]
    fn a_password_is_what_follows_the_first_colon() {
        let encoded = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for good in ["device:dft_1", ":dft_1"] {
            assert_eq!(basic_password(&sent(&encoded(good))).as_deref(), Some("dft_1"), "{good:?}");
        }
        assert_eq!(basic_password(&sent(&encoded("a:b:c"))).as_deref(), Some("b:c"));
        let bad = [encoded("nocolon"), encoded("user:"), "Basic !!".into(), "Basic".into(), "Bearer YTpi".into()];
        for bad in bad {
            assert_eq!(basic_password(&sent(&bad)), None, "{bad:?}");
        }
    }
}
