//! The AADSTS codes of Microsoft Entra ID, and what its users can do about each
//! (learn.microsoft.com/entra/identity-platform/reference-error-codes).
//!
//! The descriptions that come with them are not shown: they change, and may name people.

use super::{CredentialError, http::TRY_AGAIN, requester::Requester};
use crate::config::Audience;

/// The first-party application that FHIR tokens are for, whichever service they name.
const HEALTHCARE_APIS: (&str, &str) = (
    "Azure Healthcare APIs",
    "4f6778d8-5aef-43dc-a1ff-b073724b9495",
);
/// The one that the DICOM audience belongs to.
const API_FOR_DICOM: (&str, &str) = (
    "Azure API for DICOM",
    "75e725bf-66ce-4cea-9b9a-5c4caae57f33",
);

fn needs_action(message: impl Into<String>, remedy: impl Into<String>) -> CredentialError {
    CredentialError::needs_action(message, remedy)
}

/// The number behind `AADSTS` in a message.
pub(super) fn find_code(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once("AADSTS")?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

/// Explains a code. `sign_in` is the remedy where somebody must sign in again, and empty where nobody can.
pub(super) fn explain(code: u64, requester: &Requester<'_>, sign_in: &str) -> CredentialError {
    let error = of_the_service(code)
        .or_else(|| of_the_tenant(code, requester))
        .or_else(|| of_the_audience(code, requester))
        .or_else(|| of_the_application(code, requester))
        .or_else(|| of_an_assertion(code, requester))
        .or_else(|| of_the_person(code, sign_in))
        .or_else(|| of_a_policy(code, sign_in))
        .unwrap_or_else(|| {
            needs_action(
                "Microsoft Entra ID refused the request",
                format!("Look the code up at https://login.microsoftonline.com/error?code={code}"),
            )
        });
    CredentialError {
        message: format!("{} (AADSTS{code})", error.message),
        remedy: error.remedy.trim_end().to_owned(),
        ..error
    }
}

fn of_the_service(code: u64) -> Option<CredentialError> {
    let message = match code {
        50_196 | 90_055 => "Microsoft Entra ID is throttling requests",
        90_006 | 90_033 => "Microsoft Entra ID has a problem of its own",
        _ => return None,
    };
    Some(CredentialError::transient(message, TRY_AGAIN))
}

fn of_the_tenant(code: u64, requester: &Requester<'_>) -> Option<CredentialError> {
    let names = requester.names;
    let tenant = requester.tenant.unwrap_or("the tenant");
    Some(match code {
        90_002 | 900_023 => needs_action(
            format!("{tenant} does not exist at this authority"),
            format!(
                "Check {} and {}; US Government and China have clouds of their own.",
                names.tenant, names.authority
            ),
        ),
        50_020 | 50_034 | 90_072 => needs_action(
            format!("the account that is signed in does not exist in {tenant}"),
            "Sign in with an account of the tenant, or have it invited there as a guest.",
        ),
        _ => return None,
    })
}

fn of_the_audience(code: u64, requester: &Requester<'_>) -> Option<CredentialError> {
    let Requester { audience, .. } = requester;
    let tenant = requester.tenant.unwrap_or("the tenant");
    let client = requester.client_id.unwrap_or("the application");
    let (name, id) = owner(audience);
    Some(match code {
        50_001 | 500_011 | 650_052 => needs_action(
            format!("the audience {audience} is not known in {tenant}"),
            format!(
                "Check the route's audience and the credential's tenant. If {name} is missing in the tenant, run: az \
                 ad sp create --id {id}"
            ),
        ),
        500_014 => needs_action(
            format!("the audience {audience} is disabled in {tenant}"),
            format!(
                "Have an administrator enable {name}: az ad sp update --id {id} --set accountEnabled=true"
            ),
        ),
        650_057 => needs_action(
            format!("the audience {audience} is not among the API permissions of {client}"),
            format!(
                "Add {name} there and have an administrator consent. If it cannot be found, it is missing in the \
                 tenant; run: az ad sp create --id {id}"
            ),
        ),
        65_001 => {
            let id = requester.client_id.unwrap_or("APPLICATION");
            needs_action(
                format!("nobody has consented to {client} using {audience}"),
                format!(
                    "Have an administrator of the tenant consent: az ad app permission admin-consent --id {id}"
                ),
            )
        }
        65_004 => needs_action(
            format!("consent to {client} using {audience} was declined"),
            "Sign in again and accept, or have an administrator of the tenant consent.",
        ),
        50_105 | 501_051 => needs_action(
            format!("nobody has assigned this account or application to {name}"),
            format!(
                "Have an administrator add it under Users and groups of the enterprise application {id}."
            ),
        ),
        _ => return None,
    })
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

fn of_the_application(code: u64, requester: &Requester<'_>) -> Option<CredentialError> {
    let names = requester.names;
    let tenant = requester.tenant.unwrap_or("the tenant");
    let client = requester.client_id.unwrap_or("the application");
    Some(match code {
        700_016 | 7_000_229 => needs_action(
            format!("application {client} is not known in {tenant}"),
            format!(
                "Check {} and {}; the application may belong to another tenant.",
                names.client_id, names.tenant
            ),
        ),
        7_000_112 => needs_action(
            format!("application {client} is disabled"),
            format!(
                "Have an administrator enable it: az ad sp update --id {client} --set accountEnabled=true"
            ),
        ),
        7_000_215 => needs_action(
            format!("the secret of application {client} is wrong"),
            "Use the secret's value, not its id; make a new one under Certificates & secrets.",
        ),
        7_000_218 => needs_action(
            format!("application {client} does not let people sign in without its secret"),
            "Allow public client flows under Authentication of the application, or use another client_id.",
        ),
        7_000_222 => needs_action(
            format!("the secret of application {client} has expired"),
            format!("Make a new one: az ad app credential reset --id {client} --append"),
        ),
        _ => return None,
    })
}

fn of_an_assertion(code: u64, requester: &Requester<'_>) -> Option<CredentialError> {
    let client = requester.client_id.unwrap_or("the application");
    Some(match code {
        700_024 => needs_action(
            format!("the assertion of application {client} is not valid at this time"),
            "Set this machine's clock, or have the federated token issued anew.",
        ),
        700_027 => needs_action(
            format!("the certificate is not, or no longer, registered for application {client}"),
            format!(
                "Register it: az ad app credential reset --id {client} --append --cert @certificate.pem"
            ),
        ),
        70_021 | 700_211..=700_213 => needs_action(
            format!(
                "application {client} has no federated credential for this token's issuer, subject and audience"
            ),
            format!(
                "Compare them with: az ad app federated-credential list --id {client}, or az identity \
                 federated-credential list for a managed identity."
            ),
        ),
        _ => return None,
    })
}

fn of_the_person(code: u64, sign_in: &str) -> Option<CredentialError> {
    let message = match code {
        50_058 => "nobody is signed in",
        50_053 => "the account is locked",
        50_057 => "the account is disabled",
        50_055 | 50_135 | 50_144 => "the account's password has expired or has to be changed",
        50_126 => "the account's name or password is wrong",
        50_072 | 50_074 | 50_076 | 50_079 | 50_158 => "multi-factor authentication is required",
        50_078 | 50_132 | 50_133 | 50_173 | 70_008 | 70_043 | 70_044 | 700_081 | 700_082
        | 700_084 => "the sign-in has expired or was revoked",
        _ => return None,
    };
    let before = match code {
        50_053 => "Wait until it is unlocked, or ask an administrator. ",
        50_057 => "Ask an administrator to enable it, or sign in with another. ",
        50_055 | 50_135 | 50_144 => "Set a new one at https://aka.ms/sspr. ",
        _ => "",
    };
    Some(needs_action(message, format!("{before}{sign_in}")))
}

fn of_a_policy(code: u64, sign_in: &str) -> Option<CredentialError> {
    Some(match code {
        50_097 | 50_129 | 50_155 | 135_011 => needs_action(
            "a conditional access policy asks for a device that the tenant knows",
            format!(
                "Sign in in a browser on a registered device, not with a device code; a device that was disabled an \
                 administrator has to enable. {sign_in}"
            ),
        ),
        50_131 | 53_000..=53_004 | 530_003 | 530_032..=530_035 => needs_action(
            "a conditional access policy blocks this sign-in",
            format!(
                "Use a device and network that the policy allows, or ask an administrator which those are. {sign_in}"
            ),
        ),
        _ => return None,
    })
}
