//! The output of `az` besides a token, and how often it is run.

use azure_emulator::{Emulator, Options};

use crate::support::{client, fake_az::FakeAz};

const FHIR: &str = "/fhir/Patient?_count=1";
const DICOM: &str = "/dicom/v2/changefeed?limit=1";

/// The status of a request whose token comes from a script.
async fn status_with(script: &str) -> (u16, String) {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let fake = FakeAz::new(&emulator, script);
    let stage = fake.setup("").start_before(emulator).await;
    let answer = client::get(stage.address(), FHIR).await;
    (answer.status, answer.text().to_owned())
}

#[tokio::test]
async fn reads_a_token_among_warnings_and_notices() {
    for script in [
        "answer",
        "echo 'WARNING: a new release is available' >&2; answer",
        "echo 'Notice: {beta} feature, [see] \"here\"'; answer; echo '{bye}'",
        "printf '\\357\\273\\277'; answer",
        // Reads nothing: its input is closed.
        "if read LINE; then exit 1; else answer; fi",
        // A lot of noise on both pipes.
        "i=0; while [ $i -lt 2000 ]; do echo 'WARNING: 0123456789012345678901234567890123456789' >&2; i=$((i+1)); done; answer",
    ] {
        let (status, body) = status_with(script).await;
        assert_eq!(status, 200, "{script}: {body}");
    }
}

#[tokio::test]
async fn refuses_what_is_no_token_and_does_not_repeat_it() {
    for script in [
        "echo SECRET-OUTPUT",
        "",
        "echo '{\"accessToken\":\"SECRET-OUTPUT\"}'",
        "echo '{\"accessToken\":\"SECRET-OUTPUT\",\"expires_on\":1}'",
        "echo '[\"SECRET-OUTPUT\"]'",
    ] {
        let (status, body) = status_with(script).await;
        assert_eq!(status, 503, "{script}");
        assert!(!body.contains("SECRET-OUTPUT"), "{body}");
    }
}

#[tokio::test]
async fn is_run_once_for_each_audience_and_never_twice_at_a_time() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let script =
        "mkdir \"$D/lock\" || echo overlap >>\"$D/overlaps\"\nsleep 0.3\nrmdir \"$D/lock\"\nanswer";
    let fake = FakeAz::new(&emulator, script);
    let stage = fake.setup("").start_before(emulator).await;
    let (fhir, dicom) = tokio::join!(
        client::get(stage.address(), FHIR),
        client::get(stage.address(), DICOM)
    );
    assert_eq!((fhir.status, dicom.status), (200, 200));
    for _ in 0..10 {
        client::get(stage.address(), FHIR).await;
    }
    assert_eq!(fake.runs(), 2);
    assert_eq!(fake.read("overlaps"), "");
}

#[tokio::test]
async fn is_not_run_over_and_over_for_the_same_token() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let fake = FakeAz::new(&emulator, "answer");
    let stage = fake.setup("").start_before(emulator).await;
    stage.ready().await;
    // Below five minutes before its end the token is renewed, but this az has no other.
    stage.clock.shift(3400);
    client::get(stage.address(), FHIR).await;
    let deadline = tokio::time::Instant::now() + crate::support::PATIENCE;
    while fake.runs() < 3 {
        assert!(tokio::time::Instant::now() < deadline);
        client::get(stage.address(), FHIR).await;
    }
    for _ in 0..40 {
        assert_eq!(client::get(stage.address(), FHIR).await.status, 200);
    }
    // The DICOM token may have been renewed in the background as well.
    assert!(fake.runs() <= 4, "{}", fake.runs());
}

#[tokio::test]
async fn gets_an_audience_a_tenant_a_subscription_and_nothing_else() {
    let emulator = Emulator::start(Options::default()).await.expect("started");
    let fake = FakeAz::new(
        &emulator,
        "case $R in *dicom*) ;; *) for A; do echo \"$A\" >>\"$D/args\"; done;; esac; pwd >\"$D/cwd\"; answer",
    );
    let keys = "tenant = \"contoso.example\"\nsubscription = \"my sub\"";
    let stage = fake.setup(keys).start_before(emulator).await;
    assert_eq!(client::get(stage.address(), FHIR).await.status, 200);
    let arguments: Vec<String> = fake.read("args").lines().map(str::to_owned).collect();
    assert_eq!(
        arguments,
        [
            "account",
            "get-access-token",
            "--output",
            "json",
            "--resource",
            azure_emulator::FHIR_AUDIENCE,
            "--tenant",
            "contoso.example",
            "--subscription",
            "my sub"
        ]
    );
    let folder = fake.read("cwd");
    let mode =
        std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(folder.trim()).expect("a folder"));
    assert_eq!(mode & 0o022, 0, "others can write to {folder}");
}
