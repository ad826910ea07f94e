//! The AADSTS codes of Microsoft Entra ID, and the remedy for each
//! (learn.microsoft.com/entra/identity-platform/reference-error-codes).
//!
//! Entra's own descriptions of the codes are not shown, since they change and may name people.

use super::{CredentialError, http::TRY_AGAIN, requester::Requester};
use crate::config::Audience;

/// The first-party application that accepts FHIR tokens, whichever service they name.
const HEALTHCARE_APIS: (&str, &str) = (
    "Azure Healthcare APIs",
    "4f6778d8-5aef-43dc-a1ff-b073724b9495",
);
/// The first-party application to which the DICOM audience belongs.
const API_FOR_DICOM: (&str, &str) = (
    "Azure API for DICOM",
    "75e725bf-66ce-4cea-9b9a-5c4caae57f33",
);

/// Codes, their meaning, and the remedy, which a person has to apply. [`explain`] fills in the names in braces.
const MEANINGS: &[(&[u64], &str, &str)] = &[
    (
        &[90_002, 900_023],
        "{tenant} does not exist at this authority",
        "Check {tenant key} and {authority key}. US Government and China have clouds of their own.",
    ),
    (
        &[50_020, 50_034, 90_072],
        "the account that is signed in does not exist in {tenant}",
        "Sign in with an account of the tenant, or ask an administrator to invite the account as a \
         guest.",
    ),
    (
        &[50_001, 500_011, 650_052],
        "the audience {audience} is not known in {tenant}",
        "Check the route's audience and the credential's tenant. If {owner} is missing in the tenant, run: az ad sp \
         create --id {owner id}",
    ),
    (
        &[500_014],
        "the audience {audience} is disabled in {tenant}",
        "Ask an administrator to enable {owner}. Run: az ad sp update --id {owner id} --set \
         accountEnabled=true",
    ),
    (
        &[650_057],
        "the audience {audience} is not among the API permissions of {client}",
        "Add {owner} there, and ask an administrator to consent. If the list does not have it, it is \
         missing in the tenant. Run: az ad sp create --id {owner id}",
    ),
    (
        &[65_001],
        "nobody has consented that {client} uses {audience}",
        "Ask an administrator of the tenant to run: az ad app permission admin-consent --id {client \
         id}",
    ),
    (
        &[65_004],
        "somebody declined the consent that {client} uses {audience}",
        "Sign in again and accept, or ask an administrator of the tenant to consent.",
    ),
    (
        &[50_105, 501_051],
        "nobody has assigned this account or application to {owner}",
        "Ask an administrator to add it under Users and groups of the enterprise application {owner \
         id}.",
    ),
    (
        &[700_016, 7_000_229],
        "application {client id} is not known in {tenant}",
        "Check {client key} and {tenant key}; the application may belong to another tenant.",
    ),
    (
        &[7_000_112],
        "application {client id} is disabled",
        "Ask an administrator to run: az ad sp update --id {client id} --set accountEnabled=true",
    ),
    (
        &[7_000_215],
        "the secret of application {client id} is wrong",
        "Use the secret's value, not its id. If the value is lost, make a new secret under \
         Certificates & secrets.",
    ),
    (
        &[7_000_218],
        "application {client id} does not allow people to sign in without its secret",
        "Allow public client flows under Authentication of the application, or use another {client key}.",
    ),
    (
        &[7_000_222],
        "the secret of application {client id} has expired",
        "Make a new secret. Run: az ad app credential reset --id {client id} --append",
    ),
    (
        &[700_024],
        "the assertion of application {client id} is not valid at this time",
        "Set this machine's clock, or get a new federated token.",
    ),
    (
        &[700_027],
        "the certificate is not, or no longer, registered for application {client id}",
        "Register it. Run: az ad app credential reset --id {client id} --append --cert \
         @certificate.pem",
    ),
    (
        &[70_021, 700_211, 700_212, 700_213],
        "application {client id} has no federated credential for this token's issuer, subject and audience",
        "Compare the token with `az ad app federated-credential list --id {client id}`, or for a \
         managed identity with `az identity federated-credential list`.",
    ),
    (&[50_058], "nobody is signed in", "{sign in}"),
    (
        &[50_053],
        "the account is locked",
        "Wait until it is unlocked, or ask an administrator. {sign in}",
    ),
    (
        &[50_057],
        "the account is disabled",
        "Ask an administrator to enable it, or sign in with another account. {sign in}",
    ),
    (
        &[50_055, 50_135, 50_144],
        "the account's password has expired or has to be changed",
        "Set a new password at https://aka.ms/sspr. {sign in}",
    ),
    (
        &[50_126],
        "the account's name or password is wrong",
        "{sign in}",
    ),
    (
        &[50_072, 50_074, 50_076, 50_079, 50_158],
        "multi-factor authentication is required",
        "{sign in}",
    ),
    (
        &[
            50_078, 50_132, 50_133, 50_173, 70_008, 70_043, 70_044, 700_081, 700_082, 700_084,
        ],
        "the sign-in has expired or was revoked",
        "{sign in}",
    ),
    (
        &[50_097, 50_129, 50_155, 135_011],
        "a conditional access policy asks for a device that the tenant knows",
        "Sign in with a browser on a registered device, not with a device code. Only an administrator \
         can enable a disabled device. {sign in}",
    ),
    (
        &[
            50_131, 53_000, 53_001, 53_002, 53_003, 53_004, 530_003, 530_032, 530_033, 530_034,
            530_035,
        ],
        "a conditional access policy blocks this sign-in",
        "Use a device and a network that the policy allows; an administrator knows them. {sign in}",
    ),
];

