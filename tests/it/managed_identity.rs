//! The identity of a machine or app, on every platform that has one.

use std::time::{Duration, Instant};

use azure_emulator::{
    Emulator, Fault, IDENTITY_CLIENT_ID, IDENTITY_OBJECT_ID, IDENTITY_RESOURCE_ID, Options,
    RecordedRequest,
};
use tokio::{task::JoinSet, time::timeout};

use crate::support::{PATIENCE, Setup, client, process::Process, signing_in::SigningIn};

const KIND: &str = "managed-identity";
const FHIR: &str = "/fhir/Patient?_count=1";
const FHIR_RESOURCE: &str = "https%3A%2F%2Fdemo-fhir.fhir.azurehealthcareapis.com";

/// The keys that make it ask the loopback Azure's instance metadata service.
fn imds(signing_in: &SigningIn) -> String {
    let address = signing_in.emulator.identity_address();
    format!("endpoint = \"http://{address}\"")
}

/// The variables that App Service sets.
fn app_service(signing_in: &SigningIn) -> [(&'static str, String); 2] {
    let address = signing_in.emulator.identity_address();
    let header = signing_in.emulator.identity().header();
    [
        ("IDENTITY_ENDPOINT", format!("http://{address}/msi/token")),
        ("IDENTITY_HEADER", header.to_owned()),
    ]
}

/// The variables that Azure Arc's agent sets.
fn arc(signing_in: &SigningIn) -> [(&'static str, String); 2] {
    let address = signing_in.emulator.identity_address();
    let endpoint = format!("http://{address}/arc/metadata/identity/oauth2/token");
    [
        ("IDENTITY_ENDPOINT", endpoint),
        ("IMDS_ENDPOINT", format!("http://{address}/arc")),
    ]
}

/// The variable that Cloud Shell sets.
fn cloud_shell(signing_in: &SigningIn) -> [(&'static str, String); 1] {
    let address = signing_in.emulator.identity_address();
    [("MSI_ENDPOINT", format!("http://{address}/oauth2/token"))]
}

fn borrowed<'a>(variables: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    let borrow = |(name, value): &'a (_, String)| (*name, value.as_str());
    variables.iter().map(borrow).collect()
}

fn last_request(signing_in: &SigningIn) -> RecordedRequest {
    let seen = signing_in.emulator.identity().traffic().last();
    seen.expect("a request")
}

/// Runs the program until it has responded to a request.
async fn serve(signing_in: &SigningIn, keys: &str, variables: &[(&'static str, String)]) {
    let mut program = signing_in.program(KIND, keys, &[]);
    program.envs(variables.iter().map(|(name, value)| (*name, value)));
    // Nothing listens there.
    for proxy in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
        program.env(proxy, "http://127.0.0.1:9");
    }
    let process = Process::start(program);
    let (address, _) = process.addresses().await;
    let answer = client::get(address, FHIR).await;
    assert_eq!(answer.status, 200, "{variables:?}: {}", answer.text());
}

#[tokio::test]
async fn a_machine_serves_through_the_proxy() {
    let signing_in = SigningIn::new().await;
    serve(&signing_in, &imds(&signing_in), &[]).await;
    let request = last_request(&signing_in);
    assert_eq!(
        request.target,
        format!("/metadata/identity/oauth2/token?api-version=2018-02-01&resource={FHIR_RESOURCE}")
    );
    assert_eq!(request.headers["metadata"], "true");
}

#[tokio::test]
async fn a_pod_of_the_older_kind_names_the_service_by_a_variable() {
    let signing_in = SigningIn::new().await;
    let address = signing_in.emulator.identity_address();
    let variable = (
        "AZURE_POD_IDENTITY_AUTHORITY_HOST",
        format!("http://{address}/"),
    );
    serve(&signing_in, "", &[variable]).await;
    let target = last_request(&signing_in).target;
    assert!(target.starts_with("/metadata/identity/"), "{target}");
}

#[tokio::test]
async fn an_app_serves_through_the_proxy() {
    let signing_in = SigningIn::new().await;
    serve(&signing_in, "", &app_service(&signing_in)).await;
    assert_eq!(
        last_request(&signing_in).target,
        format!("/msi/token?api-version=2019-08-01&resource={FHIR_RESOURCE}")
    );
}

#[tokio::test]
async fn cloud_shell_serves_through_the_proxy() {
    let signing_in = SigningIn::new().await;
    serve(&signing_in, "", &cloud_shell(&signing_in)).await;
    let request = last_request(&signing_in);
    assert_eq!(request.method, "POST");
    assert_eq!(request.target, "/oauth2/token");
    assert_eq!(request.headers["metadata"], "true");
    assert_eq!(request.body, format!("resource={FHIR_RESOURCE}"));
}

#[tokio::test]
async fn user_assigned_identities_are_named_as_each_platform_wants() {
    let signing_in = SigningIn::new().await;
    let app = app_service(&signing_in);
    let machine = imds(&signing_in);
    for (key, value, on_machine, in_app) in [
        ("client_id", IDENTITY_CLIENT_ID, "client_id", "client_id"),
        ("object_id", IDENTITY_OBJECT_ID, "object_id", "object_id"),
        (
            "resource_id",
            IDENTITY_RESOURCE_ID,
            "msi_res_id",
            "mi_res_id",
        ),
    ] {
        let named = format!("{key} = \"{value}\"");
        for (keys, variables, parameter) in [
            (format!("{machine}\n{named}"), &[][..], on_machine),
            (named.clone(), &app[..], in_app),
        ] {
            let token = signing_in.token(KIND, &keys, &borrowed(variables)).await;
            token.unwrap_or_else(|error| panic!("{keys}: {error}"));
            let target = last_request(&signing_in).target;
            assert!(target.contains(&format!("&{parameter}=")), "{target}");
        }
    }
}

#[tokio::test]
async fn a_long_life_is_renewed_in_its_middle() {
    let options = Options {
        samples: true,
        ..Options::default()
    };
    let emulator = Emulator::start(options).await.expect("the emulator starts");
    let endpoint = format!("endpoint = \"http://{}\"", emulator.identity_address());
    let stage = Setup::new()
        .with("routes.fhir", "credential = \"machine\"")
        .with("credentials.machine.managed-identity", endpoint)
        .start_before(emulator)
        .await;
    stage.ready().await;
    let identity = stage.emulator.identity();
    let half = 12 * 3600;
    stage.clock.shift(half - 60);
    client::get(stage.address(), FHIR).await;
    assert_eq!(identity.traffic().counters().requests, 1);
    stage.clock.shift(120);
    client::get(stage.address(), FHIR).await;
    let renewed = identity.traffic().until(|counters| counters.requests == 2);
    timeout(PATIENCE, renewed).await.expect("renewed in time");
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let mut tasks = JoinSet::new();
    for status in [404, 410, 429, 500, 503] {
        tasks.spawn(async move {
            let signing_in = SigningIn::new().await;
            let identity = signing_in.emulator.identity();
            identity.faults().next(1, Fault::respond(status, ""));
            let token = signing_in.token(KIND, &imds(&signing_in), &[]).await;
            token.unwrap_or_else(|error| panic!("{status}: {error}"));
            let requests = identity.traffic().counters().requests;
            assert_eq!(requests, 2, "{status}");
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn a_wait_that_was_asked_for_is_left_to_the_next_attempt() {
    let signing_in = SigningIn::new().await;
    let identity = signing_in.emulator.identity();
    identity.faults().always(Fault::Respond {
        status: 429,
        headers: vec![("Retry-After".to_owned(), "60".to_owned())],
        body: String::new(),
    });
    let begun = Instant::now();
    let error = signing_in.token(KIND, &imds(&signing_in), &[]).await;
    assert!(error.expect_err("busy").contains("429"));
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(identity.traffic().counters().requests, 1);
}

/// The status and body of a reply, and the program's error about it with its remedy.
type Refusal = (u16, &'static str, &'static str, &'static str);

const OF_MACHINES: [Refusal; 6] = [
    (
        400,
        "{}",
        "no managed identity is assigned",
        "az vm identity assign",
    ),
    (
        400,
        r#"{"error":"invalid_resource","error_description":"AADSTS500011: hunter2"}"#,
        "AADSTS500011",
        "az ad sp create --id",
    ),
    (
        403,
        "connecting to 169.254.169.254:80: unreachable network",
        "this container cannot reach",
        "azure-cli",
    ),
    (
        403,
        "hunter2",
        "responded with 403",
        "Check that it is Azure's",
    ),
    (302, "", "responded with 302", "Check that it is Azure's"),
    (200, "<html>", "is not a token", "captive portal"),
];

const OF_APPS: [Refusal; 3] = [
    (401, "", "IDENTITY_HEADER", "start ahds-proxy again"),
    (
        400,
        "{}",
        "does not have this managed identity",
        "az webapp identity assign",
    ),
    (
        500,
        "hunter2",
        "responded with 500",
        "Try again in a moment",
    ),
];

const OF_SHELLS: [Refusal; 1] = [(400, "hunter2", "Cloud Shell responded with 400", "audience")];

#[tokio::test]
async fn what_will_not_pass_is_asked_once_and_explained() {
    let signing_in = SigningIn::new().await;
    let machine = imds(&signing_in);
    explained(&signing_in, &machine, &[], &OF_MACHINES).await;
    explained(&signing_in, "", &app_service(&signing_in), &OF_APPS).await;
    explained(&signing_in, "", &cloud_shell(&signing_in), &OF_SHELLS).await;
    // A redirect is not followed, wherever it leads.
    assert_eq!(signing_in.emulator.fhir().traffic().counters().requests, 0);
}

async fn explained(
    signing_in: &SigningIn,
    keys: &str,
    variables: &[(&'static str, String)],
    refusals: &[Refusal],
) {
    let identity = signing_in.emulator.identity();
    let location = format!("https://{}/", signing_in.emulator.fhir_address());
    for (status, body, message, remedy) in refusals {
        let fault = Fault::Respond {
            status: *status,
            headers: vec![("Location".to_owned(), location.clone())],
            body: (*body).to_owned(),
        };
        identity.faults().next(1, fault);
        let before = identity.traffic().counters().requests;
        let error = signing_in
            .token(KIND, keys, &borrowed(variables))
            .await
            .expect_err(message);
        assert!(error.contains(message), "{message}: {error}");
        assert!(error.contains(remedy), "{remedy}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
        let requests = identity.traffic().counters().requests - before;
        assert_eq!(requests, 1, "{message}");
    }
}

#[tokio::test]
async fn an_identity_that_is_not_there_is_named() {
    let signing_in = SigningIn::new().await;
    let other = "11111111-2222-4333-8444-555555555555";
    let keys = format!("{}\nclient_id = \"{other}\"", imds(&signing_in));
    let error = signing_in.token(KIND, &keys, &[]).await.expect_err("other");
    assert!(error.contains(other), "{error}");
    assert!(error.contains("--identities"), "{error}");

    signing_in.emulator.identity().set_assigned(false);
    let error = signing_in.token(KIND, &imds(&signing_in), &[]).await;
    let error = error.expect_err("none");
    assert!(error.contains("no managed identity is assigned"), "{error}");
}

#[tokio::test]
async fn the_arc_agent_can_have_no_file_read_but_its_own() {
    let signing_in = SigningIn::new().await;
    // The agent's challenges name files in this folder, which is not the agent's.
    let folder = signing_in.files.path().to_owned();
    signing_in.emulator.identity().set_key_folder(&folder);
    let variables = arc(&signing_in);
    let error = signing_in
        .token(KIND, "", &borrowed(&variables))
        .await
        .expect_err("another folder");
    assert!(
        error.contains("elsewhere than in /var/opt/azcmagent/tokens"),
        "{error}"
    );
    assert!(error.contains("azcmagent show"), "{error}");
    let identity = signing_in.emulator.identity();
    assert_eq!(identity.traffic().counters().requests, 1);
    assert_eq!(last_request(&signing_in).headers.get("authorization"), None);
}

#[tokio::test]
async fn platforms_that_cannot_serve_say_so() {
    let signing_in = SigningIn::new().await;
    let app = app_service(&signing_in);
    let mut fabric = app.to_vec();
    fabric.push(("IDENTITY_SERVER_THUMBPRINT", "ab".to_owned()));
    let mut learning = cloud_shell(&signing_in).to_vec();
    learning.push(("MSI_SECRET", "hunter2".to_owned()));
    let mut far = app.to_vec();
    far[0].1 = "http://10.0.0.4/msi/token".to_owned();
    let named = format!("client_id = \"{IDENTITY_CLIENT_ID}\"");
    for (keys, variables, message, remedy) in [
        ("", fabric, "Service Fabric", "Use another credential"),
        (
            "",
            learning,
            "Azure Machine Learning",
            "Use another credential",
        ),
        (
            "",
            far,
            "10.0.0.4 over plain http",
            "Unset IDENTITY_ENDPOINT",
        ),
        (
            &named,
            arc(&signing_in).to_vec(),
            "Azure Arc has no user-assigned",
            "Remove `client_id`",
        ),
        (
            &named,
            cloud_shell(&signing_in).to_vec(),
            "Cloud Shell has no user-assigned",
            "Remove `client_id`",
        ),
    ] {
        let error = signing_in
            .token(KIND, keys, &borrowed(&variables))
            .await
            .expect_err(message);
        assert!(error.contains(message), "{message}: {error}");
        assert!(error.contains(remedy), "{remedy}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert_eq!(
        signing_in.emulator.identity().traffic().counters().requests,
        0
    );
}
