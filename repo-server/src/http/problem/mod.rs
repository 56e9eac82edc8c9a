//! The one place where errors become a status and problem details (RFC 9457). On AWS's paths they are told in AWS's form:
//! `service_error`.

mod domains;

use crate::access::AdmissionError;
use crate::database;
use crate::provisioning::{ErrorCode, ProvisioningError};
use crate::repository::PublishError;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use debian_formats::names::SuiteName;
use fleet_protocol::provisioning::messages::Rejection;
use fleet_protocol::publishing::{IN_PROGRESS, PROBLEM_MEDIA_TYPE, Problem as ProblemDetails};
use serde::Serialize;
use std::time::Duration;

/// An answer that says what went wrong and what to do.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    /// A header that tells the client what to do.
    header: Option<(HeaderName, HeaderValue)>,
    /// What a device is told besides, as over MQTT.
    code: Option<ErrorCode>,
}

/// The members of a problem, and those of a [`Rejection`] for a device.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    problem: ProblemDetails,
    #[serde(flatten)]
    rejection: Option<Rejection>,
}

/// How a client may say who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Challenge {
    /// With a token, as the API is used.
    Bearer,
    /// With a password, as apt does.
    Basic,
}

impl Challenge {
    fn header(self) -> (HeaderName, HeaderValue) {
        let value = match self {
            Self::Bearer => "Bearer realm=\"debfleet\"",
            Self::Basic => "Basic realm=\"debfleet\", charset=\"UTF-8\"",
        };
        (header::WWW_AUTHENTICATE, HeaderValue::from_static(value))
    }
}

