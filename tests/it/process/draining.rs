//! Signals: running requests finish, new ones are refused, and nothing lasts for ever.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use super::Scene;
use crate::support::{PATIENCE, Stage, client, frames::Frames};

/// A download whose head has arrived and whose rest the client has not asked for yet. Larger than
/// all the buffers on its way.
const SIZE: u64 = 64 << 20;

async fn download(address: std::net::SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("accepted");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream.readable().await.expect("an answer");
    stream
}

fn stopping(log: &str) -> Option<()> {
    log.contains("stopping").then_some(())
}

#[tokio::test]
async fn both_signals_end_an_idle_program_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut scene = Scene::start(&[], &[]).await;
        let (proxy, _) = scene.process.addresses().await;
        // A connection kept alive does not hold it up.
        let _idle = TcpStream::connect(proxy).await.expect("accepted");
        let start = Instant::now();
        scene.process.signal(signal);
        assert_eq!(scene.process.ended().await.code(), Some(0));
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_download_that_runs_is_finished() {
    let mut scene = Scene::start(&[], &[]).await;
    let (proxy, admin) = scene.process.addresses().await;
    let path = format!("/fhir/emulator/bytes?size={SIZE}");
    let mut stream = download(proxy, &path).await;

    scene.process.signal(Signal::TERM);
    scene.process.until_stderr(stopping).await;
    let ready = client::until(admin, "/readyz", |answer| answer.status == 503).await;
    assert_eq!(ready.text(), "draining\n");
    assert_eq!(client::get(admin, "/livez").await.status, 200);
    let refused = async { while TcpStream::connect(proxy).await.is_ok() {} };
    timeout(PATIENCE, refused).await.expect("refused in time");
    assert!(scene.process.is_running());

    let reading = client::read_response(&mut stream, false);
    let answer = timeout(PATIENCE, reading).await.expect("finished in time");
    assert_eq!(answer.body.len() as u64, SIZE);
    assert_eq!(scene.process.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let mut scene = Scene::start(&[], &[]).await;
    let (proxy, _) = scene.process.addresses().await;
    let _stream = download(proxy, "/fhir/emulator/stall?after=10").await;
    scene.process.signal(Signal::TERM);
    scene.process.until_stderr(stopping).await;
    assert!(scene.process.is_running());
    // Signals that come right after the first count as the same.
    let counts = |log: &str| log.contains("the next stop signal").then_some(());
    scene.process.until_stderr(counts).await;
    let start = Instant::now();
    scene.process.signal(Signal::INT);
    assert_eq!(scene.process.ended().await.code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(10));
    let log = scene.process.stderr();
    assert!(log.contains("stopped at once"), "{log}");
    assert!(log.contains("outcome=\"cut off at shutdown\""), "{log}");
}

#[tokio::test]
async fn one_ctrl_c_that_arrives_twice_lets_requests_finish() {
    let mut scene = Scene::start(&[], &[]).await;
    let (proxy, _) = scene.process.addresses().await;
    let path = format!("/fhir/emulator/bytes?size={SIZE}");
    let mut stream = download(proxy, &path).await;
    scene.process.signal(Signal::INT);
    scene.process.until_stderr(stopping).await;
    scene.process.signal(Signal::INT);

    let reading = client::read_response(&mut stream, false);
    let answer = timeout(PATIENCE, reading).await.expect("finished in time");
    assert_eq!(answer.body.len() as u64, SIZE);
    assert_eq!(scene.process.ended().await.code(), Some(0));
}

#[tokio::test]
async fn what_outlasts_the_drain_time_is_cut_off() {
    let lines = [("shutdown", "drain = \"500ms\"".to_owned())];
    let mut scene = Scene::start(&lines, &[]).await;
    let (proxy, _) = scene.process.addresses().await;
    let _stream = download(proxy, "/fhir/emulator/stall?after=10").await;
    scene.process.signal(Signal::TERM);
    assert_eq!(scene.process.ended().await.code(), Some(0));
    let log = scene.process.stderr();
    assert!(log.contains("the drain time is over"), "{log}");
    let requests = log.matches("resource=").count();
    assert_eq!(requests, 1, "its one event is written all the same: {log}");
    assert!(log.contains("outcome=\"cut off at shutdown\""), "{log}");
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_up_the_end() {
    let stage = Stage::start().await;
    let mut stream = TcpStream::connect(stage.address())
        .await
        .expect("the proxy accepts");
    let request = b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    assert_eq!(client::read_response(&mut stream, false).await.status, 200);
    // Well below the time that a client which is still sending is listened to.
    let stopped = timeout(Duration::from_secs(3), stage.proxy.stop()).await;
    assert!(stopped.is_ok(), "the proxy waits for an idle client");
}

/// Far below the drain time, and above what a client gets that has yet to acknowledge the end.
const SOON: Duration = Duration::from_secs(10);

async fn open(stage: &Stage, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(stage.address())
        .await
        .expect("the proxy accepts");
    stream.write_all(sent).await.expect("sent");
    stream
}

#[tokio::test]
async fn a_request_that_has_not_all_come_does_not_hold_up_the_end() {
    let stage = Stage::start().await;
    let _half = open(&stage, b"GET /fhir/metadata HTTP/1.1\r\nHost:").await;
    let request = b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut kept = open(&stage, request).await;
    assert_eq!(client::read_response(&mut kept, false).await.status, 200);
    kept.write_all(b"GET /fhir").await.expect("sent");
    // The proxy has read both once it has responded to this one.
    let mut last = open(&stage, request).await;
    assert_eq!(client::read_response(&mut last, false).await.status, 200);
    let stopped = timeout(SOON, stage.proxy.stop()).await;
    assert!(stopped.is_ok(), "the proxy waits for the rest of a head");
}

#[tokio::test]
async fn an_http2_client_that_reads_nothing_does_not_hold_up_the_end() {
    let stage = Stage::start().await;
    let stream = TcpStream::connect(stage.address()).await;
    let silent = Frames::connect(stream.expect("the proxy accepts")).await;
    silent.readable().await;
    let stopped = timeout(SOON, stage.proxy.stop()).await;
    assert!(stopped.is_ok(), "the proxy waits for an acknowledgement");
}

#[tokio::test]
async fn a_request_whose_rest_comes_as_the_proxy_stops_is_answered() {
    let stage = Stage::start().await;
    let request = b"GET /fhir/metadata HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut stream = open(&stage, &request[..20]).await;
    let ready = client::get(stage.admin(), "/readyz").await;
    assert_eq!(ready.status, 200);
    let answer = async {
        stream.write_all(&request[20..]).await.expect("sent");
        client::read_response(&mut stream, false).await
    };
    let (answer, ()) = timeout(PATIENCE, async { tokio::join!(answer, stage.proxy.stop()) })
        .await
        .expect("an answer in time");
    assert_eq!(answer.status, 200);
}
