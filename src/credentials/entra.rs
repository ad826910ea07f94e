//! The endpoints of Microsoft Entra ID, and how to read their responses.

use std::time::SystemTime;

use http::Uri;
use serde::Deserialize;

use super::{
    AccessToken, CredentialError, aadsts,
    context::Context,
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
        .expect("a tenant contains only characters that a path may contain")
}

/// Parses the tenant in a variable.
pub(super) fn tenant_in(variable: &str, value: &str) -> Result<Tenant, CredentialError> {
    Tenant::parse(value.trim()).map_err(|error| {
        CredentialError::needs_action(
            format!("{variable}: {error}"),
            "Correct the variable and start ahds-proxy again.",
        )
    })
}

/// An application that signs in without a user: the client credentials grant (RFC 6749, section
/// 4.4).
#[derive(Debug)]
pub(super) struct Application<'a> {
    pub(super) tenant: &'a Tenant,
    pub(super) client_id: &'a str,
    pub(super) authority: &'a ServiceUrl,
}

impl Application<'_> {
    /// Requests a token for an audience. `proof` has the form fields that authenticate the application.
    pub(super) async fn token(
        &self,
        audience: &Audience,
        proof: &[(&str, &str)],
        context: &Context,
    ) -> Result<AccessToken, CredentialError> {
        let scope = default_scope(audience);
        let mut form = vec![
            ("grant_type", "client_credentials"),
            ("client_id", self.client_id),
            ("scope", &scope),
        ];
        form.extend(proof);
        let url = token_url(self.authority, self.tenant);
        // Taken before the request, since the life of a token starts before its response arrives.
        let start = context.clock.now();
        let response = context.endpoints.post_form(&url, &form).await?;
        let requester = Requester {
            tenant: Some(self.tenant.as_str()),
            client_id: Some(self.client_id),
            audience,
            names: context.names(),
        };
        read_token(&response, &requester, start)
    }
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
        CredentialError::transient(
            "the token endpoint's response is not a token",
            requester.names.check_authority(),
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
    let message = format!(
        "the token endpoint responded with {}",
        response.status.as_u16()
    );
    response.with_wait(match code {
        _ if response.is_transient() => CredentialError::transient(message, TRY_AGAIN),
        Some(code) => aadsts::explain(code, requester, sign_in),
        None if denied.error == "temporarily_unavailable" => {
            CredentialError::transient(message, TRY_AGAIN)
        }
        None => CredentialError::needs_action(message, requester.names.check_all()),
    })
}
