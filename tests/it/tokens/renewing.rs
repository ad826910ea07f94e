//! The renewal of tokens, by a clock that may jump.

use std::time::{Duration, SystemTime};

use azure_emulator::{FHIR_AUDIENCE, Fault};
use tokio::time::Instant;

use super::{FHIR, PAST_EXPIRY, emulator, last_token, until_token_requests};
use crate::support::{Setup, Stage, client};

#[tokio::test]
async fn renews_in_the_background_while_the_old_token_serves() {
    let stage = Stage::start().await;
    client::get(stage.address(), FHIR).await;
    let old = last_token(&stage);
    let faults = stage.emulator.entra().faults();
    faults.always_for(FHIR_AUDIENCE, Fault::Delay(Duration::from_secs(1)));
    stage.clock.shift(3000);

    assert_eq!(client::get(stage.address(), FHIR).await.status, 200);
    until_token_requests(&stage, 3).await;
    assert_eq!(client::get(stage.address(), FHIR).await.status, 200);
    assert_eq!(last_token(&stage), old);

    client::until(stage.address(), FHIR, |_| last_token(&stage) != old).await;
    let entra = stage.emulator.entra();
    assert_eq!(entra.token_requests_for(FHIR_AUDIENCE), 2);
}

#[tokio::test]
async fn a_machine_that_slept_gets_a_new_token_before_the_next_request() {
    let stage = Stage::start().await;
    client::get(stage.address(), FHIR).await;
    let old = last_token(&stage);
    stage.clock.shift(2 * 3600);
    assert_eq!(client::get(stage.address(), FHIR).await.status, 200);
    assert_ne!(last_token(&stage), old);
    let entra = stage.emulator.entra();
    assert_eq!(entra.token_requests_for(FHIR_AUDIENCE), 2);
}

#[tokio::test]
async fn a_clock_set_back_makes_no_burst() {
    let stage = Stage::start().await;
    stage.clock.shift(-3600);
    for _ in 0..20 {
        assert_eq!(client::get(stage.address(), FHIR).await.status, 200);
    }
    assert_eq!(stage.emulator.entra().token_requests(), 2);
}

#[tokio::test]
async fn short_lives_are_not_renewed_at_each_request() {
    let setup = Setup::new().emulator(|options| options.token_lifetime = Duration::from_secs(30));
    let stage = setup.start().await;
    for _ in 0..20 {
        assert_eq!(client::get(stage.address(), FHIR).await.status, 200);
    }
    assert_eq!(stage.emulator.entra().token_requests(), 2);
}

#[tokio::test]
async fn renews_when_the_issuer_said() {
    let emulator = emulator().await;
    emulator
        .entra()
        .set_refresh_in(Some(Duration::from_secs(600)));
    let stage = Setup::new().start_before(emulator).await;
    stage.ready().await;
    stage.clock.shift(590);
    client::get(stage.address(), FHIR).await;
    assert_eq!(stage.emulator.entra().token_requests(), 2);
    stage.clock.shift(11);
    client::get(stage.address(), FHIR).await;
    until_token_requests(&stage, 3).await;
}

#[tokio::test]
async fn an_issuer_that_says_renew_at_once_is_not_asked_at_each_request() {
    let emulator = emulator().await;
    emulator.entra().set_refresh_in(Some(Duration::ZERO));
    let stage = Setup::new().start_before(emulator).await;
    let start = Instant::now();
    stage.ready().await;
    for _ in 0..40 {
        client::get(stage.address(), FHIR).await;
    }
    let asked = stage.emulator.entra().token_requests_for(FHIR_AUDIENCE);
    assert!(asked <= 1 + start.elapsed().as_secs(), "{asked}");
}

#[tokio::test]
async fn a_life_counts_from_the_moment_of_asking() {
    let emulator = emulator().await;
    let slow = Fault::Delay(Duration::from_secs(2));
    emulator.entra().faults().always(slow);
    let latest = SystemTime::now() + Duration::from_secs(3601);
    let stage = Setup::new().start_before(emulator).await;
    stage.ready().await;
    let status = client::get(stage.admin(), "/status").await.json();
    let expiry: jiff::Timestamp = status["tokens"][0]["expires_on"]
        .as_str()
        .and_then(|time| time.parse().ok())
        .expect("a time");
    assert!(SystemTime::from(expiry) <= latest, "{expiry}");
}

#[tokio::test]
async fn serves_until_the_real_end_without_an_issuer_and_not_beyond() {
    let stage = Stage::start().await;
    let entra = stage.emulator.entra();
    entra.faults().always(Fault::respond(500, ""));
    stage.clock.shift(3300);
    for _ in 0..10 {
        assert_eq!(client::get(stage.address(), FHIR).await.status, 200);
    }
    until_token_requests(&stage, 3).await;
    stage.clock.shift(260);
    assert_eq!(client::get(stage.address(), FHIR).await.status, 200);

    stage.clock.shift(PAST_EXPIRY - 3560);
    let before = stage.emulator.fhir().traffic().counters().requests;
    for _ in 0..10 {
        assert_eq!(client::get(stage.address(), FHIR).await.status, 503);
    }
    let after = stage.emulator.fhir().traffic().counters().requests;
    assert_eq!(after, before);

    entra.faults().clear();
    client::until(stage.address(), FHIR, |answer| answer.status == 200).await;
}
