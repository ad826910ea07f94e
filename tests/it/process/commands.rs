//! The commands beside `run`.

use std::{net::SocketAddr, process::Output, time::Duration};

use azure_emulator::{Fault, SUBSCRIPTION, TENANT};
use rustix::process::Signal;

use super::{Scene, emulator};
use crate::support::{
    client,
    fake_az::FakeAz,
    process::{self, Process, text},
    scripted::Scripted,
    write_config,
};

/// Runs a command on an emulator's configuration, after the emulator was changed.
async fn with_emulator(
    arguments: &[&str],
    change: impl FnOnce(&azure_emulator::Emulator),
) -> Output {
    let emulator = emulator().await;
    change(&emulator);
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &[]);
    let mut command = process::run(&config);
    command.args(arguments);
    process::output(command).await
}

#[tokio::test]
async fn token_prints_what_az_would() {
    let output = with_emulator(&["token", "fhir"], |_| ()).await;
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["tokenType"], "Bearer");
    assert_eq!(answer["tenant"], TENANT);
    assert!(
        answer["accessToken"]
            .as_str()
            .expect("text")
            .starts_with("ey")
    );
    let keys: Vec<&String> = answer.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        [
            "accessToken",
            "expiresOn",
            "expires_on",
            "tenant",
            "tokenType"
        ]
    );
    assert!(answer["expires_on"].is_u64());
    let local = answer["expiresOn"].as_str().expect("text");
    let shape: String = local
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00 00:00:00.000000");
    assert!(local.ends_with(".000000"), "{local}");
}

#[tokio::test]
async fn token_prints_it_raw() {
    let output = with_emulator(&["token", "dicom", "--output", "raw"], |_| ()).await;
    assert_eq!(output.status.code(), Some(0));
    let token = text(&output.stdout);
    assert_eq!(token.trim_end().split('.').count(), 3);
    assert_eq!(token.lines().count(), 1);
    assert!(token.ends_with('\n'));
}

#[tokio::test]
async fn token_for_an_unknown_route_is_bad_usage() {
    let output = with_emulator(&["token", "nowhere"], |_| ()).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let error = text(&output.stderr);
    assert!(
        error.contains("`nowhere`") && error.contains("dicom, fhir"),
        "{error}"
    );
}

#[tokio::test]
async fn token_names_the_subscription_that_it_was_asked_for_with() {
    let emulator = emulator().await;
    let az = FakeAz::new(&emulator, "answer");
    for (keys, expected) in [
        (
            format!("subscription = \"{SUBSCRIPTION}\""),
            Some(SUBSCRIPTION),
        ),
        ("subscription = \"my sub\"".to_owned(), None),
    ] {
        let files = tempfile::tempdir().expect("a folder");
        let config = write_config(&emulator, &files, &az.lines(&keys));
        let mut command = process::run(&config);
        command.args(["token", "fhir"]);
        let output = process::output(command).await;
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(answer["subscription"].as_str(), expected, "{keys}");
    }
}

#[tokio::test]
async fn token_does_not_promise_to_try_again() {
    let output = with_emulator(&["token", "fhir"], |emulator| {
        emulator
            .entra()
            .faults()
            .always(Fault::respond(500, "hunter2"));
    })
    .await;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "error: the token endpoint responded with 500. Try again in a moment.\n"
    );
}

#[tokio::test]
async fn token_that_cannot_be_had_fails() {
    let output = with_emulator(&["token", "fhir"], |emulator| {
        emulator.entra().faults().always(Fault::Unauthorized);
    })
    .await;
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let error = text(&output.stderr);
    assert!(error.contains("AADSTS7000215"), "{error}");
}

async fn health(admin: &str) -> Output {
    let arguments = ["healthcheck", "--admin", admin];
    process::output(process::command(&arguments)).await
}

#[tokio::test]
async fn healthcheck_tells_ready_from_not_ready() {
    let scene = Scene::start(&[], &[]).await;
    let (_, admin) = scene.process.addresses().await;
    client::until(admin, "/readyz", |answer| answer.status == 200).await;
    let output = health(&admin.to_string()).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));

    drop(scene);
    let output = health(&admin.to_string()).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no response from"));
}

