//! Clients that end their sending side before they have their response: one that waits gets it, and
//! nothing before it; one that has left cancels its request at the upstream.

use std::time::Duration;

use azure_emulator::{Fault, Http};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::{PATIENCE, Setup, Stage, client::read_response, tls::Authority};

const VERSIONS: [&str; 2] = ["HTTP/1.1", "HTTP/1.0"];

async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("in time: {what}"))
}

async fn connect(stage: &Stage) -> TcpStream {
    let stream = TcpStream::connect(stage.address()).await;
    stream.expect("the proxy accepts")
}

/// Sends a request and the end of all that is sent, and reads to the end of the connection.
async fn answered(mut stream: impl AsyncRead + AsyncWrite + Unpin, stage: &Stage, request: &str) {
    // The response comes well after the end of the client's bytes.
    let slow = Fault::Delay(Duration::from_millis(1200));
    stage.emulator.fhir().faults().next(1, slow);
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream.shutdown().await.expect("half closed");
    let mut read = Vec::new();
    let ended = in_time(request, stream.read_to_end(&mut read)).await;
    ended.unwrap_or_else(|error| panic!("{error}: {request}"));
    let text = String::from_utf8_lossy(&read);
    let version = VERSIONS.iter().find(|version| request.contains(*version));
    let expected = format!("{} 200 ", version.expect("a version"));
    assert!(text.starts_with(&expected), "{request}: {text}");
    let answer = read_response(&mut &read[..], false).await;
    let length = if request.ends_with("hello") { 5 } else { 0 };
    assert_eq!(answer.json()["body_length"], length, "{request}");
}

/// One without a body and one with.
fn requests(path: &str, version: &str) -> [String; 2] {
    [
        format!("GET {path} {version}\r\nHost: localhost\r\n\r\n"),
        format!("POST {path} {version}\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello"),
    ]
}

/// Sends a request to which the upstream does not respond, and nothing after it.
async fn unanswered(stream: &mut (impl AsyncWrite + Unpin), stage: &Stage, head: &str) {
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.shutdown().await.expect("half closed");
    let traffic = stage.emulator.fhir().traffic();
    in_time("arrived", traffic.until(|now| now.running == 1)).await;
}

async fn cancelled(stage: &Stage, number: u64) {
    let traffic = stage.emulator.fhir().traffic();
    let cancelled = traffic.until(|now| now.running == 0 && now.cancelled == number);
    in_time("cancelled", cancelled).await;
}

fn hang(version: &str) -> String {
    format!("GET /fhir/emulator/hang {version}\r\nHost: localhost\r\n\r\n")
}

#[tokio::test]
async fn a_client_that_waits_gets_its_answer_and_nothing_before_it() {
    for http in [Http::Http1, Http::Http2] {
        let setup = Setup::new().emulator(|options| options.http = http);
        let stage = setup.start().await;
        for version in VERSIONS {
            for request in requests("/fhir/emulator/echo", version) {
                answered(connect(&stage).await, &stage, &request).await;
            }
        }
    }
}

/// `close_notify` ends one direction only (RFC 8446, section 6.1).
#[tokio::test]
async fn a_client_that_waits_gets_its_answer_over_tls() {
    let authority = Authority::new();
    let leaf = authority.leaf();
    let tls = "tls = { certificate = \"server.pem\", key = \"server.key\" }";
    let setup = Setup::new().with("security", tls);
    let setup = setup.file("server.pem", leaf.certificate);
    let stage = setup.file("server.key", leaf.key).start().await;
    for version in VERSIONS {
        for request in requests("/fhir/emulator/echo", version) {
            let stream = authority.connect(stage.address()).await;
            answered(stream, &stage, &request).await;
        }
    }
}

#[tokio::test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "only Linux tells a client that has left from one that waits"
)]
async fn a_client_that_has_left_cancels_its_request() {
    let stage = Stage::start().await;
    for (number, version) in (1..).zip(VERSIONS) {
        let mut stream = connect(&stage).await;
        unanswered(&mut stream, &stage, &hang(version)).await;
        drop(stream);
        cancelled(&stage, number).await;
    }
}

/// Without a FIN before: the end of a process closes its sockets.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_that_is_killed_cancels_its_request() {
    let stage = Stage::start().await;
    for (number, version) in (1..).zip(VERSIONS) {
        let port = stage.address().port();
        let script = format!(
            "exec 3<>/dev/tcp/127.0.0.1/{port}; printf '{}' >&3; read -r -u 3",
            hang(version).replace('\r', "\\r").replace('\n', "\\n")
        );
        let mut command = tokio::process::Command::new("bash");
        let mut client = command.args(["-c", &script]).spawn().expect("bash");
        let traffic = stage.emulator.fhir().traffic();
        in_time("arrived", traffic.until(|now| now.running == 1)).await;
        client.kill().await.expect("killed");
        cancelled(&stage, number).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_client_of_a_unix_socket_that_waits_is_told_from_one_that_has_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("proxy.sock");
    let listen = format!("listen = \"unix:{}\"", path.display());
    let stage = Setup::new().with("routes.fhir", listen).start().await;
    let connect = || tokio::net::UnixStream::connect(&path);
    for (number, version) in (1..).zip(VERSIONS) {
        for request in requests("/emulator/echo", version) {
            answered(connect().await.expect("accepted"), &stage, &request).await;
        }
        let mut stream = connect().await.expect("accepted");
        let head = hang(version).replace("/fhir", "");
        unanswered(&mut stream, &stage, &head).await;
        drop(stream);
        cancelled(&stage, number).await;
    }
}
