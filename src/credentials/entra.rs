//! The endpoints of Microsoft Entra ID, and how to read their responses.

use std::time::SystemTime;

use http::Uri;
use serde::Deserialize;

use super::{
    AccessToken, CredentialError, Reason, aadsts,
    http::{Response, TRY_AGAIN},
    requester::Requester,
    token_response::Granted,
};
use crate::config::{Audience, ServiceUrl, Tenant};

/// The scope `{audience}/.default`. A slash at the end of the audience is doubled, since it is part of the audience
/// (learn.microsoft.com/entra/identity-platform/scopes-oidc).
pub(super) fn default_scope(audience: &Audience) -> String {
    format!("{audience}/.default")
}

/// The v2.0 token endpoint of a tenant.
pub(super) fn token_url(authority: &ServiceUrl, tenant: &Tenant) -> Uri {
    endpoint(authority, tenant, "token")
}

/// The device code endpoint of a tenant.
pub(super) fn device_code_url(authority: &ServiceUrl, tenant: &Tenant) -> Uri {
    endpoint(authority, tenant, "devicecode")
}

fn endpoint(authority: &ServiceUrl, tenant: &Tenant, name: &str) -> Uri {
    let path = format!("{}/{tenant}/oauth2/v2.0/{name}", authority.base_path());
    Uri::builder()
        .scheme(authority.scheme().clone())
        .authority(authority.authority().clone())
        .path_and_query(path)
        .build()
        .expect("a tenant holds only characters that a path may hold")
}

#[derive(Deserialize, Default)]
struct Denied {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_codes: Vec<u64>,
    #[serde(default)]
    error_description: String,
}

/// Reads the token in a response of the token endpoint, or the reason why there is none. The
/// request was sent at `start`.
pub(super) fn read_token(
    response: &Response,
    requester: &Requester<'_>,
    start: SystemTime,
) -> Result<AccessToken, CredentialError> {
    if !response.status.is_success() {
        return Err(denied(response, requester, ""));
    }
    let granted = Granted::read(response).ok_or_else(|| {
        CredentialError::new(
            Reason::Transient,
            "the token endpoint's response is not a token",
            "Check that the authority (the key `authority` or AZURE_AUTHORITY_HOST) is Microsoft Entra ID, and that no captive portal responds in its place.",
        )
    })?;
    Ok(granted.into_token(start))
}

/// The `error` of a response (RFC 6749, section 5.2). Empty if it has none.
pub(super) fn error_of(response: &Response) -> String {
    let denied: Denied = serde_json::from_slice(&response.body).unwrap_or_default();
    denied.error
}

/// Explains a response without a token. `sign_in` is the remedy if a person must sign in again, and
/// is empty if no person can.
pub(super) fn denied(
    response: &Response,
    requester: &Requester<'_>,
    sign_in: &str,
) -> CredentialError {
    let denied: Denied = serde_json::from_slice(&response.body).unwrap_or_default();
    let code = denied
        .error_codes
        .first()
        .copied()
        .or_else(|| aadsts::find_code(&denied.error_description));
    let mut error = match code {
        Some(code) if !response.is_transient() => aadsts::explain(code, requester, sign_in),
        _ if response.is_transient() || denied.error == "temporarily_unavailable" => {
            CredentialError::new(
                Reason::Transient,
                format!(
                    "the token endpoint responded with {}",
                    response.status.as_u16()
                ),
                TRY_AGAIN,
            )
        }
        _ => CredentialError::new(
            Reason::NeedsAction,
            format!(
                "the token endpoint responded with {}",
                response.status.as_u16()
            ),
            "Check tenant, client_id and authority of the credential.",
        ),
    };
    error.retry_after = response.retry_after();
    error
}
