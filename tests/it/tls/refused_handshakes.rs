//! Handshakes that the proxy refuses: the alert that the client gets, and the log line.

use std::path::Path;

use rustls::{AlertDescription, ClientConfig, Error};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::files::{emulator, write};
use crate::support::{
    PATIENCE,
    process::{self, Process},
    tls::{Authority, Leaf, open},
    write_config,
};

/// More than the sockets take, so that the proxy is refusing while the client still sends.
const LARGE: usize = 8 << 20;

/// A proxy that demands certificates of `clients`, logging as it does by default.
async fn start(server: &Leaf, clients: &Authority, folder: &tempfile::TempDir) -> Process {
    let emulator = emulator().await;
    let tls =
        "tls = { certificate = \"server.pem\", key = \"server.key\", client_ca = \"clients.pem\" }";
    let config = write_config(&emulator, folder, &[("security", tls.to_owned())]);
    write(folder.path(), server);
    store(folder.path(), clients);
    let mut command = process::run(&config);
    command.env_remove("RUST_LOG");
    Process::start(command)
}

fn store(folder: &Path, clients: &Authority) {
    std::fs::write(folder.join("clients.pem"), &clients.pem).expect("written");
}

/// The alert that ends a connection, however much the client has sent by then.
async fn alert(address: std::net::SocketAddr, config: ClientConfig) -> AlertDescription {
    let error = match open(address, config).await {
        Err(error) => error,
        // With TLS 1.3 the client learns of it only when it reads.
        Ok(mut stream) => {
            let sent = timeout(PATIENCE, stream.write_all(&vec![b'x'; LARGE])).await;
            sent.expect("in time").expect("all is taken");
            let read = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
            read.expect("an end in time").expect_err("an alert")
        }
    };
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref());
    match reason {
        Some(Error::AlertReceived(alert)) => *alert,
        _ => panic!("not an alert: {error:?}"),
    }
}

#[tokio::test]
async fn the_client_and_the_log_are_told_why() {
    let (authority, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    for (own, expected, reason) in [
        (
            None,
            AlertDescription::CertificateRequired,
            "the client sent no certificate",
        ),
        (
            Some(others.leaf()),
            AlertDescription::DecryptError,
            "no CA in `security.tls.client_ca` has signed the client's certificate",
        ),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let process = start(&authority.leaf(), &clients, &folder).await;
        let (address, _) = super::files::addresses(&process).await;
        for _ in 0..3 {
            let config = authority.client(&["http/1.1"], own.as_ref());
            assert_eq!(alert(address, config).await, expected);
        }
        let log = process
            .until_stderr(move |log| log.contains(reason).then(|| log.to_owned()))
            .await;
        let told: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("TLS handshake failed"))
            .collect();
        assert_eq!(told.len(), 1, "{log}");
        for part in ["WARN", "remedy=", "security.tls.client_ca"] {
            assert!(told[0].contains(part), "{part} in {}", told[0]);
        }
        assert!(!log.contains("a leaf"), "{log}");
    }
}

/// Not a refusal: load balancers and port scans do so all day.
#[tokio::test]
async fn a_client_that_goes_away_is_not_worth_a_line() {
    let (authority, clients) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder");
    let process = start(&authority.leaf(), &clients, &folder).await;
    let (address, _) = super::files::addresses(&process).await;
    for said in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("open");
        stream.write_all(said).await.expect("sent");
        stream.shutdown().await.expect("an end");
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        let _ = read.expect("an end in time");
    }
    // The next log line counts no suppressed ones.
    alert(address, authority.client(&["http/1.1"], None)).await;
    let log = process
        .until_stderr(|log| log.contains("no certificate").then(|| log.to_owned()))
        .await;
    assert_eq!(log.matches("TLS handshake failed").count(), 1, "{log}");
    assert!(!log.contains("more_since_last"), "{log}");
}