#[tokio::test]
async fn healthcheck_tells_another_program_from_the_proxy() {
    let other =
        Scripted::answering("HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nabsent").await;
    let output = health(&other.address().to_string()).await;
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("is not an ahds-proxy"), "{error}");
}

#[tokio::test]
async fn healthcheck_repeats_the_reasons() {
    let emulator = emulator().await;
    emulator.entra().faults().always(Fault::Unauthorized);
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &[]);
    let process = Process::start(process::run(&config));
    let (_, admin) = process.addresses().await;
    client::until(admin, "/readyz", |answer| answer.text().contains("AADSTS")).await;
    let output = health(&admin.to_string()).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("AADSTS7000215"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(health("off").await.status.code(), Some(2));
    assert_eq!(health("nonsense").await.status.code(), Some(2));
}

#[tokio::test]
async fn version_is_printed() {
    let output = process::output(process::command(&["--version"])).await;
    assert_eq!(output.status.code(), Some(0));
    let expected = format!("ahds-proxy {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&output.stdout), expected);
}

/// The URL of each `curl` line, without quotes.
fn urls(invitation: &str) -> Vec<String> {
    invitation
        .split(|c: char| c.is_whitespace() || c == '\'')
        .filter(|word| word.starts_with("http://"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn demo_needs_nothing_and_its_examples_work() {
    let mut command =
        process::command(&["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    // Of another project, and not even there.
    command.env("AHDS_PROXY_CONFIG", "/nowhere/other.toml");
    command.env(
        "AHDS_PROXY_FHIR",
        "https://other.fhir.azurehealthcareapis.com",
    );
    let mut process = Process::start(command);
    let invitation = process
        .until_stdout(|text| text.contains("Stop with").then(|| text.to_owned()))
        .await;
    let urls = urls(&invitation);
    assert!(urls.len() >= 6, "{invitation}");
    for url in &urls {
        let (authority, path) = url["http://".len()..].split_once('/').expect("a path");
        let port = authority.rsplit(':').next().expect("a port");
        let address: SocketAddr = format!("127.0.0.1:{port}").parse().expect("an address");
        let answer = client::get(address, &format!("/{path}")).await;
        assert_eq!(answer.status, 200, "{url}");
    }
    let post = urls
        .iter()
        .filter(|url| url.ends_with("/fhir/Patient"))
        .count();
    assert_eq!(post, 2, "{invitation}");
    process.signal(Signal::INT);
    let ended = tokio::time::timeout(Duration::from_secs(20), process.ended()).await;
    assert_eq!(ended.expect("ended in time").code(), Some(0));
}

/// Taken in silence, a file would seem to be in force: its TLS, its credentials.
#[tokio::test]
async fn demo_refuses_what_it_would_not_use() {
    let unused = [
        ("--config", "/nowhere/other.toml"),
        ("--fhir", "https://other.fhir.azurehealthcareapis.com"),
        ("--dicom", "https://other.dicom.azurehealthcareapis.com"),
        ("--credential", "azure-cli"),
    ];
    let free = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let refused = |arguments: Vec<&'static str>| async move {
        let mut process = Process::start(process::command(&[&arguments, &free[..]].concat()));
        assert_eq!(process.ended().await.code(), Some(2), "{arguments:?}");
        assert_eq!(process.stdout(), "", "{arguments:?}");
        process.stderr()
    };
    for (flag, value) in unused {
        for arguments in [vec!["demo", flag, value], vec![flag, value, "demo"]] {
            let said = refused(arguments).await;
            for part in [
                &format!("--> {flag}\n"),
                "the demo has its own services",
                "ahds-proxy run",
                "1 problem;",
            ] {
                assert!(said.contains(part), "{part} in {said}");
            }
        }
    }
    let said = refused(vec!["demo", "-c", "x.toml", "--fhir", "https://x"]).await;
    assert!(said.contains("2 problems;"), "{said}");

    let help = process::output(process::command(&["demo", "--help"])).await;
    let help = text(&help.stdout);
    for (flag, _) in unused {
        assert!(!help.contains(flag), "{flag} in {help}");
    }
    for flag in ["--listen", "--admin", "--log", "--log-format"] {
        assert!(help.contains(flag), "{flag} in {help}");
    }
}
