//! Errors on AWS's paths, in the form that AWS's clients read: the kind in a header, the rest as JSON.

use super::problem::Problem;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use fleet_protocol::shadow::{ERROR_KIND, Rejected};
use jiff::Timestamp;

const KIND: HeaderName = HeaderName::from_static(ERROR_KIND);

/// An answer that says what went wrong.
#[derive(Debug)]
pub(super) struct ServiceError {
    rejected: Rejected,
    /// A header that tells the client what to do.
    header: Option<(HeaderName, HeaderValue)>,
}

impl ServiceError {
    /// The name that AWS's service models give to errors of this status.
    fn kind(&self) -> &'static str {
        match self.rejected.code {
            401 => "UnauthorizedException",
            403 => "ForbiddenException",
            404 => "ResourceNotFoundException",
            405 => "MethodNotAllowedException",
            409 => "ConflictException",
            413 => "RequestEntityTooLargeException",
            415 => "UnsupportedDocumentEncodingException",
            429 => "ThrottlingException",
            503 | 507 => "ServiceUnavailableException",
            500.. => "InternalFailureException",
            _ => "InvalidRequestException",
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Problem::bad_request(message).into()
    }

    /// For whatever else is asked of one of AWS's paths.
    pub(super) async fn method_not_allowed() -> Self {
        Problem::method_not_allowed().into()
    }
}

impl From<Rejected> for ServiceError {
    fn from(rejected: Rejected) -> Self {
        Self { rejected, header: None }
    }
}

impl From<Problem> for ServiceError {
    fn from(problem: Problem) -> Self {
        let (status, message, header) = problem.into_parts();
        let timestamp = Timestamp::now().as_second();
        Self { rejected: Rejected { code: status.as_u16(), message, timestamp, client_token: None }, header }
    }
}

impl IntoResponse for ServiceError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.rejected.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let kind = [(KIND, HeaderValue::from_static(self.kind()))];
        let mut response = (status, kind, axum::Json(self.rejected)).into_response();
        response.headers_mut().extend(self.header);
        response
    }
}
