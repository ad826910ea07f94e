//! A user signs in with a code in a browser, and every request without a token says where.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use azure_emulator::{
    DICOM_AUDIENCE, Emulator, FHIR_AUDIENCE, Fault, Options, TENANT, TokenRequest,
};
use tokio::time::timeout;

use crate::support::{
    PATIENCE, Setup, Stage, client,
    process::{self, Process, text},
    write_config,
};

const FHIR: &str = "/fhir/Patient?_count=1";
const DICOM: &str = "/dicom/v2/changefeed?limit=1";
const PAST_EXPIRY: i64 = 3601;

fn lines() -> Vec<(&'static str, String)> {
    vec![
        ("routes.fhir", "credential = \"device\"".to_owned()),
        ("routes.dicom", "credential = \"device\"".to_owned()),
        (
            "credentials.device.device-code",
            format!("tenant = \"{TENANT}\""),
        ),
    ]
}

async fn emulator() -> Emulator {
    Emulator::start(Options::default()).await.expect("started")
}

async fn stage(emulator: Emulator) -> Stage {
    let setup = Setup::new();
    let setup = lines()
        .into_iter()
        .fold(setup, |setup, (table, lines)| setup.with(table, lines));
    setup.start_before(emulator).await
}

/// A stage on which a user has signed in.
async fn signed_in() -> Stage {
    let stage = stage(emulator().await).await;
    code(&client::get(stage.address(), FHIR).await).expect("a code");
    stage.emulator.entra().approve_device_codes();
    stage.ready().await;
    stage
}

fn code_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("/device in a browser and enter the code ")?;
    let (code, _) = rest.split_once('.')?;
    Some(code.to_owned())
}

/// The code that a response without a token names.
fn code(answer: &client::Answer) -> Option<String> {
    assert_eq!(answer.status, 503, "{}", answer.text());
    code_in(answer.text())
}

/// The number of codes that were requested.
fn prompts(emulator: &Emulator) -> usize {
    let requests = emulator.entra().traffic().recorded();
    let prompts = requests
        .iter()
        .filter(|request| request.target.ends_with("/oauth2/v2.0/devicecode"));
    prompts.count()
}

fn renewals(emulator: &Emulator) -> Vec<TokenRequest> {
    let mut requests = emulator.entra().recorded();
    requests.retain(|request| request.field("grant_type") == Some("refresh_token"));
    requests
}

fn error(name: &str) -> Fault {
    Fault::respond(400, format!("{{\"error\":\"{name}\"}}"))
}

#[tokio::test]
async fn one_sign_in_serves_every_audience() {
    let stage = stage(emulator().await).await;
    let asked = Instant::now();
    let (fhir, dicom) = tokio::join!(
        client::get(stage.address(), FHIR),
        client::get(stage.address(), DICOM)
    );
    assert!(asked.elapsed() < Duration::from_secs(5));
    let shown = code(&fhir).expect("a code");
    assert_eq!(code(&dicom).as_ref(), Some(&shown));
    assert_eq!(fhir.header("retry-after"), Some("2"));
    assert_eq!(fhir.json()["issue"][0]["code"], "login");
    for page in ["/readyz", "/status"] {
        let answer = client::get(stage.admin(), page).await;
        assert!(answer.text().contains(&shown), "{}", answer.text());
    }
    assert_eq!(prompts(&stage.emulator), 1);
    assert_eq!(stage.upstream_hits(), 0);

    stage.emulator.entra().approve_device_codes();
    let approved = Instant::now();
    for path in [FHIR, DICOM] {
        client::until(stage.address(), path, |answer| answer.status == 200).await;
    }
    assert!(approved.elapsed() < Duration::from_secs(5));
    assert_eq!(prompts(&stage.emulator), 1);
    let renewals = renewals(&stage.emulator);
    assert_eq!(renewals.len(), 1, "the other audience's token");
    let scope = renewals[0].field("scope").expect("a scope");
    assert!(scope.ends_with("/.default offline_access"), "{scope}");
    client::until(stage.admin(), "/readyz", |answer| answer.status == 200).await;
}

