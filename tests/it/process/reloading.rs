//! SIGHUP: the configuration is reloaded, all of it or nothing, and no connection is cut.

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::emulator;
use crate::support::{
    client,
    process::{self, Process},
    write_config,
};

const PATIENT: &str = "/fhir/Patient?_count=1";

fn lines(table: &'static str, lines: &str) -> [(&'static str, String); 1] {
    [(table, lines.to_owned())]
}

#[tokio::test]
async fn a_new_configuration_takes_over_without_cutting_a_connection() {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &[]);
    let mut process = Process::start(process::run(&config));
    let (address, admin) = process.addresses().await;
    client::until(admin, "/readyz", |response| response.status == 200).await;
    let before = emulator.entra().token_requests();
    let mut kept = TcpStream::connect(address).await.expect("accepted");

    write_config(
        &emulator,
        &files,
        &lines("routes.fhir", "prefix = \"/clinic\"\nread_only = true"),
    );
    process.signal(Signal::HUP);
    let reloaded = |log: &str| log.contains("configuration reloaded").then_some(());
    process.until_stderr(reloaded).await;

    let page = client::get(address, "/clinic/Patient?_count=1").await;
    assert_eq!(page.status, 200);
    assert_eq!(client::get(address, PATIENT).await.status, 404);
    let write = client::request(address, "POST", "/clinic/Patient", &[], b"{}").await;
    assert_eq!(write.status, 403);
    let status = client::get(admin, "/status").await;
    assert!(status.text().contains("\"prefix\":\"/clinic\""));
    // Credentials are asked anew.
    assert!(emulator.entra().token_requests() > before);

    let request =
        format!("GET /clinic/metadata HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    kept.write_all(request.as_bytes())
        .await
        .expect("still open");
    let mut answer = Vec::new();
    kept.read_to_end(&mut answer).await.expect("answered");
    assert!(answer.starts_with(b"HTTP/1.1 200"));

    process.signal(Signal::TERM);
    assert!(process.ended().await.success());
}

#[tokio::test]
async fn a_bad_configuration_changes_nothing() {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &[]);
    let process = Process::start(process::run(&config));
    let (address, admin) = process.addresses().await;
    client::until(admin, "/readyz", |response| response.status == 200).await;

    for (table, line, complaint) in [
        (
            "routes.fhir",
            "prefxi = \"/clinic\"",
            "did you mean `prefix`?",
        ),
        ("network", "connect_timeout = \"soon\"", "connect_timeout"),
    ] {
        write_config(&emulator, &files, &lines(table, line));
        process.signal(Signal::HUP);
        let complained = move |log: &str| {
            let (_, after) = log.split_once("the old configuration keeps serving")?;
            after.contains(complaint).then_some(())
        };
        process.until_stderr(complained).await;
        assert_eq!(client::get(address, PATIENT).await.status, 200);
    }
}

#[tokio::test]
async fn a_ca_file_that_is_gone_changes_nothing() {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &[]);
    let process = Process::start(process::run(&config));
    let (address, admin) = process.addresses().await;
    client::until(admin, "/readyz", |response| response.status == 200).await;

    std::fs::remove_file(files.path().join("ca.pem")).expect("removed");
    process.signal(Signal::HUP);
    let complained = |log: &str| {
        log.contains("the old configuration keeps serving")
            .then_some(())
    };
    process.until_stderr(complained).await;
    assert_eq!(client::get(address, PATIENT).await.status, 200);
}

#[tokio::test]
async fn what_takes_a_restart_is_told() {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &[]);
    let process = Process::start(process::run(&config));
    process.addresses().await;

    write_config(&emulator, &files, &lines("shutdown", "drain = \"1s\""));
    process.signal(Signal::HUP);
    let told = |log: &str| {
        let line = log
            .lines()
            .find(|line| line.contains("takes effect after a restart"))?;
        line.contains("shutdown.drain").then_some(())
    };
    process.until_stderr(told).await;
}
