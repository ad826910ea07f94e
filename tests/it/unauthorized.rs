//! An upstream's 401 costs one new token and one more try, and never more.

use azure_emulator::{Emulator, FHIR_AUDIENCE, Fault, Options};

use crate::support::{
    Setup, Stage,
    client::{self, Answer},
};

const PATIENTS: &str = "/fhir/Patient?_count=1";
const KEPT: usize = 64 << 10;

fn hits(stage: &Stage) -> u64 {
    stage.emulator.fhir().traffic().counters().requests
}

fn tokens(stage: &Stage) -> Vec<String> {
    let seen = stage.emulator.fhir().traffic().recorded();
    let token = |headers: &http::HeaderMap| {
        let authorization = headers["authorization"].to_str();
        authorization.expect("text").to_owned()
    };
    seen.iter().map(|request| token(&request.headers)).collect()
}

fn fhir_fetches(stage: &Stage) -> u64 {
    stage.emulator.entra().token_requests_for(FHIR_AUDIENCE)
}

async fn post(stage: &Stage, body: &[u8]) -> Answer {
    let headers = [("content-type", "application/fhir+json")];
    client::request(stage.address(), "POST", "/fhir/Binary", &headers, body).await
}

fn refusal(challenge: &str) -> Fault {
    Fault::Respond {
        status: 401,
        headers: vec![("www-authenticate".to_owned(), challenge.to_owned())],
        body: String::new(),
    }
}

/// A resource of just this many bytes.
fn resource(length: usize) -> Vec<u8> {
    let (start, end) = (r#"{"resourceType":"Binary","data":""#, r#""}"#);
    let filling = "A".repeat(length - start.len() - end.len());
    format!("{start}{filling}{end}").into_bytes()
}

#[tokio::test]
async fn a_refused_request_is_sent_again_with_a_new_token() {
    let stage = Stage::start().await;
    stage.emulator.fhir().faults().next(1, Fault::Unauthorized);
    assert_eq!(client::get(stage.address(), PATIENTS).await.status, 200);
    let tokens = tokens(&stage);
    assert_eq!(tokens.len(), 2);
    assert_ne!(tokens[0], tokens[1]);
    assert_eq!(fhir_fetches(&stage), 2);
}

#[tokio::test]
async fn a_small_body_is_sent_again_whole() {
    for length in [100, KEPT] {
        let stage = Stage::start().await;
        let body = resource(length);
        stage.emulator.fhir().faults().next(1, Fault::Unauthorized);
        assert_eq!(post(&stage, &body).await.status, 201, "{length}");
        let seen = stage.emulator.fhir().traffic().recorded();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[1].body, body);
        assert_eq!(seen[1].headers["content-length"], length.to_string());
    }
}

#[tokio::test]
async fn a_body_too_large_to_keep_leaves_the_refusal_as_the_answer() {
    let stage = Stage::start().await;
    stage.emulator.fhir().faults().next(1, Fault::Unauthorized);
    let answer = post(&stage, &resource(KEPT + 1)).await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("proxy-status").is_none());
    assert_eq!(hits(&stage), 1);
    // The next request has the new token nevertheless.
    assert_eq!(client::get(stage.address(), PATIENTS).await.status, 200);
    let tokens = tokens(&stage);
    assert_ne!(tokens[0], tokens[1]);
}

#[tokio::test]
async fn a_service_that_refuses_every_token_gets_each_request_twice_at_most() {
    let stage = Stage::start().await;
    stage.emulator.fhir().faults().always(Fault::Unauthorized);
    let answer = client::get(stage.address(), PATIENTS).await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").is_some());
    assert_eq!(hits(&stage), 2);
    for _ in 0..5 {
        assert_eq!(client::get(stage.address(), PATIENTS).await.status, 401);
    }
    assert_eq!(hits(&stage), 7);
    assert_eq!(fhir_fetches(&stage), 2);
}

#[tokio::test]
async fn all_who_were_refused_share_one_new_token() {
    let stage = Stage::start().await;
    stage.emulator.fhir().faults().next(50, Fault::Unauthorized);
    let requests = (0..50).map(|_| client::get(stage.address(), PATIENTS));
    let answers = futures_of(requests).await;
    assert!(answers.iter().any(|answer| answer.status == 200));
    assert_eq!(fhir_fetches(&stage), 2);
}

async fn futures_of<F>(futures: impl Iterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    futures
        .collect::<tokio::task::JoinSet<_>>()
        .join_all()
        .await
}

#[tokio::test]
async fn a_refused_token_is_dropped_and_nothing_goes_out_while_the_issuer_is_down() {
    let stage = Stage::start().await;
    stage
        .emulator
        .entra()
        .faults()
        .always(Fault::respond(503, ""));
    stage.emulator.fhir().faults().next(1, Fault::Unauthorized);
    for _ in 0..3 {
        let answer = client::get(stage.address(), PATIENTS).await;
        assert_eq!(answer.status, 503);
        assert!(answer.text().contains("503"), "{}", answer.text());
    }
    assert_eq!(hits(&stage), 1);
    assert_eq!(client::get(stage.admin(), "/readyz").await.status, 503);
    stage.emulator.entra().faults().clear();
    stage.ready().await;
    assert_eq!(client::get(stage.address(), PATIENTS).await.status, 200);
    let tokens = tokens(&stage);
    assert_ne!(tokens[0], tokens[1]);
}

#[tokio::test]
async fn an_issuer_that_wants_something_done_is_the_answer() {
    let stage = Stage::start().await;
    stage.emulator.entra().rotate_secret("another");
    stage.emulator.fhir().faults().next(1, Fault::Unauthorized);
    for _ in 0..2 {
        let answer = client::get(stage.address(), PATIENTS).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["issue"][0]["code"], "login");
        assert!(answer.text().contains("AADSTS7000215"), "{}", answer.text());
    }
    assert_eq!(hits(&stage), 1);
}

#[tokio::test]
async fn a_token_that_cannot_change_is_not_sent_twice() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let token = emulator.entra().issue(FHIR_AUDIENCE, 3600);
    let stage = Setup::new()
        .with("routes.fhir", "credential = \"fixed\"")
        .with("credentials.fixed.static", "token = { file = \"token\" }")
        .file("token", token)
        .start_before(emulator)
        .await;
    stage.ready().await;
    stage.emulator.fhir().faults().next(1, Fault::Unauthorized);
    assert_eq!(client::get(stage.address(), PATIENTS).await.status, 401);
    assert_eq!(hits(&stage), 1);
}

#[tokio::test]
async fn a_403_is_final() {
    let stage = Stage::start().await;
    stage.emulator.fhir().faults().next(1, Fault::Forbidden);
    assert_eq!(client::get(stage.address(), PATIENTS).await.status, 403);
    assert_eq!(hits(&stage), 1);
    assert_eq!(fhir_fetches(&stage), 1);
}

#[tokio::test]
async fn a_claims_challenge_is_explained_beside_the_refusal() {
    let stage = Stage::start().await;
    let challenge = r#"Bearer error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#;
    stage.emulator.fhir().faults().always(refusal(challenge));
    let answer = client::get(stage.address(), PATIENTS).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("www-authenticate"), Some(challenge));
    let status = answer.header("proxy-status").expect("an explanation");
    assert!(status.starts_with("ahds-proxy; details="), "{status}");
    let command = format!("az login --scope {FHIR_AUDIENCE}/.default");
    assert!(status.contains(&command), "{status}");
}