#[tokio::test]
async fn a_sign_in_that_was_declined_is_said_once_and_followed_by_another_code() {
    let emulator = emulator().await;
    let faults = emulator.entra().faults();
    faults.always(error("authorization_declined"));
    let stage = stage(emulator).await;
    let first = code(&client::get(stage.address(), FHIR).await).expect("a code");
    let declined = |answer: &client::Answer| answer.text().contains("declined");
    let answer = client::until(stage.admin(), "/status", declined).await;
    assert!(answer.text().contains("Sign in with the next code"));
    stage.emulator.entra().faults().clear();
    let another = |answer: &client::Answer| code(answer).is_some_and(|code| code != first);
    client::until(stage.address(), FHIR, another).await;
    stage.emulator.entra().approve_device_codes();
    client::until(stage.address(), FHIR, |answer| answer.status == 200).await;
}

#[tokio::test]
async fn a_sign_in_that_entra_blocks_says_why() {
    let emulator = emulator().await;
    emulator.entra().faults().always(Fault::Forbidden);
    let stage = stage(emulator).await;
    let blocked = |answer: &client::Answer| answer.text().contains("AADSTS53003");
    let answer = client::until(stage.admin(), "/status", blocked).await;
    assert!(!answer.text().contains("az login"), "{}", answer.text());
}

#[tokio::test]
async fn a_code_that_expired_is_followed_by_another() {
    let emulator = emulator().await;
    emulator.entra().faults().next(1, error("expired_token"));
    let stage = stage(emulator).await;
    let first = code(&client::get(stage.address(), FHIR).await).expect("a code");
    let another = |answer: &client::Answer| code(answer).expect("a code") != first;
    client::until(stage.address(), FHIR, another).await;
    assert_eq!(prompts(&stage.emulator), 2);
    stage.emulator.entra().approve_device_codes();
    client::until(stage.address(), FHIR, |answer| answer.status == 200).await;
}

#[tokio::test]
async fn polls_slow_down_when_asked_to() {
    let emulator = emulator().await;
    emulator.entra().faults().next(1, error("slow_down"));
    let stage = stage(emulator).await;
    let entra = stage.emulator.entra();
    timeout(PATIENCE, entra.until_token_requests(1))
        .await
        .expect("a poll");
    let slowed_down = Instant::now();
    timeout(PATIENCE, entra.until_token_requests(2))
        .await
        .expect("another poll");
    assert!(
        slowed_down.elapsed() > Duration::from_millis(5500),
        "{:?}",
        slowed_down.elapsed()
    );
}

#[tokio::test]
async fn a_network_that_fails_does_not_end_the_sign_in() {
    let emulator = emulator().await;
    emulator.entra().faults().next(1, Fault::Close);
    let stage = stage(emulator).await;
    code(&client::get(stage.address(), FHIR).await).expect("a code");
    stage.emulator.entra().approve_device_codes();
    client::until(stage.address(), FHIR, |answer| answer.status == 200).await;
    assert_eq!(prompts(&stage.emulator), 1);
}

#[tokio::test]
async fn tokens_are_renewed_with_the_latest_refresh_token() {
    let stage = signed_in().await;
    let mut used = BTreeSet::new();
    for round in 1..=3_usize {
        let before = renewals(&stage.emulator).len();
        stage.clock.shift(PAST_EXPIRY);
        let answer = client::get(stage.address(), FHIR).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let renewals = renewals(&stage.emulator);
        let own = renewals[before..]
            .iter()
            .find(|request| request.audience.as_deref() == Some(FHIR_AUDIENCE))
            .expect("a renewal");
        used.insert(own.field("refresh_token").expect("a token").to_owned());
        assert_eq!(used.len(), round, "each is used once");
    }
    assert_eq!(prompts(&stage.emulator), 1);
}

#[tokio::test]
async fn a_sign_in_that_has_ended_is_asked_for_again() {
    let stage = signed_in().await;
    stage.emulator.entra().revoke_refresh_tokens();
    stage.clock.shift(PAST_EXPIRY);
    let (fhir, dicom) = tokio::join!(
        client::get(stage.address(), FHIR),
        client::get(stage.address(), DICOM)
    );
    let shown = code(&fhir).expect("a code");
    assert_eq!(code(&dicom), Some(shown));
    assert_eq!(prompts(&stage.emulator), 2);
    stage.emulator.entra().approve_device_codes();
    for path in [FHIR, DICOM] {
        client::until(stage.address(), path, |answer| answer.status == 200).await;
    }
}

