//! The proxy's error for each AADSTS code, wherever the code comes from.

use std::process::Command;

use azure_emulator::{
    AUTHORITY, CLIENT_ID, DICOM_AUDIENCE, DICOM_ORIGIN, FHIR_AUDIENCE, Fault, TENANT,
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{client, fake_az::FakeAz, process::Process, signing_in::SigningIn};

const FHIR: &str = "/fhir/Patient?_count=1";
const DICOM: &str = "/dicom/v2/changefeed?limit=1";
/// A text in every description, which no output of the proxy may contain.
const PRIVATE: &str = "jane.doe@contoso.example";
const CREATE_HEALTHCARE_APIS: &str =
    "un: az ad sp create --id 4f6778d8-5aef-43dc-a1ff-b073724b9495";
const CREATE_API_FOR_DICOM: &str = "un: az ad sp create --id 75e725bf-66ce-4cea-9b9a-5c4caae57f33";
const SIGN_IN: &str = "Run: az login --scope ";

/// A code, its meaning and its remedy.
type Row = (u32, &'static str, &'static str);

/// The errors for an application that has a secret.
const OF_APPLICATIONS: &[Row] = &[
    (
        7_000_215,
        "the secret of application ca11ab1e-0000-4000-8000-00000000d3a0 is wrong",
        "Use the secret's value, not its id",
    ),
    (
        7_000_222,
        "has expired",
        "az ad app credential reset --id ca11ab1e-0000-4000-8000-00000000d3a0 --append",
    ),
    (
        700_016,
        "is not known in c0ffee00-0000-4000-8000-00000000d3a0",
        "Check `client_id` and `tenant`",
    ),
    (7_000_112, "is disabled", "accountEnabled=true"),
    (
        7_000_229,
        "is not known in",
        "Check `client_id` and `tenant`",
    ),
    (
        700_027,
        "registered for application",
        "--cert @certificate.pem",
    ),
    (
        700_024,
        "is not valid at this time",
        "Set this machine's clock",
    ),
    (
        700_213,
        "has no federated credential",
        "federated-credential list",
    ),
    (
        90_002,
        "does not exist at this authority",
        "Check `tenant` and `authority`",
    ),
    (
        900_023,
        "does not exist at this authority",
        "Check `tenant` and `authority`",
    ),
    (
        500_011,
        "the audience https://demo-fhir.fhir.azurehealthcareapis.com is not known in",
        CREATE_HEALTHCARE_APIS,
    ),
    (50_001, "is not known in", CREATE_HEALTHCARE_APIS),
    (650_052, "is not known in", CREATE_HEALTHCARE_APIS),
    (
        500_014,
        "is disabled in",
        "Ask an administrator to enable Azure Healthcare APIs",
    ),
    (
        650_057,
        "is not among the API permissions",
        CREATE_HEALTHCARE_APIS,
    ),
    (
        65_001,
        "nobody has consented",
        "az ad app permission admin-consent --id ca11ab1e",
    ),
    (501_051, "nobody has assigned", "Users and groups"),
    (
        53_003,
        "a conditional access policy blocks",
        "a device and a network that the policy allows",
    ),
    (90_055, "throttling", "Try again in a moment"),
    (90_033, "a server error", "Try again in a moment"),
    (
        123_456,
        "refused the request",
        "https://login.microsoftonline.com/error?code=123456",
    ),
];

/// The errors for a person who is signed in to az.
const OF_PEOPLE: &[Row] = &[
    (50_058, "nobody is signed in", SIGN_IN),
    (700_082, "the sign-in has expired or was revoked", SIGN_IN),
    (700_084, "the sign-in has expired or was revoked", SIGN_IN),
    (70_043, "the sign-in has expired or was revoked", SIGN_IN),
    (70_044, "the sign-in has expired or was revoked", SIGN_IN),
    (50_173, "the sign-in has expired or was revoked", SIGN_IN),
    (50_072, "multi-factor authentication is required", SIGN_IN),
    (50_074, "multi-factor authentication is required", SIGN_IN),
    (50_076, "multi-factor authentication is required", SIGN_IN),
    (50_079, "multi-factor authentication is required", SIGN_IN),
    (
        50_097,
        "asks for a device that the tenant knows",
        "not with a device code",
    ),
    (
        50_129,
        "asks for a device that the tenant knows",
        "not with a device code",
    ),
    (
        135_011,
        "asks for a device that the tenant knows",
        "Only an administrator can enable a disabled device",
    ),
    (53_000, "a conditional access policy blocks", SIGN_IN),
    (53_001, "a conditional access policy blocks", SIGN_IN),
    (53_002, "a conditional access policy blocks", SIGN_IN),
    (53_003, "a conditional access policy blocks", SIGN_IN),
    (530_003, "a conditional access policy blocks", SIGN_IN),
    (50_057, "the account is disabled", "Ask an administrator"),
    (50_053, "the account is locked", "Wait until it is unlocked"),
    (50_144, "password has expired", "https://aka.ms/sspr"),
    (50_135, "has to be changed", "https://aka.ms/sspr"),
    (50_020, "does not exist in the tenant", "as a guest"),
    (
        65_001,
        "nobody has consented",
        "Ask an administrator of the tenant",
    ),
    (65_004, "declined the consent", "Sign in again and accept"),
    (500_011, "is not known in", CREATE_HEALTHCARE_APIS),
    (
        650_057,
        "is not among the API permissions",
        CREATE_HEALTHCARE_APIS,
    ),
];

fn description(code: u32) -> String {
    format!("AADSTS{code}: {PRIVATE} cannot do this. Trace ID: 1 Timestamp: 2026-01-01 00:00:00Z")
}

/// An application whose every request Entra refuses.
fn application(signing_in: &SigningIn, code: u32, more: &str) -> Command {
    signing_in.write("secret", "s");
    let body = json!({
        "error": "invalid_client",
        "error_description": description(code),
        "error_codes": [code],
    });
    let refusal = Fault::respond(400, body.to_string());
    signing_in.emulator.entra().faults().always(refusal);
    let keys = format!(
        "tenant = \"{TENANT}\"\nclient_id = \"{CLIENT_ID}\"\nsecret = {{ file = \"secret\" }}\n\
         authority = \"{AUTHORITY}\"\n{more}"
    );
    signing_in.program("client-secret", &keys, &[])
}

/// A person for whom az gets no token.
fn person(signing_in: &SigningIn, az: &FakeAz, code: u32, more: &str) -> Command {
    az.set(&format!("echo 'ERROR: {}' >&2; exit 1", description(code)));
    let keys = format!("path = \"{}\"\n{more}", az.program().display());
    signing_in.program("azure-cli", &keys, &[])
}

/// The 503, the console's data and the log all contain the error, and none contains Entra's text.
async fn says(program: Command, path: &str, (code, message, remedy): Row) {
    let process = Process::start(program);
    let (address, admin) = process.addresses().await;
    let answer = client::get(address, path).await;
    assert_eq!(answer.status, 503, "{code}: {}", answer.text());
    let status = client::get(admin, "/status").await;
    let log = process
        .until_stderr(move |log| {
            let line = log.lines().find(|line| line.contains("no token: "))?;
            Some(line.to_owned())
        })
        .await;
    let code = format!("(AADSTS{code})");
    for told in [answer.text(), status.text(), &log] {
        for expected in [code.as_str(), message, remedy] {
            assert!(told.contains(expected), "{code}: {expected} in {told}");
        }
        assert!(!told.contains(PRIVATE), "{told}");
    }
    assert!(!process.stderr().contains(PRIVATE), "{}", process.stderr());
}

/// So many programs at once are enough for a small machine.
const AT_ONCE: usize = 4;

#[tokio::test]
async fn what_entra_says_to_an_application() {
    for rows in OF_APPLICATIONS.chunks(AT_ONCE) {
        let mut tasks = JoinSet::new();
        for row in rows {
            tasks.spawn(async move {
                let signing_in = SigningIn::new().await;
                let program = application(&signing_in, row.0, "");
                says(program, FHIR, *row).await;
                assert_eq!(signing_in.emulator.fhir().traffic().counters().requests, 0);
            });
        }
        tasks.join_all().await;
    }
}

#[tokio::test]
async fn what_entra_says_to_a_person_through_az() {
    for rows in OF_PEOPLE.chunks(AT_ONCE) {
        let mut tasks = JoinSet::new();
        for row in rows {
            tasks.spawn(async move {
                let signing_in = SigningIn::new().await;
                let az = FakeAz::bare("");
                let program = person(&signing_in, &az, row.0, "");
                says(program, FHIR, *row).await;
            });
        }
        tasks.join_all().await;
    }
}

#[tokio::test]
async fn dicom_belongs_to_an_application_of_its_own() {
    let signing_in = SigningIn::new().await;
    // The keys end with the table of another route.
    let route = format!("[routes.dicom]\nupstream = \"{DICOM_ORIGIN}\"\n");
    let az = FakeAz::bare("");
    for code in [500_011, 650_057] {
        for program in [
            application(&signing_in, code, &route),
            person(&signing_in, &az, code, &route),
        ] {
            let process = Process::start(program);
            let (address, _) = process.addresses().await;
            for (path, audience, create) in [
                (FHIR, FHIR_AUDIENCE, CREATE_HEALTHCARE_APIS),
                (DICOM, DICOM_AUDIENCE, CREATE_API_FOR_DICOM),
            ] {
                let answer = client::get(address, path).await;
                assert_eq!(answer.status, 503, "{}", answer.text());
                for expected in [audience, create] {
                    assert!(
                        answer.text().contains(expected),
                        "{expected}: {}",
                        answer.text()
                    );
                }
            }
        }
    }
}

/// `az login` is not a remedy for a user who never signed in with it.
#[tokio::test]
async fn an_application_is_not_told_to_sign_in() {
    for code in [50_076, 53_003] {
        let signing_in = SigningIn::new().await;
        let process = Process::start(application(&signing_in, code, ""));
        let (address, _) = process.addresses().await;
        let answer = client::get(address, FHIR).await;
        assert!(!answer.text().contains("az login"), "{}", answer.text());
    }
}