impl Problem {
    fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into(), header: None, code: None }
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", detail)
    }

    pub(super) fn method_not_allowed() -> Self {
        let detail = "this address does not take this method; the answer's header Allow names those it takes";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", detail)
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Bad request", detail)
    }

    /// Of a body that could not be read as what it should be.
    pub(super) fn bad_body(status: StatusCode, detail: String) -> Self {
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(status, "Body too large", detail),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                Self::new(status, "Wrong media type", format!("{detail}; send JSON as application/json"))
            }
            _ => Self::bad_request(detail),
        }
    }

    pub(super) fn unauthenticated(challenge: Challenge, detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::UNAUTHORIZED, "Not authenticated", detail);
        Self { header: Some(challenge.header()), ..problem }
    }

    /// Of a secret that gave no access.
    pub(super) fn not_admitted(challenge: Challenge, error: AdmissionError) -> Self {
        match error {
            AdmissionError::Rejected(rejected) => Self::unauthenticated(challenge, rejected.to_string()),
            AdmissionError::TooMany { wait } => Self::too_many_failures(wait, error.to_string()),
            AdmissionError::Failed(error) => error.into(),
        }
    }

    fn too_many_failures(wait: Duration, detail: String) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many failures", detail);
        let seconds = HeaderValue::from(wait.as_secs() + 1);
        Self { header: Some((header::RETRY_AFTER, seconds)), ..problem }
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Not allowed", detail)
    }

    pub(super) fn needs_tls() -> Self {
        Self::forbidden(
            "the API is not served over plain HTTP beyond loopback, where others could read the token; \
             use the server's --https address, or a --http address on loopback such as 127.0.0.1",
        )
    }

    pub(super) fn bad_host() -> Self {
        Self::bad_request("the Host header is missing or is not a host name or address with an optional port")
    }

    pub(super) fn bad_query(detail: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Bad request", format!("{detail}; this address takes `component`"))
    }

    pub(super) fn too_large(limit: u64) -> Self {
        PublishError::TooLarge { limit }.into()
    }

    pub(super) fn still_running() -> Self {
        let detail = "a request with this Idempotency-Key is being carried out; send it again in a moment";
        Self::new(StatusCode::CONFLICT, IN_PROGRESS, detail)
    }

    pub(super) fn other_request() -> Self {
        let detail = "this Idempotency-Key came with another request before; give each request a new one";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Key used before", detail)
    }

    pub(super) fn range_not_satisfiable(length: u64) -> Self {
        let detail = format!("the file has no such part; it is {length} bytes long");
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "Range not satisfiable", detail)
    }

    pub(super) fn not_ready(reason: &str) -> Self {
        let detail = format!("{reason}; the server's log has the details");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not ready", detail)
    }

    pub(super) fn shadows_elsewhere() -> Self {
        let detail = "the fleet's broker is AWS IoT Core, and shadows are changed there: with its iot-data API";
        Self::new(StatusCode::CONFLICT, "Shadows elsewhere", detail)
    }

    pub(super) fn stopping() -> Self {
        let detail = "the server is being stopped, and nothing was changed; send the package again in a moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Server stopping", detail)
    }

    pub(super) fn other_suite(addressed: &SuiteName, named: &SuiteName) -> Self {
        Self::changes_refused(format!(
            "the upload was sent to the suite {addressed}, and the Distribution of its .changes is {named}; send it to \
             that, or build it with `debfleet build --changes --suite {addressed}`"
        ))
    }

    pub(super) fn changes_refused(detail: String) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Upload refused", detail)
    }

    pub(super) fn too_much(detail: String) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Upload too large", detail)
    }

    /// Of a question about a client that cannot be answered.
    pub(super) fn untestable(reason: &impl std::fmt::Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "No such client or action", reason.to_string())
    }

    /// As a device is told, which need not know everything.
    pub(super) fn of_device(error: ProvisioningError) -> Self {
        let (told, code) = (error.told(), error.code());
        let problem = match code {
            // Provisioning has logged it.
            ErrorCode::InternalFailure => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Server error", told),
            _ => Self { detail: told, ..error.into() },
        };
        Self { code: Some(code), ..problem }
    }

    /// Of a device that is not let in.
    pub(super) fn of_stranger(detail: impl Into<String>) -> Self {
        Self { code: Some(ErrorCode::AccessDenied), ..Self::forbidden(detail) }
    }

    /// Of a device's message that could not be read.
    pub(super) fn of_device_message(self) -> Self {
        Self { code: Some(ErrorCode::InvalidPayload), ..self }
    }

    /// The same, of one file among several.
    pub(super) fn about(mut self, name: &str) -> Self {
        self.detail = format!("{name}: {}", self.detail);
        self
    }

    /// What went wrong and what to do.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The kind of problem, one of few.
    pub(super) fn title(&self) -> &'static str {
        self.title
    }

    /// What another form of error is made of.
    pub(super) fn into_parts(self) -> (StatusCode, String, Option<(HeaderName, HeaderValue)>) {
        (self.status, self.detail, self.header)
    }

    /// What to log when it is the client's to mend; the server's own failures are logged where they are met.
    pub(super) fn refusal(&self) -> Option<&str> {
        self.status.is_client_error().then_some(&self.detail)
    }

    pub(super) fn of_database(error: &sqlx::Error) -> Self {
        if database::is_full(error) { Self::disk_full(error) } else { Self::internal(error) }
    }

    fn disk_full(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "the disk is full");
        let detail = "the server's disk is full, and nothing was changed; free some space there and try again";
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "Disk full", detail)
    }

    /// Details go to the log, not to strangers.
    pub(super) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "a request failed");
        let detail = "the server failed, and nothing was changed; its log has the details";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Server error", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, title, detail, header: advice, code } = self;
        let rejection = code.map(|code| Rejection {
            status_code: status.as_u16(),
            error_code: code.as_str().to_owned(),
            error_message: detail.clone(),
        });
        let problem = ProblemDetails { title: title.to_owned(), status: status.as_u16(), detail };
        let mut response = (status, axum::Json(Told { problem, rejection })).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        headers.extend(advice);
        response
    }
}