#[tokio::test]
async fn an_audience_that_needs_another_sign_in_does_not_take_it_from_the_others() {
    let stage = signed_in().await;
    let faults = stage.emulator.entra().faults();
    faults.next_for(DICOM_AUDIENCE, 1, error("interaction_required"));
    stage.clock.shift(PAST_EXPIRY);
    code(&client::get(stage.address(), DICOM).await).expect("a code");
    for _ in 0..2 {
        assert_eq!(client::get(stage.address(), FHIR).await.status, 200);
        stage.clock.shift(PAST_EXPIRY);
        code(&client::get(stage.address(), DICOM).await).expect("a code");
    }
    assert_eq!(prompts(&stage.emulator), 2);
    stage.emulator.entra().approve_device_codes();
    client::until(stage.address(), DICOM, |answer| answer.status == 200).await;
    assert_eq!(client::get(stage.address(), FHIR).await.status, 200);
}

#[tokio::test]
async fn no_code_is_a_failure_like_any_other() {
    let tenant = "11111111-2222-4333-8444-555555555555";
    let stage = Setup::new()
        .with("routes.fhir", "credential = \"device\"")
        .with(
            "credentials.device.device-code",
            format!("tenant = \"{tenant}\""),
        )
        .start_before(emulator().await)
        .await;
    let answer = client::get(stage.address(), FHIR).await;
    assert_eq!(answer.status, 503);
    for text in [
        "AADSTS90002",
        tenant,
        "Check `tenant` and AZURE_AUTHORITY_HOST",
    ] {
        assert!(answer.text().contains(text), "{}", answer.text());
    }
}

/// Everything that the issuer and the proxy share and nobody else may know.
fn secrets(emulator: &Emulator) -> BTreeSet<String> {
    let mut secrets = BTreeSet::new();
    for request in emulator.entra().recorded() {
        for name in ["refresh_token", "device_code"] {
            secrets.extend(request.field(name).map(str::to_owned));
        }
    }
    for request in emulator.fhir().traffic().recorded() {
        let token = request.headers["authorization"].to_str().expect("text");
        secrets.extend(token.strip_prefix("Bearer ").map(str::to_owned));
    }
    secrets
}

#[tokio::test]
async fn the_code_is_logged_once_and_no_secret_at_all_nor_written_anywhere() {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &lines());
    let listed = |folder: &tempfile::TempDir| std::fs::read_dir(folder.path()).map(Iterator::count);
    let home = tempfile::tempdir().expect("a folder");
    let before = listed(&files).expect("a folder");
    let mut command = process::run(&config);
    command
        .env("RUST_LOG", "trace")
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .current_dir(home.path());
    let mut process = Process::start(command);
    let shown = process.until_stderr(code_in).await;
    let (proxy, _) = process.addresses().await;
    let answer = client::get(proxy, FHIR).await;
    assert_eq!(code(&answer), Some(shown.clone()));
    emulator.entra().approve_device_codes();
    for path in [FHIR, DICOM] {
        client::until(proxy, path, |answer| answer.status == 200).await;
    }
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.ended().await.code(), Some(0));

    let log = process.stderr();
    assert_eq!(log.matches(&shown).count(), 1, "{log}");
    let secrets = secrets(&emulator);
    assert!(secrets.len() >= 3, "{secrets:?}");
    for secret in &secrets {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    assert_eq!(listed(&files).expect("a folder"), before);
    assert_eq!(listed(&home).expect("a folder"), 0);
}

#[tokio::test]
async fn the_token_command_waits_for_the_sign_in() {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &lines());
    let config = config.to_str().expect("UTF-8");
    let command = process::command(&["token", "fhir", "--output", "raw", "--config", config]);
    let mut process = Process::start(command);
    process.until_stderr(code_in).await;
    emulator.entra().approve_device_codes();
    assert_eq!(process.ended().await.code(), Some(0));
    assert_eq!(process.stdout().trim().split('.').count(), 3);
    assert_eq!(process.stderr().matches("enter the code").count(), 1);
    assert!(text(process.stdout().as_bytes()).ends_with('\n'));
}
