//! Local times without a zone, as an old `az` prints them, in the zones of this world.

use azure_emulator::FHIR_AUDIENCE;

use crate::support::{
    fake_az::FakeAz,
    process::{self, text},
};

/// The expiry that `token` reads from a local time, in seconds since the epoch.
async fn epoch_of(local: &str, zone: &str) -> u64 {
    let fake = FakeAz::bare(&format!(
        "echo '{{\"accessToken\":\"t\",\"expiresOn\":\"{local}\"}}'"
    ));
    let mut command = process::command(&["token", "fhir", "--fhir", FHIR_AUDIENCE]);
    command.args(["--credential", "azure-cli"]).env("TZ", zone);
    command.env("PATH", format!("{}:/usr/bin:/bin", fake.folder().display()));
    let output = process::output(command).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    answer["expires_on"].as_u64().expect("a number")
}

#[tokio::test]
async fn a_local_time_is_read_in_the_zone_of_the_machine() {
    for (local, zone, expected) in [
        ("2035-01-02 03:04:05.000000", "UTC", "2035-01-02T03:04:05Z"),
        (
            "2035-01-02 03:04:05.000000",
            "Asia/Tokyo",
            "2035-01-01T18:04:05Z",
        ),
        (
            "2035-01-02 03:04:05.123456",
            "America/Los_Angeles",
            "2035-01-02T11:04:05Z",
        ),
        (
            "2035-07-02 03:04:05.000000",
            "America/Los_Angeles",
            "2035-07-02T10:04:05Z",
        ),
        // Skipped: the clock goes from two to three o'clock, and an az that adds an hour to a
        // local time names a time that never was.
        (
            "2035-03-11 02:30:00.000000",
            "America/Los_Angeles",
            "2035-03-11T10:30:00Z",
        ),
        // Comes twice: the earlier one counts.
        (
            "2035-11-04 01:30:00.000000",
            "America/Los_Angeles",
            "2035-11-04T08:30:00Z",
        ),
    ] {
        let expected: jiff::Timestamp = expected.parse().expect("a time");
        let seconds = u64::try_from(expected.as_second()).expect("after 1970");
        assert_eq!(epoch_of(local, zone).await, seconds, "{local} in {zone}");
    }
}
