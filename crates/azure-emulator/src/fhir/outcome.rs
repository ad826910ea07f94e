//! The service's errors as `OperationOutcome`.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use super::{
    super::{
        body::{self, Body},
        random,
    },
    FHIR_JSON,
};

/// An error of one interaction.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    code: &'static str,
    diagnostics: String,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, diagnostics: impl Into<String>) -> Self {
        Self {
            status,
            code,
            diagnostics: diagnostics.into(),
        }
    }

    pub(super) fn login() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "login", "Authentication failed.")
    }

    pub(super) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Authorization failed.")
    }

    pub(super) fn invalid(diagnostics: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", diagnostics)
    }

    pub(super) fn unknown_type(kind: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-supported",
            format!("Resource type '{kind}' is not supported."),
        )
    }

    pub(super) fn unknown_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "The requested route was not found.",
        )
    }

    pub(super) fn unknown_resource(kind: &str, id: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            format!("Resource type '{kind}' with id '{id}' couldn't be found."),
        )
    }

    pub(super) fn unknown_version(kind: &str, id: &str, version: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            format!(
                "Resource type '{kind}' with id '{id}' and version '{version}' couldn't be found."
            ),
        )
    }

    pub(super) fn gone(kind: &str, id: &str) -> Self {
        Self::new(
            StatusCode::GONE,
            "deleted",
            format!("Resource type '{kind}' with id '{id}' has been deleted."),
        )
    }

    pub(super) fn precondition_failed(version: &HeaderValue) -> Self {
        let version = version.to_str().unwrap_or_default();
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "conflict",
            format!(
                "The supplied version '{}' did not match the latest version of the resource.",
                version.trim_start_matches("W/").trim_matches('"')
            ),
        )
    }

    pub(super) fn several_matches() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "multiple-matches",
            "The search criteria of the conditional operation matched more than one resource.",
        )
    }

    pub(super) fn not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "not-supported",
            "The requested method is not supported on this route.",
        )
    }

    pub(super) fn too_long() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-long",
            "The request body is too large.",
        )
    }

    /// The failure of one entry fails its transaction.
    pub(super) fn transaction_failed(self, method: &str, url: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "processing",
            format!(
                "Transaction failed on '{method}' for the requested url '/{url}'. {}",
                self.diagnostics
            ),
        )
    }

    pub(super) fn outcome(&self) -> Value {
        json!({
            "resourceType": "OperationOutcome",
            "id": random::guid(),
            "issue": [{
                "severity": "error",
                "code": self.code,
                "diagnostics": self.diagnostics,
            }],
        })
    }

    pub(super) fn into_response(self) -> Response<Body> {
        body::full(self.status, FHIR_JSON, self.outcome().to_string())
    }
}

/// Too many concurrent calls: two headers say how long to wait, and the body has no id.
pub(super) fn throttled(wait: Duration) -> Response<Body> {
    let outcome = json!({
        "resourceType": "OperationOutcome",
        "issue": [{
            "severity": "error",
            "code": "throttled",
            "diagnostics":
                "The maximum number of concurrent API calls on this instance was reached.",
        }],
    });
    let mut response = body::json(StatusCode::TOO_MANY_REQUESTS, &outcome);
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    body::set(&mut response, header::RETRY_AFTER, &seconds.to_string());
    body::set(
        &mut response,
        HeaderName::from_static("x-ms-retry-after-ms"),
        &wait.as_millis().to_string(),
    );
    response
}
