//! Entra's errors: an OAuth error (RFC 6749, section 5.2) with AADSTS codes in its description.

use http::{Response, StatusCode};
use serde_json::json;

use super::super::{
    body::{self, Body},
    clock, random,
};

/// One error of the token service.
#[derive(Debug)]
pub(super) struct EntraError {
    status: StatusCode,
    code: u32,
    error: &'static str,
    message: String,
    suberror: Option<&'static str>,
}

impl EntraError {
    fn new(status: StatusCode, code: u32, error: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            error,
            message: message.into(),
            suberror: None,
        }
    }

    fn bad_request(code: u32, error: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, error, message)
    }

    fn unauthorized(code: u32, message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, "invalid_client", message)
    }

    pub(super) fn malformed() -> Self {
        Self::bad_request(
            9_000_410,
            "invalid_request",
            "Malformed request. The body is not a form of acceptable size.",
        )
    }

    pub(super) fn missing(parameter: &str) -> Self {
        Self::bad_request(
            900_144,
            "invalid_request",
            format!("The request body must contain the following parameter: '{parameter}'."),
        )
    }

    pub(super) fn unsupported_grant(grant: &str) -> Self {
        Self::bad_request(
            70_003,
            "unsupported_grant_type",
            format!("The app requested an unsupported grant type '{grant}'."),
        )
    }

    pub(super) fn unknown_tenant(tenant: &str) -> Self {
        Self::bad_request(
            90_002,
            "invalid_request",
            format!(
                "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID \
                 and are signing into the correct cloud. Check with your subscription \
                 administrator, this may happen if there are no active subscriptions for the \
                 tenant."
            ),
        )
    }

    pub(super) fn no_tenant() -> Self {
        Self::bad_request(
            50_059,
            "invalid_request",
            "No tenant-identifying information found in either the request or implied by any \
             provided credentials.",
        )
    }

    pub(super) fn unknown_client(client_id: &str) -> Self {
        Self::bad_request(
            700_016,
            "unauthorized_client",
            format!(
                "Application with identifier '{client_id}' was not found in the directory \
                 'Demo'. This can happen if the application has not been installed by the \
                 administrator of the tenant or consented to by any user in the tenant. You may \
                 have sent your authentication request to the wrong tenant."
            ),
        )
    }

    pub(super) fn wrong_secret(client_id: &str) -> Self {
        Self::unauthorized(
            7_000_215,
            format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is \
                 the client secret value, not the client secret ID, for a secret added to app \
                 '{client_id}'."
            ),
        )
    }

    pub(super) fn no_secret() -> Self {
        Self::unauthorized(
            7_000_218,
            "The request body must contain the following parameter: 'client_assertion' or \
             'client_secret'.",
        )
    }

    pub(super) fn bad_assertion(why: &str) -> Self {
        Self::unauthorized(
            50_027,
            format!("JWT token is invalid or malformed. Reason - {why}."),
        )
    }

    pub(super) fn expired_assertion() -> Self {
        Self::unauthorized(
            700_024,
            "Client assertion is not within its valid time range. Current time and the \
             assertion's nbf and exp do not agree.",
        )
    }

    pub(super) fn bad_signature() -> Self {
        Self::unauthorized(
            700_027,
            "The certificate with identifier used to sign the client assertion is not \
             registered on application. Reason - The key was not found.",
        )
    }

    pub(super) fn unknown_audience(audience: &str) -> Self {
        Self::bad_request(
            500_011,
            "invalid_resource",
            format!(
                "The resource principal named {audience} was not found in the tenant named Demo. \
                 This can happen if the application has not been installed by the administrator \
                 of the tenant or consented to by any user in the tenant. You might have sent \
                 your authentication request to the wrong tenant."
            ),
        )
    }

    pub(super) fn bad_scope(scope: &str) -> Self {
        Self::bad_request(
            1_002_012,
            "invalid_scope",
            format!(
                "The provided value for scope {scope} is not valid. Client credential flows must \
                 have a scope value with /.default suffixed to the resource identifier \
                 (application ID URI)."
            ),
        )
    }

    pub(super) fn authorization_pending() -> Self {
        Self::bad_request(
            70_016,
            "authorization_pending",
            "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
        )
    }

    pub(super) fn unknown_device_code() -> Self {
        Self::bad_request(
            70_019,
            "expired_token",
            "Verification code expired or unknown.",
        )
    }

    pub(super) fn revoked() -> Self {
        let mut error = Self::bad_request(
            700_082,
            "invalid_grant",
            "The refresh token has expired due to inactivity. The token was issued earlier and \
             was inactive for 90.00:00:00.",
        );
        error.suberror = Some("bad_token");
        error
    }

    pub(super) fn unknown_refresh_token() -> Self {
        Self::bad_request(
            9_002_313,
            "invalid_grant",
            "Invalid request. Request is malformed or invalid.",
        )
    }

    pub(super) fn blocked() -> Self {
        let mut error = Self::bad_request(
            53_003,
            "invalid_grant",
            "Access has been blocked by Conditional Access policies. The access policy does not \
             allow token issuance.",
        );
        error.suberror = Some("message_only");
        error
    }

    pub(super) fn throttled() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            90_055,
            "temporarily_unavailable",
            "The server terminated an operation because it encountered too many requests. Please \
             try again later.",
        )
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let timestamp = clock::entra(jiff::Timestamp::now());
        let (trace, correlation) = (random::guid(), random::guid());
        let code = self.code;
        let mut value = json!({
            "error": self.error,
            "error_description": format!(
                "AADSTS{code}: {} Trace ID: {trace} Correlation ID: {correlation} \
                 Timestamp: {timestamp}",
                self.message,
            ),
            "error_codes": [code],
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("{}/error?code={code}", super::super::AUTHORITY),
        });
        if let Some(suberror) = self.suberror {
            value["suberror"] = suberror.into();
        }
        body::json(self.status, &value)
    }
}
