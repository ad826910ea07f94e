//! PowerShell with Az.Accounts as a source of tokens. Neither is available where these tests run: a
//! stub takes the script and prints the output that the script would print. These tests cannot show
//! the behaviour of the script with a real module.

use std::{
    process::Output,
    time::{Duration, UNIX_EPOCH},
};

use ahds_proxy::{
    config::{Credential as Keys, Tenant, Tool},
    credentials::{AccessToken, CredentialError, Reason},
};
use azure_emulator::FHIR_AUDIENCE;
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::support::{
    process,
    stub::{Stub, ask, check_both_routes, error_without_program},
};

const TABLE: &str = "credentials.pwsh.azure-powershell";
const TENANT: &str = "contoso.example";
/// The script as it is without what is put before it.
const SCRIPT: &str = include_str!("../../src/credentials/azure_powershell.ps1");

fn keys(stub: &Stub, tenant: Option<&str>, timeout: Duration) -> Keys {
    Keys::AzurePowerShell(Tool {
        tenant: tenant.map(|tenant| Tenant::parse(tenant).expect("a tenant")),
        path: Some(stub.program()),
        timeout,
    })
}

async fn token(script: &str) -> Result<AccessToken, CredentialError> {
    let stub = Stub::new("pwsh", script);
    ask(&keys(&stub, Some(TENANT), crate::support::PATIENCE)).await
}

fn decode(argument: &str) -> String {
    let bytes = STANDARD.decode(argument.trim()).expect("base64");
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect();
    assert_eq!(bytes.len() % 2, 0);
    String::from_utf16(&units).expect("UTF-16")
}

#[tokio::test]
async fn stub_pwsh_serves_both_routes() {
    let script = "echo \"$4\" | base64 -d | tr -d '\\000' >\"$D/script\"\n\
        if grep -q \"audience = '.*dicom\" \"$D/script\"; then cat \"$D/dicom\"; else cat \"$D/fhir\"; fi";
    let stub = Stub::new("pwsh", script);
    check_both_routes(&stub, TABLE, |token| {
        format!("ahds-proxy token 4070908800 {token}\n")
    })
    .await;
}

#[tokio::test]
async fn stub_pwsh_gets_a_script_with_an_audience_and_a_tenant_and_nothing_else() {
    let stub = Stub::new(
        "pwsh",
        "for A; do echo \"$A\" >>\"$D/args\"; done; pwd >\"$D/cwd\"; read LINE && echo open >\"$D/stdin\"; exit 1",
    );
    for tenant in [None, Some(TENANT)] {
        let keys = keys(&stub, tenant, crate::support::PATIENCE);
        ask(&keys).await.expect_err("no token");
        let arguments = stub.read("args");
        let [profile, interactive, command, script] = arguments.lines().collect::<Vec<_>>()[..]
        else {
            panic!("{arguments}");
        };
        assert_eq!(
            [profile, interactive, command],
            ["-NoProfile", "-NonInteractive", "-EncodedCommand"]
        );
        let tenant = tenant.unwrap_or_default();
        let before = format!("$audience = '{FHIR_AUDIENCE}'\n$tenant = '{tenant}'\n");
        assert_eq!(decode(script), before + SCRIPT);
        assert_eq!(stub.read("cwd"), "/\n");
        assert_eq!(stub.read("stdin"), "");
        stub.write("args", "");
    }
}

#[tokio::test]
async fn what_could_end_a_string_of_the_script_is_refused_before() {
    let check = async |audience: &str, tenant: &str| -> Output {
        let files = tempfile::tempdir().expect("a folder");
        let config = files.path().join("ahds-proxy.toml");
        let text = format!(
            "[routes.fhir]\nupstream = \"{FHIR_AUDIENCE}\"\naudience = \"{audience}\"\n\
             [credentials.default.azure-powershell]\ntenant = \"{tenant}\"\n"
        );
        std::fs::write(&config, text).expect("written");
        let config = config.to_str().expect("UTF-8");
        process::output(process::command(&["check", "--config", config])).await
    };
    assert_eq!(check("https://a.example", "t").await.status.code(), Some(0));
    for evil in [
        "a'; Remove-Item x #",
        "a\\u2019; x",
        "a$(x)",
        "a`n",
        "a\\nb",
        "a;b",
        "a|b",
    ] {
        for output in [
            check(evil, "t").await,
            check("https://a.example", evil).await,
        ] {
            assert_eq!(output.status.code(), Some(2), "{evil}");
        }
    }
}

#[tokio::test]
async fn stub_pwsh_may_print_its_line_among_others() {
    for output in [
        "ahds-proxy token 2051319845 t",
        "WARNING: Upcoming breaking changes in the cmdlet 'Get-AzAccessToken'\n\nahds-proxy token 2051319845 t\n\n",
        "\u{feff}ahds-proxy token 2051319845 t\r",
        "\u{1b}[?1hahds-proxy token 2051319845 t",
    ] {
        let token = token(&format!("cat <<'END'\n{output}\nEND\necho '#< CLIXML' >&2")).await;
        let token = token.unwrap_or_else(|error| panic!("{output}: {error}"));
        let seconds = token.expires_on.duration_since(UNIX_EPOCH);
        assert_eq!(seconds.expect("after 1970").as_secs(), 2_051_319_845);
        assert_eq!(secrecy::ExposeSecret::expose_secret(&token.secret), "t");
    }
}

