//! A service that asks to be left alone for a while.

use std::time::{Duration, Instant};

use azure_emulator::Fault;

use crate::support::{Setup, Stage, client};

const PATH: &str = "/fhir/Patient";
const SHORT: Duration = Duration::from_millis(20);

async fn patient() -> Stage {
    let setup = Setup::new().with("routes.fhir", "retry_throttled = true");
    setup.start().await
}

fn unavailable(headers: &[(&str, &str)]) -> Fault {
    Fault::Respond {
        status: 503,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        body: "later".to_owned(),
    }
}

fn requests(stage: &Stage) -> u64 {
    stage.emulator.fhir().traffic().counters().requests
}

#[tokio::test]
async fn throttling_passes_untouched() {
    let stage = Stage::start().await;
    let wait = Duration::from_millis(1500);
    stage
        .emulator
        .fhir()
        .faults()
        .next(1, Fault::Throttle(wait));
    let answer = client::get(stage.address(), PATH).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert_eq!(answer.header("x-ms-retry-after-ms"), Some("1500"));
    assert_eq!(answer.json()["issue"][0]["code"], "throttled");
    assert_eq!(requests(&stage), 1);
}

#[tokio::test]
async fn reads_are_repeated_after_the_wait() {
    let stage = patient().await;
    let faults = stage.emulator.fhir().faults();
    faults.next(2, Fault::Throttle(SHORT));
    faults.next(1, unavailable(&[("retry-after", "0")]));
    let answer = client::get(stage.address(), PATH).await;
    assert_eq!(answer.status, 200);
    assert_eq!(requests(&stage), 4);

    faults.next(1, Fault::Throttle(SHORT));
    let answer = client::request(stage.address(), "HEAD", PATH, &[], b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(requests(&stage), 6);
}

#[tokio::test]
async fn a_wait_may_be_a_date() {
    let stage = patient().await;
    let noon = "Wed, 21 Oct 2015 12:00:00 GMT";
    for (until, repeats) in [
        ("Wed, 21 Oct 2015 12:00:01 GMT", true),
        ("Wed, 21 Oct 2015 11:00:00 GMT", true),
        ("Wed, 21 Oct 2015 12:01:01 GMT", false),
    ] {
        let before = requests(&stage);
        let fault = unavailable(&[("date", noon), ("retry-after", until)]);
        stage.emulator.fhir().faults().next(1, fault);
        let answer = client::get(stage.address(), PATH).await;
        assert_eq!(answer.status == 200, repeats, "{until}");
        assert_eq!(requests(&stage), before + 1 + u64::from(repeats), "{until}");
    }
}

#[tokio::test]
async fn a_service_that_asks_for_no_time_gets_some() {
    let stage = patient().await;
    let faults = stage.emulator.fhir().faults();
    faults.next(2, unavailable(&[("retry-after", "0")]));
    faults.next(1, unavailable(&[("x-ms-retry-after-ms", "1")]));
    let start = Instant::now();
    let answer = client::get(stage.address(), PATH).await;
    assert_eq!(answer.status, 200);
    assert!(start.elapsed() >= 3 * Duration::from_millis(100));
}

#[tokio::test]
async fn writes_are_not_repeated() {
    let stage = patient().await;
    for (method, body) in [("POST", "{}"), ("PUT", "{}"), ("DELETE", ""), ("GET", "{}")] {
        let before = requests(&stage);
        let faults = stage.emulator.fhir().faults();
        faults.next(1, Fault::Throttle(SHORT));
        let answer = client::request(stage.address(), method, PATH, &[], body.as_bytes()).await;
        assert_eq!(answer.status, 429, "{method}");
        assert_eq!(requests(&stage), before + 1, "{method}");
    }
}

#[tokio::test]
async fn a_wait_that_is_too_long_or_unknown_is_the_clients_to_decide() {
    let stage = patient().await;
    for fault in [
        Fault::Throttle(Duration::from_secs(61)),
        unavailable(&[]),
        unavailable(&[("retry-after", "later")]),
        Fault::respond(500, ""),
    ] {
        let before = requests(&stage);
        stage.emulator.fhir().faults().next(1, fault.clone());
        let answer = client::get(stage.address(), PATH).await;
        assert!(answer.status >= 429, "{fault:?}");
        assert_eq!(requests(&stage), before + 1, "{fault:?}");
    }
}

#[tokio::test]
async fn an_answer_comes_even_if_the_service_never_has_time() {
    let stage = patient().await;
    let faults = stage.emulator.fhir().faults();
    faults.always(Fault::Throttle(Duration::from_millis(1)));
    assert_eq!(client::get(stage.address(), PATH).await.status, 429);
    assert!(requests(&stage) > 2);
}
