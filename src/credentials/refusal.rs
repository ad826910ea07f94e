//! The refusals of token endpoints (RFC 6749, section 5.2), and their remedies.
//!
//! `error_description` is never shown, since a server may quote the request in it.

use serde::Deserialize;

use super::{
    AccessToken, CredentialError,
    http::{Response, TRY_AGAIN},
    token_response::Granted,
};

/// The error codes of token endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refusal {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    UnauthorizedClient,
    UnsupportedGrantType,
    InvalidScope,
    /// RFC 8707, section 2.
    InvalidTarget,
    /// An error of another endpoint (section 4.1.2.1), which servers use here, too.
    ServerError,
    TemporarilyUnavailable,
}

#[derive(Deserialize)]
struct Denied {
    error: Refusal,
}

/// The remedies for refusals that concern the keys of one kind of credential.
#[derive(Debug)]
pub(super) struct Remedies {
    /// The key that names the token endpoint.
    pub(super) endpoint: &'static str,
    pub(super) invalid_request: &'static str,
    pub(super) invalid_client: &'static str,
    pub(super) invalid_grant: &'static str,
    pub(super) invalid_target: &'static str,
}

impl Refusal {
    /// The code of a response that is a refusal.
    pub(super) fn of(response: &Response) -> Option<Self> {
        if response.is_transient() {
            return None;
        }
        let denied: Option<Denied> = serde_json::from_slice(&response.body).ok();
        match denied {
            Some(denied) => Some(denied.error),
            // A 401 has only this meaning, whatever the body says.
            None if response.status == http::StatusCode::UNAUTHORIZED => Some(Self::InvalidClient),
            None => None,
        }
    }

    fn explain(self, host: &str, remedies: &Remedies) -> CredentialError {
        let refuse = |what: &str, remedy: &str| {
            CredentialError::needs_action(format!("{host} {what}"), remedy)
        };
        match self {
            Self::InvalidRequest => refuse(
                "cannot use the request (invalid_request)",
                remedies.invalid_request,
            ),
            Self::InvalidClient => refuse(
                "does not accept the client (invalid_client)",
                remedies.invalid_client,
            ),
            Self::InvalidGrant => refuse(
                "does not accept what the client presents (invalid_grant)",
                remedies.invalid_grant,
            ),
            Self::UnauthorizedClient => refuse(
                "does not allow this grant to the client (unauthorized_client)",
                "Ask the server's owner to allow this client the client_credentials grant.",
            ),
            Self::UnsupportedGrantType => refuse(
                "issues no tokens for client credentials (unsupported_grant_type)",
                &format!(
                    "Check `{}`; the server's documentation names the endpoint with the client_credentials grant.",
                    remedies.endpoint
                ),
            ),
            Self::InvalidScope => refuse(
                "does not grant the scope (invalid_scope)",
                "Set `scope` to scopes that the server's owner has given this client.",
            ),
            Self::InvalidTarget => refuse(
                "does not know the resource (invalid_target)",
                remedies.invalid_target,
            ),
            Self::ServerError | Self::TemporarilyUnavailable => CredentialError::transient(
                format!("{host} responded with a server error"),
                TRY_AGAIN,
            ),
        }
    }
}

/// Reads the bearer token in a response of the token endpoint on `host`, or the reason why there is
/// none. `start` is the time of the request.
pub(super) fn read_token(
    response: &Response,
    host: &str,
    remedies: &Remedies,
    start: std::time::SystemTime,
) -> Result<AccessToken, CredentialError> {
    match Granted::read(response) {
        Some(granted) if granted.is_bearer() => Ok(granted.into_token(start)),
        Some(_) => Err(CredentialError::needs_action(
            format!("the token that {host} issued is not a bearer token"),
            "Ask the server's owner for tokens with the token_type Bearer, the only type that \
             ahds-proxy supports.",
        )),
        None => Err(refused(response, host, remedies)),
    }
}

fn refused(response: &Response, host: &str, remedies: &Remedies) -> CredentialError {
    let Some(refusal) = Refusal::of(response) else {
        return response.unexpected(host, remedies.endpoint);
    };
    response.with_wait(refusal.explain(host, remedies))
}
