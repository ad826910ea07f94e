//! The program behind an HTTP proxy that its environment names.

use azure_emulator::RESOURCE_MANAGER_HOST;
use tempfile::TempDir;

use super::*;
use crate::support::process::{self, Process, text};

/// A proxy with a password, and a configuration that leaves the proxy to the environment.
async fn by_environment() -> (Emulator, Scripted, TempDir) {
    let emulator = emulator().await;
    let proxy = forward_proxy::start(&emulator, Some(AUTHORIZATION)).await;
    let files = tempfile::tempdir().expect("a folder");
    let lines = [("network", "proxy = \"env\"".to_owned())];
    forward_proxy::write_config(&emulator, &files, proxy.address(), &lines);
    (emulator, proxy, files)
}

fn command(files: &TempDir, arguments: &[&str]) -> std::process::Command {
    let mut command = process::run(&files.path().join("ahds-proxy.toml"));
    command.args(arguments);
    command.env("HTTPS_PROXY", format!("http://user:p%40ss@{NAME}"));
    command
}

fn shows_no_password(written: &str) {
    for secret in ["user:", "p%40ss", "p@ss", "dXNlc"] {
        assert!(!written.contains(secret), "{secret} in {written}");
    }
}

#[tokio::test]
async fn the_log_names_the_proxy_of_the_environment_without_its_password() {
    let (emulator, proxy, files) = by_environment().await;
    let mut process = Process::start(command(&files, &[]));
    let (address, _) = process.addresses().await;
    assert_eq!(client::get(address, PATIENTS).await.status, 200);
    let log = process
        .until_stderr(|log| (log.matches("prefix=").count() == 2).then(|| log.to_owned()))
        .await;
    let line = log.lines().find(|line| line.contains("HTTP proxy"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains(&format!("address={NAME}")), "{line}");
    assert!(line.contains("named_by=HTTPS_PROXY"), "{line}");
    assert_eq!(log.matches(&format!(" proxy={NAME}")).count(), 2, "{log}");
    process.signal(rustix::process::Signal::TERM);
    process.ended().await;
    shows_no_password(&process.stderr());
    assert!(targets(&proxy).contains(&connect(FHIR_HOST)));
    assert!(emulator.fhir().traffic().counters().requests > 0);
}

#[tokio::test]
async fn no_proxy_leads_past_the_proxy() {
    let (_emulator, proxy, files) = by_environment().await;
    let mut command = command(&files, &["check", "--online", "--output", "json"]);
    command.env("NO_PROXY", "localhost,*.azurehealthcareapis.com");
    let output = process::output(command).await;
    // Only the proxy knows the addresses.
    let stdout = text(&output.stdout);
    let phrase = format!("the host name {FHIR_HOST} does not resolve");
    assert!(stdout.contains(&phrase), "{stdout}");
    let others = [connect(ENTRA_HOST), connect(RESOURCE_MANAGER_HOST)];
    assert_eq!(targets(&proxy), others);
}

#[tokio::test]
async fn check_shows_the_way_that_is_taken() {
    let (_emulator, proxy, files) = by_environment().await;
    let output = process::output(command(&files, &["check"])).await;
    let stdout = text(&output.stdout);
    assert!(
        stdout.contains(&format!("\nproxy   {NAME} (HTTPS_PROXY)\n")),
        "{stdout}"
    );
    let way = format!("\n        through the proxy {NAME}\n");
    assert_eq!(stdout.matches(&way).count(), 2, "{stdout}");
    shows_no_password(stdout);

    let mut command_with_exceptions = command(&files, &["check"]);
    command_with_exceptions.env("NO_PROXY", FHIR_HOST);
    let output = process::output(command_with_exceptions).await;
    let stdout = text(&output.stdout);
    let way = "\n        direct, without the proxy\n";
    assert_eq!(stdout.matches(way).count(), 1, "{stdout}");

    let output = process::output(command(&files, &["check", "--output", "json"])).await;
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(json["proxy"], NAME);
    assert_eq!(json["routes"][0]["through_proxy"], true);

    let output = process::output(command(&files, &["check", "--online"])).await;
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    let address = proxy.address();
    let dns = format!(
        "fhir   dns            ok       resolved by the proxy {NAME}, which is at {address} \
         (network.resolve)\n"
    );
    assert!(stdout.contains(&dns), "{stdout}");
    let tls = stdout.lines().find(|line| line.starts_with("fhir   tls"));
    let tls = tls.unwrap_or_default();
    assert!(tls.contains(" ok "), "{stdout}");
    assert!(
        tls.ends_with(&format!(", through the proxy {NAME}")),
        "{stdout}"
    );
    shows_no_password(stdout);
    shows_no_password(text(&output.stderr));
}

#[tokio::test]
async fn check_explains_a_proxy_that_fails() {
    let (_emulator, _proxy, files) = by_environment().await;
    for (url, check, detail, remedy) in [
        (
            "http://proxy.invalid:1",
            "dns",
            "the name of the proxy proxy.invalid:1 does not resolve",
            "Check host and port in HTTPS_PROXY",
        ),
        (
            "http://user:hunter2@proxy.corp.example:3128",
            "tls",
            "does not accept the user name and the password in HTTPS_PROXY (status 407)",
            "Correct them there",
        ),
    ] {
        let mut command = command(&files, &["check", "--online", "--output", "json"]);
        command.env("HTTPS_PROXY", url);
        let output = process::output(command).await;
        assert_eq!(output.status.code(), Some(1));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let findings = json.as_array().expect("an array");
        let found = findings
            .iter()
            .find(|one| one["route"] == "fhir" && one["check"] == check);
        let found = found.expect("a finding");
        assert_eq!(found["status"], "failed", "{found}");
        for (key, phrase) in [("detail", detail), ("remedy", remedy)] {
            let text = found[key].as_str().unwrap_or_default();
            assert!(text.contains(phrase), "{phrase} in {found}");
        }
        assert!(!text(&output.stdout).contains("hunter2"));
    }
}