/// What the script, or PowerShell in its place, printed; what kind of trouble that is; and what the
/// error says.
const FAILURES: &[(&str, Reason, &[&str])] = &[
    (
        "ahds-proxy no-module",
        Reason::Absent,
        &[
            "no module Az.Accounts",
            "Install-Module Az.Accounts",
            "Connect-AzAccount -Tenant contoso.example",
        ],
    ),
    (
        "ahds-proxy old-module",
        Reason::NeedsAction,
        &["too old", "Update-Module Az.Accounts"],
    ),
    (
        "ahds-proxy signed-out",
        Reason::NeedsAction,
        &[
            "nobody is signed in",
            "Connect-AzAccount -Tenant contoso.example",
        ],
    ),
    (
        "ahds-proxy policy",
        Reason::NeedsAction,
        &[
            "execution policy",
            "Set-ExecutionPolicy RemoteSigned -Scope CurrentUser",
        ],
    ),
    (
        "ahds-proxy entra 50076",
        Reason::NeedsAction,
        &[
            "multi-factor",
            "AADSTS50076",
            "Connect-AzAccount -Tenant contoso.example",
        ],
    ),
    (
        "ahds-proxy entra 700082",
        Reason::NeedsAction,
        &["expired", "AADSTS700082", "Connect-AzAccount"],
    ),
    (
        "ahds-proxy entra SECRET-OUTPUT",
        Reason::Transient,
        &["PowerShell failed"],
    ),
    (
        "ahds-proxy token 17",
        Reason::NeedsAction,
        &["did not print a token", "Get-AzAccessToken"],
    ),
    (
        "ahds-proxy token soon SECRET-OUTPUT",
        Reason::NeedsAction,
        &["did not print a token"],
    ),
    (
        "ahds-proxy token 2051319845 System.Security SECRET-OUTPUT",
        Reason::NeedsAction,
        &["did not print a token"],
    ),
    (
        "ahds-proxy token 2051319845 ",
        Reason::NeedsAction,
        &["did not print a token"],
    ),
    (
        "SECRET-OUTPUT",
        Reason::NeedsAction,
        &["did not print a token"],
    ),
    (
        "",
        Reason::NeedsAction,
        &[
            "did not print a token",
            "Get-AzAccessToken -ResourceUrl https://",
        ],
    ),
];

#[tokio::test]
async fn each_failure_of_stub_pwsh_says_what_to_run_and_hides_what_it_printed() {
    for (stdout, reason, expected) in FAILURES {
        let script = format!("cat <<'END'\n{stdout}\nEND\necho SECRET-OUTPUT >&2");
        let error = token(&script).await.expect_err("no token");
        assert_eq!(error.reason, *reason, "{stdout}");
        let error = error.to_string();
        for text in *expected {
            assert!(error.contains(text), "{text} in {error}");
        }
        assert!(!error.contains("SECRET-OUTPUT"), "{error}");
        assert!(!error.contains("az login"), "{error}");
    }
}

#[tokio::test]
async fn a_stub_pwsh_that_ends_with_a_failure_may_lack_a_sign_in() {
    let error = token("echo SECRET-OUTPUT >&2; exit 1")
        .await
        .expect_err("no token");
    assert_eq!(error.reason, Reason::Transient);
    let error = error.to_string();
    for text in [
        "PowerShell failed",
        "Get-AzAccessToken -ResourceUrl https://",
        "Connect-AzAccount",
    ] {
        assert!(error.contains(text), "{text} in {error}");
    }
    assert!(!error.contains("SECRET-OUTPUT"), "{error}");
}

#[tokio::test]
async fn stub_pwsh_that_hangs_is_ended() {
    let stub = Stub::new("pwsh", "sleep 60");
    let error = ask(&keys(&stub, None, Duration::from_millis(200))).await;
    let error = error.expect_err("no token").to_string();
    for text in [
        "within 0.2 s",
        "Get-AzAccessToken",
        "a larger `timeout` in [credentials.default.azure-powershell] helps",
        "Connect-AzAccount",
    ] {
        assert!(error.contains(text), "{text} in {error}");
    }
}

#[tokio::test]
async fn a_missing_pwsh_says_how_to_install_it() {
    let error = error_without_program("azure-powershell").await;
    assert!(
        error.contains("PowerShell (pwsh) is not on PATH"),
        "{error}"
    );
    assert!(error.contains("https://aka.ms/powershell"), "{error}");
}

/// Keeps the words of the script and of the program that reads them from drifting apart.
#[test]
fn the_script_says_only_what_is_understood() {
    let said: std::collections::BTreeSet<&str> = SCRIPT
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Write-Output "))
        .filter_map(|text| text.trim_matches(['\'', '"']).split(' ').nth(1))
        .collect();
    let understood = FAILURES
        .iter()
        .filter_map(|(stdout, ..)| stdout.split(' ').nth(1))
        .collect();
    assert_eq!(said, understood);
}