/// The number after `AADSTS` in a message.
pub(super) fn find_code(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once("AADSTS")?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// Explains a code. `sign_in` is the remedy if a person must sign in again, and is empty if no
/// person can.
pub(super) fn explain(code: u64, requester: &Requester<'_>, sign_in: &str) -> CredentialError {
    let trouble = match code {
        50_196 | 90_055 => Some("is throttling requests"),
        90_006 | 90_033 => Some("responded with a server error"),
        _ => None,
    };
    if let Some(trouble) = trouble {
        let message = format!("Microsoft Entra ID {trouble} (AADSTS{code})");
        return CredentialError::transient(message, TRY_AGAIN);
    }
    let meaning = MEANINGS.iter().find(|(codes, ..)| codes.contains(&code));
    let Some((_, message, remedy)) = meaning else {
        return CredentialError::needs_action(
            format!("Microsoft Entra ID refused the request (AADSTS{code})"),
            format!("Look the code up at https://login.microsoftonline.com/error?code={code}"),
        );
    };
    let (owner, owner_id) = owner(requester.audience);
    let names = requester.names;
    let values = [
        ("{tenant}", requester.tenant.unwrap_or("the tenant")),
        ("{tenant key}", names.tenant),
        ("{client key}", names.client_id),
        ("{authority key}", names.authority),
        ("{audience}", requester.audience.as_str()),
        ("{owner}", owner),
        ("{owner id}", owner_id),
        ("{sign in}", sign_in),
        ("{client}", requester.client_id.unwrap_or("the application")),
        ("{client id}", requester.client_id.unwrap_or("APPLICATION")),
    ];
    let fill = |text: &str| {
        values.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
    };
    CredentialError::needs_action(
        format!("{} (AADSTS{code})", fill(message)),
        fill(remedy).trim_end(),
    )
}

/// The application that an audience belongs to: its name and id.
fn owner(audience: &Audience) -> (&'static str, &'static str) {
    let audience = audience.as_str();
    if audience.contains("://dicom.healthcareapis.azure.") || audience == API_FOR_DICOM.1 {
        API_FOR_DICOM
    } else {
        HEALTHCARE_APIS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::requester::Names;

    #[test]
    fn every_brace_is_filled_in() {
        let audience = Audience::parse("https://a.example").expect("an audience");
        let requester = Requester {
            tenant: None,
            client_id: None,
            audience: &audience,
            names: &Names::KEYS,
        };
        for code in MEANINGS.iter().flat_map(|(codes, ..)| *codes) {
            let error = explain(*code, &requester, "Run: az login").to_string();
            assert!(!error.contains(['{', '}']), "{error}");
        }
    }
}
