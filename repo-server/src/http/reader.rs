//! Who may read what of the repository: a public suite everybody, others devices and holders of tokens.

use super::caller::{address_of, basic_password, bearer_token};
use super::exchange::Client;
use super::problem::{Challenge, Problem};
use super::state::{ServerState, Surface};
use crate::access::{Action, Reader, may, may_read_package};
use crate::certificates::Standing;
use axum::extract::Request;
use axum::http::HeaderMap;
use debian_formats::names::SuiteName;
use fleet_protocol::access::ReadAccess;
use jiff::Timestamp;

/// Who a request comes from.
#[derive(Clone, Copy)]
pub(super) struct Visitor<'a> {
    headers: &'a HeaderMap,
    client: Option<&'a Client>,
}

impl<'a> Visitor<'a> {
    pub(super) fn of(request: &'a Request) -> Self {
        Self { headers: request.headers(), client: request.extensions().get() }
    }
}

/// Goes on only if whoever sent the request may read the suite, and says who else may.
pub(super) async fn require_suite(
    state: &ServerState,
    visitor: Visitor<'_>,
    suite: &SuiteName,
) -> Result<ReadAccess, Problem> {
    let access = state.access.suites.access_of(suite).await?;
    if access == ReadAccess::Public {
        return Ok(access);
    }
    match identify(state, visitor).await? {
        Reader::Stranger => Err(stranger(&format!("the suite {suite} is only for devices"))),
        Reader::Device => Ok(access),
        Reader::Holder(grant) => {
            may(&grant, Action::Read(suite))?;
            Ok(access)
        }
    }
}

/// The same for a file of the pool. A stranger is not told whether there is such a file.
pub(super) async fn require_pool_file(
    state: &ServerState,
    visitor: Visitor<'_>,
    filename: &str,
) -> Result<ReadAccess, Problem> {
    if !state.access.suites.any_private() {
        return Ok(ReadAccess::Public);
    }
    let suites = state.access.suites.holding(filename).await?;
    if may_read_package(&Reader::Stranger, &suites) {
        return Ok(ReadAccess::Public);
    }
    match identify(state, visitor).await? {
        Reader::Stranger => Err(stranger("this file is only for devices, or there is no such file")),
        reader if may_read_package(&reader, &suites) => Ok(ReadAccess::Devices),
        _ => Err(Problem::not_found("the pool has no such file in a suite that the token counts for")),
    }
}

fn stranger(what: &str) -> Problem {
    let detail = format!(
        "{what}; send a token as password (apt: /etc/apt/auth.conf.d), or show a client certificate of the fleet CA \
         over HTTPS"
    );
    Problem::unauthenticated(Challenge::Basic, detail)
}

async fn identify(state: &ServerState, visitor: Visitor<'_>) -> Result<Reader, Problem> {
    // Asking for a password here would make clients send it in the clear.
    if state.surface == Surface::Repository {
        return Err(Problem::forbidden(
            "what is only for devices is not served over plain HTTP beyond loopback; use the server's https address",
        ));
    }
    let Visitor { headers, client } = visitor;
    let mut without_secret = Ok(Reader::Stranger);
    if let Some(shown) = client.and_then(|client| client.certificate.as_ref()) {
        without_secret = match state.certificates.standing(shown, Timestamp::now()).await? {
            Ok(Standing::Device { has_been_used }) => {
                if !has_been_used {
                    state.provisioning.connected(&shown.id, address_of(client), Timestamp::now()).await?;
                }
                return Ok(Reader::Device);
            }
            Ok(Standing::Unregistered) => return Ok(Reader::Device),
            Ok(Standing::Claim(_)) => Err(stranger("with a claim a device can only ask for its own certificate")),
            Err(not_valid) => Err(Problem::unauthenticated(Challenge::Basic, not_valid.to_string())),
        };
    }
    let Some(secret) = basic_password(headers).or_else(|| bearer_token(headers).map(str::to_owned)) else {
        return without_secret;
    };
    match state.access.admit(&secret, address_of(client), Timestamp::now()).await {
        Ok(token) => Ok(Reader::Holder(token.grant)),
        Err(error) => Err(Problem::not_admitted(Challenge::Basic, error)),
    }
}
