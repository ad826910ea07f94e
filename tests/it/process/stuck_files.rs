//! Files whose reads hang while the proxy serves: the request path never waits for them.

use std::{fs, path::Path, time::Duration};

use azure_emulator::{Emulator, Options};
use rustix::{
    fs::{CWD, FileType, Mode, mknodat},
    process::Signal,
};

use crate::support::{
    client,
    process::{self, Process},
    write_config,
};

const PATIENT: &str = "/fhir/Patient?_count=1";

/// Puts a pipe that nobody writes to in a file's place.
fn stop_up(path: &Path) {
    fs::remove_file(path).expect("removed");
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
}

#[tokio::test]
async fn a_secret_that_became_a_pipe_fails_its_own_routes_and_nothing_else() {
    let options = Options {
        samples: true,
        // The first token is due for renewal right after it has come.
        token_lifetime: Duration::from_secs(2),
        ..Options::default()
    };
    let emulator = Emulator::start(options).await.expect("started");
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &[]);
    let process = Process::start(process::run(&config));
    let (address, admin) = process.addresses().await;
    client::until(admin, "/readyz", |answer| answer.status == 200).await;

    stop_up(&files.path().join("secret"));
    let answer = client::until(address, PATIENT, |answer| answer.status == 503).await;
    assert!(
        answer.text().contains("not a regular file"),
        "{}",
        answer.text()
    );
    assert_eq!(client::get(admin, "/livez").await.status, 200);
    assert_eq!(client::get(address, "/fhir/metadata").await.status, 200);

    fs::remove_file(files.path().join("secret")).expect("removed");
    write_config(&emulator, &files, &[]);
    client::until(address, PATIENT, |answer| answer.status == 200).await;
}

#[tokio::test]
async fn a_configuration_that_became_a_pipe_holds_up_neither_requests_nor_the_end() {
    for name in ["ahds-proxy.toml", "ca.pem"] {
        let emulator = super::emulator().await;
        let files = tempfile::tempdir().expect("a folder");
        let config = write_config(&emulator, &files, &[]);
        let mut process = Process::start(process::run(&config));
        let (address, admin) = process.addresses().await;
        client::until(admin, "/readyz", |answer| answer.status == 200).await;

        stop_up(&files.path().join(name));
        process.signal(Signal::HUP);
        assert_eq!(client::get(address, PATIENT).await.status, 200, "{name}");
        assert_eq!(client::get(admin, "/livez").await.status, 200, "{name}");
        let refused = |log: &str| log.contains("not a regular file").then_some(());
        process.until_stderr(refused).await;
        // A later signal is heard all the same.
        fs::remove_file(files.path().join(name)).expect("removed");
        write_config(&emulator, &files, &[]);
        process.signal(Signal::HUP);
        let reloaded = |log: &str| log.contains("configuration reloaded").then_some(());
        process.until_stderr(reloaded).await;
        process.signal(Signal::TERM);
        assert_eq!(process.ended().await.code(), Some(0), "{name}");
    }
}
