//! `/api/v1/mqtt/auth/…`: what an authorisation plugin of Mosquitto asks about clients, in JSON or as a form.

use super::caller::Caller;
use super::json::{Asked, BODY_TIME};
use super::problem::Problem;
use super::state::ServerState;
use crate::access::Action;
use crate::external_broker::{Access, RightsError, is_server, may};
use axum::Form;
use axum::extract::{FromRequest as _, FromRequestParts as _, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Questions that are looked into at a time; others wait.
static PLACES: Semaphore = Semaphore::const_new(64);
/// As long as it may take until a change is seen by every process of the server.
const CACHE: &str = "private, max-age=2";
/// The longest name or topic, in characters. No client here has longer ones.
const LONGEST: usize = 1024;

/// The client that is asked about. Whatever else is sent, such as a password, says nothing.
#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct BrokerClient {
    /// The common name of its certificate.
    #[schema(example = "5b3c90", max_length = 1024)]
    username: String,
}

/// What a client wants to do with a topic.
#[derive(Deserialize, utoipa::ToSchema)]
pub(super) struct TopicQuestion {
    /// The common name of its certificate.
    #[schema(example = "5b3c90", max_length = 1024)]
    username: String,
    /// The topic, or for a subscription the filter.
    #[schema(example = "sensor/device/lamp-1", max_length = 1024)]
    topic: String,
    /// 1 to read, 2 to write, 3 for both, 4 to subscribe.
    #[serde(deserialize_with = "number")]
    #[schema(minimum = 1, maximum = 4, example = 2)]
    acc: u32,
}

/// The answer; with a refusal the status is 403.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Verdict {
    /// Whether it may.
    ok: bool,
    /// Why not.
    error: &'static str,
}

/// How the answer is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default)]
    answer: Answer,
}

/// The form of the answer's body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// A verdict.
    #[default]
    Json,
    /// Just `ok`, or why not.
    Text,
}

/// A form has texts only.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        // 2.0 is 2 in JSON.
        Number(f64),
        Text(String),
    }
    let text = match Number::deserialize(deserializer)? {
        Number::Number(number) => number.to_string(),
        Number::Text(text) => text,
    };
    text.parse().map_err(serde::de::Error::custom)
}

/// Whether a client may connect with a name and a password.
///
/// No client may: a device is known by its certificate.
#[utoipa::path(
    post, path = "/api/v1/mqtt/auth/user", tag = "broker", security(("token" = ["viewer"])),
    params(("answer" = Option<Answer>, Query, description = "The form of the answer's body", nullable = false)),
    request_body = BrokerClient,
    responses((status = 403, description = "It may not", body = Verdict))
)]
pub(super) async fn user(State(state): State<ServerState>, request: Request) -> Result<Response, Problem> {
    let (BrokerClient { username }, form) = asked(&state, request).await?;
    check(&username)?;
    Ok(answer(Some("a device shows a certificate; passwords say nothing"), form))
}

/// Whether a client may do everything.
///
/// The server itself may.
#[utoipa::path(
    post, path = "/api/v1/mqtt/auth/superuser", tag = "broker", security(("token" = ["viewer"])),
    params(("answer" = Option<Answer>, Query, description = "The form of the answer's body", nullable = false)),
    request_body = BrokerClient,
    responses((status = 200, description = "It may", body = Verdict), (status = 403, description = "It may not", body = Verdict))
)]
pub(super) async fn superuser(State(state): State<ServerState>, request: Request) -> Result<Response, Problem> {
    let (BrokerClient { username }, form) = asked(&state, request).await?;
    check(&username)?;
    let refusal = (!is_server(&username)).then_some("only the server itself may do everything");
    Ok(answer(refusal, form))
}

/// Whether a client may read, write or subscribe to a topic.
///
/// By the policies that count for its certificate; those that look at its address or at how it connects allow nothing here.
#[utoipa::path(
    post, path = "/api/v1/mqtt/auth/acl", tag = "broker", security(("token" = ["viewer"])),
    params(("answer" = Option<Answer>, Query, description = "The form of the answer's body", nullable = false)),
    request_body = TopicQuestion,
    responses((status = 200, description = "It may", body = Verdict), (status = 403, description = "It may not", body = Verdict))
)]
pub(super) async fn acl(State(state): State<ServerState>, request: Request) -> Result<Response, Problem> {
    let (TopicQuestion { username, topic, acc }, form) = asked(&state, request).await?;
    check(&username)?;
    check(&topic)?;
    let wanted: &[Access] = match acc {
        1 => &[Access::Read],
        2 => &[Access::Write],
        3 => &[Access::Read, Access::Write],
        4 => &[Access::Subscribe],
        other => return Err(Problem::bad_request(format!("acc is {other}; it is 1, 2, 3 or 4"))),
    };
    // Whoever waits has a connection, and those are bounded.
    let _place = PLACES.acquire().await.map_err(|error| Problem::internal(&error))?;
    for access in wanted {
        if !may(&state.certificates, &state.policies, &username, *access, &topic).await? {
            return Ok(answer(Some("no policy of the client's certificate allows it"), form));
        }
    }
    Ok(answer(None, form))
}

/// The question, for whoever holds a token: the plugin sends one only as a password.
async fn asked<T: DeserializeOwned>(state: &ServerState, request: Request) -> Result<(T, Answer), Problem> {
    let (mut head, body) = request.into_parts();
    Caller::by_password(&head, state).await?.require(Action::ReadFleet)?;
    let Asked(Wish { answer }) = Asked::from_request_parts(&mut head, state).await?;
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_form = kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded");
    let request = Request::from_parts(head, body);
    let read = async {
        if is_form {
            let read = Form::<T>::from_request(request, state).await;
            read.map(|Form(question)| question)
                .map_err(|refused| Problem::bad_body(refused.status(), refused.body_text()))
        } else {
            let read = axum::Json::<T>::from_request(request, state).await;
            read.map(|axum::Json(question)| question)
                .map_err(|refused| Problem::bad_body(refused.status(), refused.body_text()))
        }
    };
    let question = match timeout(BODY_TIME, read).await {
        Ok(read) => read?,
        Err(_) => {
            let seconds = BODY_TIME.as_secs();
            return Err(Problem::bad_request(format!("the request's body did not come within {seconds} seconds")));
        }
    };
    Ok((question, answer))
}

fn check(text: &str) -> Result<(), Problem> {
    match text.chars().nth(LONGEST) {
        Some(_) => Err(Problem::bad_request(format!("the username or topic is longer than {LONGEST} characters"))),
        None => Ok(()),
    }
}

fn answer(refusal: Option<&'static str>, form: Answer) -> Response {
    let status = if refusal.is_none() { StatusCode::OK } else { StatusCode::FORBIDDEN };
    let verdict = Verdict { ok: refusal.is_none(), error: refusal.unwrap_or_default() };
    let cache = [(header::CACHE_CONTROL, CACHE)];
    match form {
        Answer::Text => (status, cache, if verdict.ok { "ok" } else { verdict.error }).into_response(),
        Answer::Json => (status, cache, axum::Json(verdict)).into_response(),
    }
}

impl From<RightsError> for Problem {
    fn from(error: RightsError) -> Self {
        match error {
            RightsError::Certificates(error) => error.into(),
            RightsError::Policies(error) => error.into(),
        }
    }
}
