//! What every credential that talks to Microsoft Entra ID shares: URLs, and its AADSTS errors turned
//! into what to do.

use std::time::SystemTime;

use http::Uri;
use serde::Deserialize;

use super::{
    AccessToken, CredentialError, Reason,
    http::{Answer, TRY_AGAIN},
    token_response::Granted,
};
use crate::config::{Audience, ServiceUrl, Tenant};

/// The first-party application that FHIR tokens are for.
const HEALTHCARE_APIS_APPLICATION: &str = "4f6778d8-5aef-43dc-a1ff-b073724b9495";

/// Who asks for a token, and for whom; what remedies are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) tenant: Option<&'a str>,
    pub(super) client_id: Option<&'a str>,
    pub(super) audience: &'a Audience,
}

/// `{audience}/.default`; a slash at the end of the audience stays, and is doubled, since it is
/// part of the audience (learn.microsoft.com/entra/identity-platform/scopes-oidc).
pub(super) fn default_scope(audience: &Audience) -> String {
    format!("{audience}/.default")
}

/// The v2.0 token endpoint of a tenant.
pub(super) fn token_url(authority: &ServiceUrl, tenant: &Tenant) -> Uri {
    endpoint(authority, tenant, "token")
}

/// Where a tenant's device codes come from.
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

/// The token in an answer of the token endpoint, or why there is none. `start` is when it was asked for.
pub(super) fn read_token(
    answer: &Answer,
    asker: &Asker<'_>,
    start: SystemTime,
) -> Result<AccessToken, CredentialError> {
    if !answer.status.is_success() {
        return Err(denied(answer, asker, &sign_in_again(asker)));
    }
    let granted = Granted::read(answer).ok_or_else(|| {
        CredentialError::new(
            Reason::Transient,
            "the token endpoint's answer is not a token",
            "Check that `authority` names Microsoft Entra ID and that no captive portal answers in its place.",
        )
    })?;
    Ok(granted.into_token(start))
}

/// The `error` of an answer (RFC 6749, section 5.2); empty where it has none.
pub(super) fn error_of(answer: &Answer) -> String {
    let denied: Denied = serde_json::from_slice(&answer.body).unwrap_or_default();
    denied.error
}

/// Why an answer that is not a success holds no token. `sign_in` is the remedy where somebody has to
/// sign in again.
pub(super) fn denied(answer: &Answer, asker: &Asker<'_>, sign_in: &str) -> CredentialError {
    let denied: Denied = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = denied
        .error_codes
        .first()
        .copied()
        .or_else(|| find_code(&denied.error_description));
    let mut error = match code {
        Some(code) if !answer.is_transient() => explain(code, asker, sign_in),
        _ if answer.is_transient() || denied.error == "temporarily_unavailable" => {
            CredentialError::new(
                Reason::Transient,
                format!("the token endpoint answered {}", answer.status.as_u16()),
                TRY_AGAIN,
            )
        }
        _ => CredentialError::new(
            Reason::NeedsAction,
            format!("the token endpoint answered {}", answer.status.as_u16()),
            "Check tenant, client_id and authority of the credential.",
        ),
    };
    error.retry_after = answer.retry_after();
    error
}

/// The number behind `AADSTS` in a message.
pub(super) fn find_code(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once("AADSTS")?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// What an AADSTS code means and what to do. Descriptions sent by the server are not shown, since
/// they may change and may name people
/// (learn.microsoft.com/entra/identity-platform/reference-error-codes).
pub(super) fn from_code(code: u64, asker: &Asker<'_>) -> CredentialError {
    explain(code, asker, &sign_in_again(asker))
}

/// Likewise, for those who sign in by other means than `az`.
pub(super) fn explain(code: u64, asker: &Asker<'_>, sign_in: &str) -> CredentialError {
    let audience = asker.audience;
    let tenant = asker.tenant.unwrap_or("the tenant");
    let client = asker.client_id.unwrap_or("the application");
    let (reason, what, remedy) = match code {
        7_000_215 => (
            Reason::NeedsAction,
            format!("the secret of application {client} is wrong"),
            "Use the secret's value, not its id; make a new one under Certificates & secrets."
                .to_owned(),
        ),
        7_000_222 => (
            Reason::NeedsAction,
            format!("the secret of application {client} has expired"),
            format!("Make a new one: az ad app credential reset --id {client} --append"),
        ),
        700_016 => (
            Reason::NeedsAction,
            format!("application {client} is not known in {tenant}"),
            "Check client_id and tenant; the application may belong to another tenant.".to_owned(),
        ),
        7_000_218 => (
            Reason::NeedsAction,
            format!("application {client} does not let people sign in without its secret"),
            "Allow public client flows under Authentication of the application, or use another client_id."
                .to_owned(),
        ),
        90_002 => (
            Reason::NeedsAction,
            format!("{tenant} does not exist at this authority"),
            "Check tenant and authority; US Government and China have authorities of their own."
                .to_owned(),
        ),
        500_011 | 50_001 => (
            Reason::NeedsAction,
            format!("the audience {audience} is not known in {tenant}"),
            format!(
                "Check the route's audience and the credential's tenant. If Azure Healthcare APIs is missing in the \
                 tenant, run: az ad sp create --id {HEALTHCARE_APIS_APPLICATION}"
            ),
        ),
        700_027 => (
            Reason::NeedsAction,
            format!("the certificate is not, or no longer, registered for application {client}"),
            format!(
                "Register it: az ad app credential reset --id {client} --append --cert @certificate.pem"
            ),
        ),
        700_024 => (
            Reason::NeedsAction,
            format!("the assertion of application {client} is not valid at this time"),
            "Set this machine's clock, or have the federated token issued anew.".to_owned(),
        ),
        70_021 | 700_211..=700_213 => (
            Reason::NeedsAction,
            format!(
                "application {client} has no federated credential for this token's issuer, subject and audience"
            ),
            format!(
                "Compare them with: az ad app federated-credential list --id {client}, or az identity \
                 federated-credential list for a managed identity."
            ),
        ),
        65_001 => (
            Reason::NeedsAction,
            format!("nobody has consented to {client} using {audience}"),
            "Ask an administrator of the tenant to consent.".to_owned(),
        ),
        50_076 | 50_079 => (
            Reason::NeedsAction,
            "multi-factor authentication is required".to_owned(),
            sign_in.to_owned(),
        ),
        53_000..=53_003 | 530_032..=530_035 => (
            Reason::NeedsAction,
            "a conditional access policy blocks this sign-in".to_owned(),
            format!("Sign in from a device and network that the policy allows. {sign_in}"),
        ),
        700_082 | 70_043 | 50_173 | 50_078 | 700_084 => (
            Reason::NeedsAction,
            "the sign-in has expired or was revoked".to_owned(),
            sign_in.to_owned(),
        ),
        90_055 | 50_196 => (
            Reason::Transient,
            "Microsoft Entra ID is throttling requests".to_owned(),
            TRY_AGAIN.to_owned(),
        ),
        _ => (
            Reason::NeedsAction,
            "Microsoft Entra ID refused the request".to_owned(),
            format!("Look the code up at https://login.microsoftonline.com/error?code={code}"),
        ),
    };
    CredentialError::new(reason, format!("{what} (AADSTS{code})"), remedy)
}

fn sign_in_again(asker: &Asker<'_>) -> String {
    let tenant = asker
        .tenant
        .map(|tenant| format!(" --tenant {tenant}"))
        .unwrap_or_default();
    format!(
        "Run: az logout, then az login{tenant} --scope {}",
        default_scope(asker.audience)
    )
}
