//! A pod that signs in with the token Kubernetes gave it.

use std::time::{SystemTime, UNIX_EPOCH};

use azure_emulator::{CLIENT_ID, Emulator, Fault, Options, SigningKey, TENANT};
use serde_json::{Value, json};

use crate::{
    support::{
        Setup, client,
        process::Process,
        signing_in::{AUTHORITIES, SigningIn},
    },
    tokens::PAST_EXPIRY,
};

const KIND: &str = "workload-identity";
const FHIR: &str = "/fhir/Patient?_count=1";

fn service_account_token(id: &str, life: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = i64::try_from(now.expect("after 1970").as_secs()).expect("a date");
    let claims: Value = json!({
        "aud": "api://AzureADTokenExchange",
        "iss": "https://cluster.example/",
        "sub": "system:serviceaccount:default:app",
        "jti": id,
        "iat": now - 10,
        "nbf": now - 10,
        "exp": now + life,
    });
    SigningKey::shared().sign(&claims)
}

#[tokio::test]
async fn serves_through_the_proxy_by_its_variables() {
    let signing_in = SigningIn::new().await;
    let token = service_account_token("a", 3600);
    let file = signing_in.write("token", format!("{token}\n"));
    let mut program = signing_in.program(KIND, "", &[]);
    program.env("AZURE_TENANT_ID", TENANT);
    program.env("AZURE_CLIENT_ID", CLIENT_ID);
    program.env("AZURE_FEDERATED_TOKEN_FILE", file);
    let process = Process::start(program);
    let (address, _) = process.addresses().await;
    let answer = client::get(address, FHIR).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let requests = signing_in.emulator.entra().recorded();
    let request = requests.last().expect("a token request");
    assert_eq!(request.field("client_id"), Some(CLIENT_ID));
    assert_eq!(request.field("client_assertion"), Some(token.as_str()));
    assert_eq!(request.field("client_secret"), None);
    assert_eq!(
        request.field("client_assertion_type"),
        Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
    );
}

#[tokio::test]
async fn a_token_that_was_rotated_serves_without_a_restart() {
    let files = tempfile::tempdir().expect("a folder");
    let path = files.path().join("token");
    let write = |id: &str| {
        let token = service_account_token(id, 3600);
        // Another file takes the name, as with the kubelet.
        let new = files.path().join("new");
        std::fs::write(&new, &token).expect("written");
        std::fs::rename(&new, &path).expect("renamed");
        token
    };
    write("first");
    let stage = Setup::new()
        .with("routes.fhir", "credential = \"pod\"")
        .with(
            "credentials.pod.workload-identity",
            format!("tenant = \"{TENANT}\"\nclient_id = \"{CLIENT_ID}\"\ntoken_file = {path:?}"),
        )
        .start()
        .await;
    let second = write("second");
    stage.clock.shift(PAST_EXPIRY);
    assert_eq!(client::get(stage.address(), FHIR).await.status, 200);
    let requests = stage.emulator.entra().recorded();
    let sent: Vec<_> = requests
        .iter()
        .filter_map(|request| request.field("client_assertion"))
        .collect();
    assert_eq!(sent.len(), 2);
    assert_ne!(sent[0], sent[1]);
    assert_eq!(sent[1], second);
}

#[tokio::test]
async fn asks_the_authority_of_its_cloud() {
    let signing_in = SigningIn::new().await;
    signing_in.write("token", service_account_token("a", 3600));
    let keys =
        format!("tenant = \"{TENANT}\"\nclient_id = \"{CLIENT_ID}\"\ntoken_file = \"token\"");
    for host in AUTHORITIES {
        // The webhook writes it with a slash at the end.
        let authority = format!("https://{host}/");
        let variables = [("AZURE_AUTHORITY_HOST", authority.as_str())];
        let token = signing_in.token(KIND, &keys, &variables).await;
        token.unwrap_or_else(|error| panic!("{host}: {error}"));
        let seen = signing_in.emulator.entra().traffic().last();
        assert_eq!(seen.expect("a request").host, host);
    }
}

#[tokio::test]
async fn says_what_is_wrong_and_what_to_do() {
    let signing_in = SigningIn::new().await;
    let keys =
        format!("tenant = \"{TENANT}\"\nclient_id = \"{CLIENT_ID}\"\ntoken_file = \"token\"");
    let expired = service_account_token("a", -10);
    for (content, message, remedy) in [
        (None, "cannot be read", "azure.workload.identity/use=true"),
        (Some(""), "is empty", "azure.workload.identity/use=true"),
        (
            Some("hunter2\nX: y"),
            "control character",
            "azure.workload.identity/use=true",
        ),
        (Some(&expired), "AADSTS700024", "clock"),
    ] {
        match content {
            Some(content) => drop(signing_in.write("token", content)),
            None => drop(std::fs::remove_file(signing_in.files.path().join("token"))),
        }
        let error = signing_in.token(KIND, &keys, &[]).await.expect_err(message);
        assert!(error.contains(message), "{message}: {error}");
        assert!(error.contains(remedy), "{remedy}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

/// The wording of Entra, which the loopback one does not play.
#[tokio::test]
async fn says_when_no_federated_credential_matches() {
    let signing_in = SigningIn::new().await;
    signing_in.write("token", service_account_token("a", 3600));
    let keys =
        format!("tenant = \"{TENANT}\"\nclient_id = \"{CLIENT_ID}\"\ntoken_file = \"token\"");
    for code in [70_021, 700_211, 700_212, 700_213] {
        let body = json!({
            "error": "invalid_client",
            "error_description": format!("AADSTS{code}: No matching federated identity record found"),
            "error_codes": [code],
        });
        let refusal = Fault::respond(400, body.to_string());
        signing_in.emulator.entra().faults().next(1, refusal);
        let error = signing_in.token(KIND, &keys, &[]).await.expect_err("none");
        assert!(error.contains(&format!("AADSTS{code}")), "{error}");
        assert!(error.contains("federated-credential list"), "{error}");
    }
}

#[tokio::test]
async fn a_variable_that_is_missing_is_told_at_the_start() {
    let signing_in = SigningIn::new().await;
    let error = signing_in.token(KIND, "", &[]).await.expect_err("no keys");
    for name in [
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_FEDERATED_TOKEN_FILE",
        "azure.workload.identity/use=true",
    ] {
        assert!(error.contains(name), "{name}: {error}");
    }
}

#[tokio::test]
async fn says_nothing_to_entra_without_a_token_of_its_own() {
    let options = Options::default();
    let emulator = Emulator::start(options).await.expect("the emulator starts");
    let stage = Setup::new()
        .with("routes.fhir", "credential = \"pod\"")
        .with(
            "credentials.pod.workload-identity",
            format!(
                "tenant = \"{TENANT}\"\nclient_id = \"{CLIENT_ID}\"\ntoken_file = \"/nonexistent/token\""
            ),
        )
        .without_waiting()
        .start_before(emulator)
        .await;
    let answer = client::get(stage.address(), FHIR).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().contains("/nonexistent/token"),
        "{}",
        answer.text()
    );
    let audience = azure_emulator::FHIR_AUDIENCE;
    assert_eq!(stage.emulator.entra().token_requests_for(audience), 0);
}
