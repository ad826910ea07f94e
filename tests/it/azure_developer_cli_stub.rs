//! The Azure Developer CLI as a source of tokens. It cannot be had where these tests run, so a stub
//! plays every output and failure that its documentation and sources name.

use std::time::{Duration, UNIX_EPOCH};

use ahds_proxy::{
    config::{Credential as Keys, Tenant, Tool},
    credentials::{AccessToken, CredentialError, Reason},
};
use azure_emulator::FHIR_AUDIENCE;

use crate::support::stub::{Stub, ask, check_both_routes, error_without_program};

const TABLE: &str = "credentials.azd.azure-developer-cli";
const TENANT: &str = "contoso.example";

async fn token(script: &str, timeout: Duration) -> Result<AccessToken, CredentialError> {
    let stub = Stub::new("azd", script);
    ask(&Keys::AzureDeveloperCli(Tool {
        tenant: Some(Tenant::parse(TENANT).expect("a tenant")),
        path: Some(stub.program()),
        timeout,
    }))
    .await
}

async fn error_of(script: &str) -> CredentialError {
    let token = token(script, crate::support::PATIENCE).await;
    token.expect_err("no token")
}

#[tokio::test]
async fn stub_azd_serves_both_routes() {
    let script = "case \"$*\" in *dicom*) cat \"$D/dicom\";; *) cat \"$D/fhir\";; esac";
    let stub = Stub::new("azd", script);
    check_both_routes(&stub, TABLE, |token| {
        format!("{{\"token\":\"{token}\",\"expiresOn\":\"2099-01-01T00:00:00Z\"}}")
    })
    .await;
}

#[tokio::test]
async fn stub_azd_gets_a_scope_a_tenant_and_nothing_else() {
    let stub = Stub::new(
        "azd",
        "for A; do echo \"$A\" >>\"$D/args\"; done; pwd >\"$D/cwd\"; read LINE && echo open >\"$D/stdin\"; exit 1",
    );
    for tenant in [None, Some(TENANT)] {
        let keys = Keys::AzureDeveloperCli(Tool {
            tenant: tenant.map(|tenant| Tenant::parse(tenant).expect("a tenant")),
            path: Some(stub.program()),
            timeout: crate::support::PATIENCE,
        });
        ask(&keys).await.expect_err("no token");
        let scope = format!("{FHIR_AUDIENCE}/.default");
        let mut expected = vec![
            "auth",
            "token",
            "--output",
            "json",
            "--no-prompt",
            "--scope",
            &scope,
        ];
        expected.extend(tenant.iter().flat_map(|tenant| ["--tenant-id", tenant]));
        let arguments = stub.read("args");
        assert_eq!(arguments.lines().collect::<Vec<_>>(), expected);
        assert_eq!(stub.read("cwd"), "/\n");
        assert_eq!(stub.read("stdin"), "");
        stub.write("args", "");
    }
}

#[tokio::test]
async fn stub_azd_may_print_its_answer_in_several_ways() {
    let line = r#"{"token":"t","expiresOn":"2035-01-02T03:04:05Z"}"#;
    for output in [
        line.to_owned(),
        line.replace("05Z", "05.123456Z"),
        line.replace("03:04:05Z", "05:04:05+02:00"),
        line.replace(',', ",\n  "),
        format!("WARNING: {{your version}} of azd is out of date\n{line}\nbye"),
    ] {
        let script = format!("cat <<'END'\n{output}\nEND\necho WARNING >&2");
        let token = token(&script, crate::support::PATIENCE).await;
        let expiry = token.expect("a token").expires_on;
        let seconds = expiry.duration_since(UNIX_EPOCH).expect("after 1970");
        assert_eq!(seconds.as_secs(), 2_051_319_845, "{output}");
    }
}

