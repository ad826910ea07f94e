//! The proxy's error when Entra refuses, and its remedy.

use azure_emulator::{AUTHORITY, CLIENT_ID, TENANT};

use super::{FHIR, emulator};
use crate::support::{Setup, Stage, client};

const OTHER_TENANT: &str = "11111111-2222-4333-8444-555555555555";

async fn says(stage: &Stage, expected: &[&str]) {
    let answer = client::get(stage.address(), FHIR).await;
    assert_eq!(answer.status, 503);
    let diagnostics = answer.json()["issue"][0]["diagnostics"].to_string();
    for text in expected {
        assert!(diagnostics.contains(text), "{text} in {diagnostics}");
    }
}

#[tokio::test]
async fn a_wrong_secret() {
    let emulator = emulator().await;
    emulator.entra().rotate_secret("another");
    let stage = Setup::new().start_before(emulator).await;
    let what = "the secret of application";
    says(&stage, &["AADSTS7000215", what, CLIENT_ID, "not its id"]).await;
}

#[tokio::test]
async fn an_unknown_tenant() {
    let keys = format!(
        "tenant = \"{OTHER_TENANT}\"\nclient_id = \"{CLIENT_ID}\"\nsecret = {{ file = \"secret\" }}\nauthority = \"{AUTHORITY}\""
    );
    let setup = Setup::new()
        .with("routes.fhir", "credential = \"other\"")
        .with("credentials.other.client-secret", keys);
    let stage = setup.without_waiting().start().await;
    says(&stage, &["AADSTS90002", OTHER_TENANT, "Check `tenant`"]).await;
}

#[tokio::test]
async fn an_unknown_audience() {
    let audience = "https://nobody.example";
    let setup = Setup::new().with("routes.fhir", format!("audience = \"{audience}\""));
    let stage = setup.without_waiting().start().await;
    says(
        &stage,
        &["AADSTS500011", audience, TENANT, "az ad sp create --id"],
    )
    .await;
}

#[tokio::test]
async fn a_secret_that_was_corrected_serves_without_a_restart() {
    let emulator = emulator().await;
    emulator.entra().rotate_secret("another");
    let stage = Setup::new().start_before(emulator).await;
    says(&stage, &["AADSTS7000215"]).await;
    let right = azure_emulator::CLIENT_SECRET;
    stage.emulator.entra().rotate_secret(right);
    client::until(stage.address(), FHIR, |answer| answer.status == 200).await;
}
