//! SIGHUP with a file that is valid by itself, and that the listeners which are bound already must not
//! serve: all of it is refused.

use std::net::SocketAddr;

use rustix::process::Signal;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use super::emulator;
use crate::{
    support::{
        PATIENCE, client,
        process::{self, Process},
        scripted::route_to,
        tls::{Authority, open},
        write_config,
    },
    tls::files::{addresses, write},
};

const TLS: &str = "tls = { certificate = \"server.pem\", key = \"server.key\" }";

fn get(host: &str) -> String {
    format!("GET /fhir/metadata HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

/// All that comes back for a request.
async fn received(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    let mut received = Vec::new();
    // A server that refuses the client's certificate may say so here or there.
    if stream.write_all(request.as_bytes()).await.is_ok() {
        let read = timeout(PATIENCE, stream.read_to_end(&mut received)).await;
        let _ = read.expect("an end in time");
    }
    String::from_utf8_lossy(&received).into_owned()
}

/// Sends SIGHUP; the reason for which the process keeps its old configuration.
async fn refusal(process: &Process) -> String {
    let told = process.stderr().len();
    process.signal(Signal::HUP);
    let outcome = process.until_stderr(move |log| {
        let mut lines = log[told..].lines();
        let line = lines.find(|line| {
            line.contains("the old configuration keeps serving")
                || line.contains("configuration reloaded")
        });
        line.map(str::to_owned)
    });
    let line = outcome.await;
    assert!(line.contains("keeps serving"), "{line}");
    assert!(line.contains("ERROR") && line.contains("restart"), "{line}");
    line
}

#[tokio::test]
async fn listeners_for_other_machines_keep_demanding_certificates() {
    let emulator = emulator().await;
    let authority = Authority::new();
    let files = tempfile::tempdir().expect("a folder");
    write(files.path(), &authority.leaf());
    std::fs::write(files.path().join("clients.pem"), &authority.pem).expect("written");
    let remote = TLS.replace(" }", ", client_ca = \"clients.pem\" }") + "\nallow_remote = true";
    let config = write_config(&emulator, &files, &[("security", remote)]);
    let process = Process::start(process::run(&config));
    let (address, admin) = addresses(&process).await;
    client::until(admin, "/readyz", |response| response.status == 200).await;

    write_config(&emulator, &files, &[("security", TLS.to_owned())]);
    let reason = refusal(&process).await;
    assert!(reason.contains("client_ca"), "{reason}");
    if let Ok(stream) = open(address, authority.client(&["http/1.1"], None)).await {
        assert_eq!(received(stream, &get("localhost")).await, "");
    }
    let own = authority.leaf();
    let stream = open(address, authority.client(&["http/1.1"], Some(&own))).await;
    let answer = received(stream.expect("a handshake"), &get("localhost")).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn listeners_without_tls_take_no_name_that_needs_it() {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    write(files.path(), &Authority::new().leaf());
    let config = write_config(&emulator, &files, &[]);
    let process = Process::start(process::run(&config));
    let (address, admin) = process.addresses().await;
    client::until(admin, "/readyz", |response| response.status == 200).await;

    let security = format!("{TLS}\nallowed_hosts = [\"pc.example\"]");
    write_config(&emulator, &files, &[("security", security)]);
    let reason = refusal(&process).await;
    assert!(reason.contains("pc.example"), "{reason}");
    for (host, status) in [("pc.example", "421"), ("localhost", "200")] {
        let stream = tokio::net::TcpStream::connect(address).await;
        let answer = received(stream.expect("it accepts"), &get(host)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_route_to_a_listener_that_is_to_go_is_refused() {
    let emulator = emulator().await;
    let files = tempfile::tempdir().expect("a folder");
    let config = write_config(&emulator, &files, &[]);
    let process = Process::start(process::run(&config));
    let (address, admin): (SocketAddr, SocketAddr) = process.addresses().await;
    client::until(admin, "/readyz", |response| response.status == 200).await;

    for own in [address, admin] {
        write_config(&emulator, &files, &[("routes.plain", route_to(own))]);
        let reason = refusal(&process).await;
        assert!(reason.contains("routes.plain.upstream"), "{reason}");
        let plain = client::get(address, "/plain/Patient").await;
        assert_eq!(plain.status, 404, "{plain:?}");
        assert_eq!(client::get(address, "/fhir/metadata").await.status, 200);
    }
}
