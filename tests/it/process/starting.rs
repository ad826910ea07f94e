//! The log lines at the start, and the errors that keep the program from starting.

use std::{io::Read as _, net::TcpListener, process::Stdio};

use azure_emulator::{CLIENT_SECRET, DICOM_AUDIENCE, DICOM_ORIGIN, FHIR_AUDIENCE};

use tokio::time::timeout;

use super::Scene;
use crate::support::{PATIENCE, client, process, terminal, write_config};

#[tokio::test]
async fn the_log_names_version_addresses_and_routes() {
    let scene = Scene::start(&[], &[]).await;
    let (proxy, admin) = scene.process.addresses().await;
    let log = scene
        .process
        .until_stderr(|log| (log.matches("prefix=").count() == 2).then(|| log.to_owned()))
        .await;
    for expected in [
        env!("CARGO_PKG_VERSION"),
        &proxy.to_string(),
        &admin.to_string(),
        FHIR_AUDIENCE,
        DICOM_ORIGIN,
        DICOM_AUDIENCE,
        "credential=default",
        "kind=client-secret",
    ] {
        assert!(log.contains(expected), "{expected} in {log}");
    }
    assert!(!log.contains('\u{1b}'), "colours in a pipe");
}

#[tokio::test]
async fn port_0_takes_a_port_and_tells_it() {
    let scene = Scene::start(&[], &[]).await;
    let (proxy, admin) = scene.process.addresses().await;
    assert_ne!((proxy.port(), admin.port()), (0, 0));
    let patients = client::get(proxy, "/fhir/Patient").await;
    assert_eq!(patients.status, 200);
    assert_eq!(client::get(admin, "/readyz").await.status, 200);
    assert_eq!(scene.process.stdout(), "");
}

#[tokio::test]
async fn every_json_line_is_an_object() {
    let scene = Scene::start(&[], &["--log-format", "json", "--log", "trace"]).await;
    let (proxy, _) = scene.process.addresses().await;
    client::get(proxy, "/fhir/Patient").await;
    let log = scene
        .process
        .until_stderr(|log| log.contains("\"request\"").then(|| log.to_owned()))
        .await;
    for line in log.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(
            event["level"].is_string() && event["message"].is_string(),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_busy_port_ends_the_start_with_its_address() {
    for flag in ["--listen", "--admin"] {
        let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = taken.local_addr().expect("an address").to_string();
        let mut scene = Scene::start(&[], &[flag, &address]).await;
        assert_eq!(scene.process.ended().await.code(), Some(1));
        let log = scene.process.stderr();
        assert!(
            log.contains(&format!("{address} is already in use")),
            "{log}"
        );
        assert!(log.contains(flag), "{log}");
    }
}

#[tokio::test]
async fn no_secret_is_on_the_command_line() {
    let scene = Scene::start(&[], &[]).await;
    scene.process.addresses().await;
    let id = scene.process.id();
    let line = std::fs::read(format!("/proc/{id}/cmdline")).expect("it runs");
    let line = String::from_utf8_lossy(&line).into_owned();
    assert!(line.contains("--config"), "{line}");
    assert!(!line.contains(CLIENT_SECRET), "{line}");
}

/// The output as a terminal shows it, up to a text.
async fn shown(variables: &[(&str, &str)], until: &'static str) -> String {
    let emulator = super::emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    let mut command = process::run(&write_config(&emulator, &files, &[]));
    let (mut shown, end) = terminal::open();
    command.env_remove("NO_COLOR").env("TERM", "xterm");
    command.envs(variables.iter().copied());
    command.stdout(Stdio::null()).stderr(end);
    let mut child = command.spawn().expect("the program starts");
    drop(command);
    // Off this thread, on which the emulator serves.
    let reading = tokio::task::spawn_blocking(move || {
        let mut log = Vec::new();
        while !String::from_utf8_lossy(&log).contains(until) {
            let mut buffer = [0; 4096];
            let read = shown.read(&mut buffer).expect("readable");
            log.extend(&buffer[..read]);
        }
        log
    });
    let log = timeout(PATIENCE, reading)
        .await
        .expect("in time")
        .expect("no panic");
    child.kill().expect("it runs");
    child.wait().expect("its state is known");
    String::from_utf8(log).expect("UTF-8")
}

#[tokio::test]
async fn a_terminal_gets_colours_unless_it_or_its_user_has_none() {
    assert!(shown(&[], "listening").await.contains("\u{1b}["));
    let empty = shown(&[("NO_COLOR", "")], "listening").await;
    assert!(empty.contains("\u{1b}["));
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let log = shown(&[variable], "listening").await;
        assert!(!log.contains('\u{1b}'), "{log}");
    }
}

#[tokio::test]
async fn a_terminal_gets_a_banner_in_place_of_the_first_lines() {
    let log = shown(&[("RUST_LOG", "info")], "shows more.").await;
    let lines: Vec<&str> = log.lines().map(str::trim_end).collect();
    let banner = lines
        .iter()
        .position(|line| line.starts_with("ahds-proxy 0."));
    let banner = &lines[banner.unwrap_or_else(|| panic!("{log}"))..];
    assert!(banner[0].contains("with /"), "{log}");
    let base = banner[2].trim().split("/dicom").next().expect("a URL");
    assert!(base.starts_with("http://localhost:"), "{log}");
    let host = "demo-dicom.dicom.azurehealthcareapis.com";
    assert_eq!(banner[2], format!("  {base}/dicom  ->  https://{host}"));
    let identity = "      as ca11ab1e-0000-4000-8000-00000000d3a0 (client-secret), token until ";
    assert!(banner[3].starts_with(identity), "{log}");
    assert_eq!(banner[7], format!("  curl '{base}/fhir/Patient?_count=5'"));
    assert!(!log.contains("listening"), "{log}");
}