#[tokio::test]
async fn stub_azd_that_prints_no_token_is_not_repeated() {
    for output in [
        "",
        "SECRET-OUTPUT",
        r#"{"token":"SECRET-OUTPUT"}"#,
        r#"{"token":"SECRET-OUTPUT","expiresOn":"soon"}"#,
        r#"{"token":"SECRET-OUTPUT","expiresOn":"2035-01-02 03:04:05"}"#,
        r#"{"token":1,"expiresOn":"2035-01-02T03:04:05Z"}"#,
        r#"["SECRET-OUTPUT"]"#,
    ] {
        let error = error_of(&format!("echo '{output}'")).await;
        assert_eq!(error.reason, Reason::NeedsAction, "{output}");
        let error = error.to_string();
        assert!(
            error.contains("/azd' auth token --output json --no-prompt --scope https://"),
            "{error}"
        );
        assert!(!error.contains("SECRET-OUTPUT"), "{error}");
    }
}

/// The stderr of `azd`, the kind of failure, and the text of the error.
const FAILURES: &[(&str, Reason, &[&str])] = &[
    (
        "ERROR: not logged in, run `azd auth login` to login SECRET-CODE",
        Reason::NeedsAction,
        &[
            "nobody is signed in",
            "Run: azd auth login --tenant-id contoso.example",
        ],
    ),
    (
        r#"{"type":"consoleMessage","timestamp":"2026-01-02T03:04:05Z","data":{"message":"\nERROR: not logged in, run `azd auth login` to login SECRET-CODE\n"}}"#,
        Reason::NeedsAction,
        &["nobody is signed in", "Run: azd auth login"],
    ),
    (
        "ERROR: login expired, run `azd auth login` to acquire a new token. SECRET-CODE",
        Reason::NeedsAction,
        &["has expired", "Run: azd auth login"],
    ),
    (
        r#"{"data":{"message":"ERROR: fetching token: AADSTS50076: you must use multi-factor authentication SECRET-CODE. reauthentication required, run `azd auth login --scope S`"}}"#,
        Reason::NeedsAction,
        &["multi-factor", "AADSTS50076", "Run: azd auth login"],
    ),
    (
        "ERROR: AADSTS700082: The refresh token has expired due to inactivity. SECRET-CODE",
        Reason::NeedsAction,
        &["AADSTS700082", "Run: azd auth login"],
    ),
    (
        "ERROR: fetching token: Post \"https://login.microsoftonline.com/SECRET-CODE\": dial tcp: lookup login.microsoftonline.com: no such host",
        Reason::Transient,
        &["cannot reach", "network"],
    ),
    (
        "ERROR: tls: failed to verify certificate: x509: certificate signed by unknown authority SECRET-CODE",
        Reason::NeedsAction,
        &["does not trust", "SSL_CERT_FILE"],
    ),
    (
        "Error: unknown flag: --scope SECRET-CODE",
        Reason::NeedsAction,
        &["does not know", "azd-install"],
    ),
    (
        "panic: SECRET-CODE",
        Reason::Transient,
        &[
            "azd failed",
            "/azd' auth token --output json --no-prompt --scope https://",
            "run: azd auth login",
        ],
    ),
    ("", Reason::Transient, &["azd failed"]),
];

#[tokio::test]
async fn each_failure_of_stub_azd_says_what_to_run_and_hides_what_it_printed() {
    for (stderr, reason, expected) in FAILURES {
        let error = error_of(&format!("cat >&2 <<'END'\n{stderr}\nEND\nexit 1")).await;
        assert_eq!(error.reason, *reason, "{stderr}");
        let error = error.to_string();
        for text in *expected {
            assert!(error.contains(text), "{text} in {error}");
        }
        assert!(!error.contains("SECRET-CODE"), "{error}");
        assert!(!error.contains("az login"), "{error}");
    }
}

#[tokio::test]
async fn stub_azd_that_hangs_is_ended() {
    let error = token("sleep 60", Duration::from_millis(200)).await;
    let error = error.expect_err("no token");
    assert_eq!(error.reason, Reason::Transient);
    let error = error.to_string();
    for text in [
        "within 0.2 s",
        "/azd' auth token --output json --no-prompt --scope https://",
        "a larger `timeout` in [credentials.default.azure-developer-cli] helps",
        "azd auth login",
    ] {
        assert!(error.contains(text), "{text} in {error}");
    }
}

#[tokio::test]
async fn a_missing_azd_says_how_to_install_it() {
    let error = error_without_program("azure-developer-cli").await;
    assert!(error.contains("(azd) is not on PATH"), "{error}");
    assert!(error.contains("https://aka.ms/azd-install"), "{error}");
}
