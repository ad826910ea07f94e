//! The Azure CLI as it is found on the machines of newcomers.

use super::{FHIR, Scene, expect};
use crate::support::{
    client,
    fake_az::FakeAz,
    process::{self, text},
};

const PATIENTS: &str = "/fhir/Patient?_count=1";

/// A script in place of az, and the error about it.
struct Row {
    name: &'static str,
    script: &'static str,
    keys: &'static str,
    expected: &'static [&'static str],
}

const fn row(
    name: &'static str,
    script: &'static str,
    keys: &'static str,
    expected: &'static [&'static str],
) -> Row {
    Row {
        name,
        script,
        keys,
        expected,
    }
}

const FAILURES: &[Row] = &[
    row(
        "26: nobody is signed in",
        "echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1",
        "",
        &["nobody is signed in to the Azure CLI", "Run: az login\n"],
    ),
    row(
        "27: the sign-in has expired",
        "echo 'ERROR: AADSTS700082: The refresh token has expired.' >&2; exit 1",
        "",
        &[
            "expired or was revoked (AADSTS700082)",
            "Run: az login --scope https://",
        ],
    ),
    row(
        "27: an account of another tenant",
        "echo 'ERROR: AADSTS50020: User account does not exist in tenant' >&2; exit 1",
        "",
        &["does not exist in the tenant (AADSTS50020)", "as a guest"],
    ),
    row(
        "27: an unknown audience",
        "echo 'ERROR: AADSTS500011: The resource principal was not found' >&2; exit 1",
        "",
        &[
            "is not known in the tenant (AADSTS500011)",
            "az ad sp create --id",
        ],
    ),
    row(
        "27: conditional access",
        "echo 'ERROR: AADSTS53003: Access has been blocked' >&2; exit 1",
        "",
        &[
            "a conditional access policy blocks",
            "a device and a network that the policy allows",
        ],
    ),
    row(
        "28: another factor, in the tenant that is configured",
        "echo 'ERROR: AADSTS50076: you must use multi-factor authentication' >&2; exit 1",
        "tenant = \"contoso.com\"",
        &[
            "multi-factor authentication",
            "Run: az login --tenant contoso.com --scope $FHIR/.default\n",
        ],
    ),
    row(
        "28: another factor, in the tenant that az names",
        "echo 'ERROR: AADSTS50076: MFA. Please run:' >&2; echo 'az logout' >&2\n\
         echo 'az login --tenant \"fabrikam.com\" --scope \"R/.default\"' >&2; exit 1",
        "",
        &["Run: az logout, then az login --tenant fabrikam.com --scope $FHIR/.default\n"],
    ),
    // `tests/it/advice.rs` has the warning after 5 s, and the end of the process meanwhile.
    row(
        "29: az hangs",
        "exec sleep 600",
        "timeout = \"200ms\"",
        &[
            "az gave no token within 0.2 s and was ended",
            "to see what it waits for",
            "a larger `timeout` in [credentials.default.azure-cli]",
        ],
    ),
    row(
        "31: an unknown subscription",
        "echo \"ERROR: Subscription 'x' not found. Check the spelling and casing and try again.\" >&2; exit 1",
        "subscription = \"x\"",
        &[
            "does not know the subscription",
            "Correct `subscription` in [credentials.default.azure-cli]",
            "az account list",
        ],
    ),
    row(
        "31: a broken installation",
        "echo \"ModuleNotFoundError: No module named 'azure'\" >&2; exit 1",
        "",
        &[
            "installation of az is broken",
            "Install the Azure CLI again",
        ],
    ),
    row(
        "31: a cache that cannot be decrypted",
        "echo 'msal_extensions.persistence.PersistenceDecryptionError: Decryption failed' >&2; exit 1",
        "",
        &[
            "cannot read its own files",
            "az account clear",
            "Run: az login",
        ],
    ),
    row(
        "31: a crash",
        "kill -SEGV $$",
        "",
        &[
            "az crashed (signal: 11",
            "reinstall it",
            "https://aka.ms/azure-cli",
        ],
    ),
    row(
        "31: anything else",
        "exit 3",
        "",
        &[
            "az failed (exit status: 3)",
            "to see why",
            "If nobody is signed in, run: az login",
        ],
    ),
    row(
        "32: TLS is inspected",
        "echo 'requests.exceptions.SSLError: CERTIFICATE_VERIFY_FAILED' >&2; exit 1",
        "",
        &[
            "does not trust the certificate of Microsoft Entra ID",
            "REQUESTS_CA_BUNDLE",
            "network.ca_file",
        ],
    ),
];

#[test]
fn az_that_gives_no_token() {
    for row in FAILURES {
        let az = FakeAz::bare(row.script);
        let file = format!(
            "[routes.fhir]\nupstream = \"{FHIR}\"\n[credentials.default.azure-cli]\npath = \"{}\"\n{}\n",
            az.program().display(),
            row.keys
        );
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.toml");
        std::fs::write(&path, file).expect("written");
        let mut command = process::run(&path);
        let output = command
            .args(["token", "fhir"])
            .output()
            .expect("the program runs");
        assert_eq!(output.status.code(), Some(1), "{}", row.name);
        let printed = text(&output.stderr);
        for part in row.expected {
            let part = part.replace("$FHIR", FHIR);
            assert!(
                printed.contains(&part),
                "{}: no {part:?} in {printed}",
                row.name
            );
        }
    }
}

#[test]
fn no_az() {
    let nothing = tempfile::tempdir().expect("a folder");
    // An address that responds to nobody would cost a second.
    let mut command = process::command(&["token", "fhir", "--fhir", FHIR]);
    command
        .env("PATH", nothing.path())
        .env("AZURE_TOKEN_CREDENTIALS", "dev");
    let output = command.output().expect("the program runs");
    assert_eq!(output.status.code(), Some(1), "25");
    let printed = text(&output.stderr);
    for part in [
        "azure-cli",
        "azure-powershell",
        "azure-developer-cli",
        "Install the Azure CLI",
        "az login",
    ] {
        assert!(printed.contains(part), "25: no {part} in {printed}");
    }
}

#[tokio::test]
async fn az_that_is_signed_out_or_warns() {
    let emulator = super::emulator().await;
    let az = FakeAz::new(&emulator, "echo \"Please run 'az login'\" >&2; exit 1");
    let lines = az.lines("");
    let scene = Scene::start_before(emulator, &lines).await;
    let answer = client::get(scene.address, PATIENTS).await;
    expect(
        "26",
        &answer,
        503,
        &["nobody is signed in to the Azure CLI", "Run: az login"],
    );
    let ready = client::get(scene.admin, "/readyz").await;
    expect("26", &ready, 503, &["nobody is signed in", "Run: az login"]);
    scene
        .logs(&["WARN", "nobody is signed in", "remedy=\"Run: az login\""])
        .await;

    az.set("echo 'WARNING: a new version' >&2; echo 'a notice {x}'; answer");
    let answer = client::until(scene.address, PATIENTS, |answer| answer.status == 200).await;
    assert_eq!(answer.status, 200, "30");
}
