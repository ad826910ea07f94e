//! Every known failure of `az`, and the remedy in the proxy's error.

use ahds_proxy::config::{AzureCli as Keys, Credential as Config, Tenant};
use azure_emulator::{Emulator, Options};

use crate::support::{
    PATIENCE, client,
    fake_az::{FakeAz, answer},
    stub::ask,
};

const FHIR: &str = "/fhir/Patient?_count=1";
const TENANT: &str = "11111111-2222-4333-8444-555555555555";

/// The stderr of `az`, and the proxy's error about it.
const FAILURES: &[(&str, &[&str])] = &[
    (
        "ERROR: Please run 'az login' to setup account.",
        &["nobody is signed in", "Run: az login --tenant"],
    ),
    (
        "ERROR: AADSTS700082: The refresh token has expired due to inactivity. SECRET-CODE\n\
         Interactive authentication is needed. Please run:\naz logout\naz login --tenant \"T\" --scope \"R/.default\"",
        &[
            "AADSTS700082",
            "Run: az logout, then az login --tenant",
            "/.default",
        ],
    ),
    (
        "ERROR: AADSTS50076: Due to a configuration change you must use multi-factor authentication SECRET-CODE",
        &[
            "multi-factor",
            "Run: az login --tenant 11111111-2222-4333-8444-555555555555 --scope https://",
        ],
    ),
    (
        "ERROR: AADSTS500011: The resource principal named R was not found SECRET-CODE",
        &["AADSTS500011", "az ad sp create --id"],
    ),
    (
        "ERROR: AADSTS90055: The tenant is throttled. Run az login SECRET-CODE",
        &["throttling", "Try again in a moment"],
    ),
    (
        "Traceback (most recent call last):\n urllib3.exceptions.NameResolutionError: SECRET-CODE Failed to resolve 'login.microsoftonline.com'\nTo re-authenticate, run az login",
        &["cannot reach Microsoft Entra ID", "network"],
    ),
    (
        "requests.exceptions.SSLError: Max retries exceeded: CERTIFICATE_VERIFY_FAILED SECRET-CODE",
        &["does not trust", "REQUESTS_CA_BUNDLE"],
    ),
    (
        "HTTPSConnectionPool(host='login.microsoftonline.com', port=443): Max retries exceeded with url: /SECRET-CODE (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed')))",
        &["does not trust", "REQUESTS_CA_BUNDLE"],
    ),
    (
        "Traceback (most recent call last):\n KeyError: SECRET-CODE",
        &[
            "az failed",
            "/az' account get-access-token --output json --resource https://",
            "--tenant 11111111-2222-4333-8444-555555555555` to see why",
        ],
    ),
    (
        "ERROR: User 'SECRET-CODE' does not exist in MSAL token cache. Run `az login`.",
        &["nobody is signed in", "az login"],
    ),
    (
        "ERROR: unrecognized arguments: --resource SECRET-CODE",
        &["does not know", "az upgrade"],
    ),
    (
        "",
        &[
            "az failed",
            "to see why. If nobody is signed in, run: az login --tenant",
        ],
    ),
    (
        "Traceback (most recent call last):\n json.decoder.JSONDecodeError: SECRET-CODE\nRun 'az login'",
        &[
            "cannot read its own files",
            "az account clear",
            "Run: az login",
        ],
    ),
    (
        "msal_extensions.persistence.PersistenceDecryptionError: Decryption failed: SECRET-CODE",
        &[
            "cannot read its own files",
            "az account clear",
            "Run: az login",
        ],
    ),
    (
        "ModuleNotFoundError: No module named 'SECRET-CODE'",
        &["installation of az is broken", "https://aka.ms/azure-cli"],
    ),
    (
        "ERROR: Subscription 'SECRET-CODE' not found. Check the spelling and casing and try again.",
        &[
            "does not know the subscription",
            "[credentials.default.azure-cli]",
            "az account list",
            "Run: az login",
        ],
    ),
];

/// The error of a credential whose `az` fails in a certain way.
async fn error_of(script: &str) -> String {
    let fake = FakeAz::bare(script);
    let keys = Config::AzureCli(Keys {
        tenant: Some(Tenant::parse(TENANT).expect("a tenant")),
        subscription: None,
        path: Some(fake.program()),
        timeout: PATIENCE,
    });
    ask(&keys).await.expect_err("no token").to_string()
}

#[tokio::test]
async fn each_failure_says_what_to_run_and_hides_what_az_printed() {
    for (stderr, expected) in FAILURES {
        let script = format!("cat >&2 <<'END'\n{stderr}\nEND\nexit 1");
        let error = error_of(&script).await;
        for text in *expected {
            assert!(error.contains(text), "{text} in {error} for {stderr}");
        }
        assert!(!error.contains("SECRET-CODE"), "{error}");
    }
}

#[tokio::test]
async fn a_crash_is_told_from_a_failure() {
    for (script, expected) in [
        ("kill -SEGV $$", ["az crashed (signal: 11", "reinstall it"]),
        // As a script that runs Python ends.
        ("exit 139", ["az crashed (exit status: 139", "reinstall it"]),
        (
            "kill -KILL $$",
            ["az was killed (signal: 9", "ran out of memory"],
        ),
    ] {
        let error = error_of(script).await;
        for text in expected {
            assert!(error.contains(text), "{text} in {error}");
        }
    }
}

#[tokio::test]
async fn the_answer_to_a_client_says_it_too() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let fake = FakeAz::new(
        &emulator,
        "echo \"Please run 'az login' SECRET-CODE\" >&2; exit 1",
    );
    let stage = fake.setup("").start_before(emulator).await;
    let answer = client::get(stage.address(), FHIR).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["issue"][0]["code"], "login");
    assert!(answer.text().contains("Run: az login"), "{}", answer.text());
    assert!(!answer.text().contains("SECRET-CODE"));
    assert_eq!(stage.emulator.fhir().traffic().counters().requests, 0);
}

#[tokio::test]
async fn a_sign_in_serves_without_a_restart() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let fake = FakeAz::new(&emulator, "echo \"Please run 'az login'\" >&2; exit 1");
    let stage = fake.setup("").start_before(emulator).await;
    assert_eq!(client::get(stage.address(), FHIR).await.status, 503);
    fake.set("answer");
    let start = tokio::time::Instant::now();
    client::until(stage.address(), FHIR, |answer| answer.status == 200).await;
    assert!(start.elapsed().as_secs() < 8, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_missing_program_says_how_to_install_it() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let fake = FakeAz::new(&emulator, "answer");
    std::fs::remove_file(fake.program()).expect("removed");
    let stage = fake.setup("").start_before(emulator).await;
    let answer = client::get(stage.address(), FHIR).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().contains("https://aka.ms/azure-cli"),
        "{}",
        answer.text()
    );
    assert!(
        answer
            .text()
            .contains("set `path` in [credentials.az.azure-cli]"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn a_token_that_no_header_may_hold_is_never_sent() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let fake = FakeAz::new(&emulator, "answer");
    fake.write("fhir", &answer("two\r\nX-Evil: lines", 3600));
    let stage = fake.setup("").start_before(emulator).await;
    let answer = client::get(stage.address(), FHIR).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().contains("not a bearer token"),
        "{}",
        answer.text()
    );
    assert_eq!(stage.emulator.fhir().traffic().counters().requests, 0);
}
