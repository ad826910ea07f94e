//! Clients that send or take a byte now and then: they do not keep a place for ever.
//!
//! Minutes pass by a clock that the tests move. A thread that waits keeps tokio from moving it.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::mpsc,
    task::{Context, Poll},
    time::Duration,
};

use azure_emulator::Http;
use bytes::Bytes;
use http_body::{Body, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::mpsc::{Receiver, channel},
    time::{advance, pause, resume},
};

use crate::support::{Setup, Stage, client};

const UPLOAD: &[u8] =
    b"POST /fhir/emulator/count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";

/// A clock that only [`advance`] moves, until dropped.
struct Clock(Option<mpsc::Sender<()>>);

impl Clock {
    fn stop() -> Self {
        pause();
        let (sender, receiver) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || receiver.recv());
        Self(Some(sender))
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.0.take();
        resume();
    }
}

/// A body of the bytes that are sent into it.
struct Sent(Receiver<&'static str>);

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.0.poll_recv(cx);
        data.map(|data| data.map(|data| Ok(Frame::data(data.into()))))
    }
}

/// Lets every task do what there is to do. There is no event for what must not happen.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Moves the clock by so many seconds, with time for pings in between.
async fn pass(seconds: u64) {
    for _ in 0..seconds {
        settle().await;
        advance(Duration::from_secs(1)).await;
    }
    settle().await;
}

/// Waits until so many bytes have come to the service.
async fn until_arrived(stage: &Stage, bytes: usize) {
    let traffic = stage.emulator.fhir().traffic();
    while traffic
        .last()
        .is_none_or(|request| request.body.len() < bytes)
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_upload_of_a_byte_a_minute_ends_with_408_and_frees_its_place() {
    for http in [Http::Http1, Http::Http2] {
        let stage = Setup::new()
            .emulator(|options| options.http = http)
            .with("limits", "requests = 1")
            .start()
            .await;
        let mut stream = TcpStream::connect(stage.address()).await.expect("accepted");
        stream.write_all(UPLOAD).await.expect("sent");
        stream.write_all(b"x").await.expect("sent");
        until_arrived(&stage, 1).await;
        let clock = Clock::stop();
        pass(30).await;
        stream.write_all(b"x").await.expect("sent");
        until_arrived(&stage, 2).await;
        pass(31).await;
        let answer = client::read_response(&mut stream, false).await;
        assert_eq!(answer.status, 408, "{http:?}");
        let proxy_status = answer.header("proxy-status");
        assert_eq!(proxy_status, Some("ahds-proxy; error=http_request_error"));
        assert_eq!(answer.json()["issue"][0]["code"], "timeout");
        drop(clock);
        let next = client::get(stage.address(), "/fhir/metadata").await;
        assert_eq!(next.status, 200, "{http:?}");
    }
}

#[tokio::test]
async fn an_upload_over_http2_has_the_same_least_rate() {
    let stage = Stage::start().await;
    let stream = TcpStream::connect(stage.address()).await.expect("accepted");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2 with prior knowledge");
    tokio::spawn(connection);
    let (upload, body) = channel(1);
    let request = http::Request::post("http://localhost/fhir/emulator/count")
        .body(Sent(body))
        .expect("a request");
    let answer = tokio::spawn(sender.send_request(request));
    upload.send("x").await.expect("taken");
    until_arrived(&stage, 1).await;
    let _clock = Clock::stop();
    pass(30).await;
    upload.send("x").await.expect("taken");
    until_arrived(&stage, 2).await;
    pass(31).await;
    let answer = answer.await.expect("no panic").expect("an answer");
    assert_eq!(answer.status(), 408);
}

#[tokio::test]
async fn an_upload_of_a_kibibyte_a_second_may_take_its_time() {
    let stage = Stage::start().await;
    let mut stream = TcpStream::connect(stage.address()).await.expect("accepted");
    let head =
        "POST /fhir/emulator/count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 184320\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let _clock = Clock::stop();
    for second in 1..=180 {
        stream.write_all(&[b'x'; 1024]).await.expect("sent");
        // The service remembers 64 KiB.
        until_arrived(&stage, (second * 1024).min(64 << 10)).await;
        pass(1).await;
    }
    let answer = client::read_response(&mut stream, false).await;
    assert_eq!(answer.json()["bytes"], 184_320);
}

/// Its socket takes little at a time, so that each read lets the proxy write a little more.
#[tokio::test]
async fn a_client_that_takes_too_little_of_its_answer_is_cut_off() {
    let stage = Setup::new().with("limits", "requests = 1").start().await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(2048).expect("a small buffer");
    let mut stream = socket.connect(stage.address()).await.expect("accepted");
    let request =
        b"GET /fhir/emulator/bytes?size=1099511627776 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let traffic = stage.emulator.fhir().traffic();
    let mut sent = 0;
    loop {
        settle().await;
        if traffic.bytes_sent() == sent && sent > 0 {
            break;
        }
        sent = traffic.bytes_sent();
    }
    let clock = Clock::stop();
    let mut piece = [0; 1024];
    for _ in 0..4 {
        stream.read_exact(&mut piece).await.expect("readable");
        pass(20).await;
    }
    traffic.until(|now| now.running == 0).await;
    drop(clock);
    let next = client::get(stage.address(), "/fhir/metadata").await;
    assert_eq!(next.status, 200);
}
