//! Clients that take their time, against the server alone with deadlines of its own.

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ahds_proxy::server::{self, Connections, Handler, Limits, Listener, RequestBody};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::support::{PATIENCE, client};

const HEAD: Duration = Duration::from_millis(400);
const KEEP_ALIVE: Duration = Duration::from_millis(1600);
const WRITE: Duration = Duration::from_millis(400);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Responds to `/endless` without end, and to all else with two bytes.
#[derive(Debug, Clone)]
struct Answers {
    ended: watch::Sender<bool>,
}

struct Endless {
    ended: watch::Sender<bool>,
    is_short: bool,
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.ended.send_replace(true);
    }
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.is_short {
            return Pin::new(&mut Full::<Bytes>::default()).poll_frame(cx);
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 4096])))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_short
    }
}

impl Handler for Answers {
    type Body = Endless;

    async fn handle(self, request: Request<RequestBody>) -> Response<Endless> {
        Response::new(Endless {
            is_short: request.uri().path() != "/endless",
            ended: self.ended,
        })
    }
}

struct Server {
    address: SocketAddr,
    /// A second address of this server.
    second_address: SocketAddr,
    ended: watch::Receiver<bool>,
    _stop: watch::Sender<bool>,
    _serving: JoinSet<()>,
}

async fn start() -> Server {
    start_with(10).await
}

/// Two listeners that share so many connections.
async fn start_with(connections: usize) -> Server {
    let (stop, stopped) = watch::channel(false);
    let (ended, has_ended) = watch::channel(false);
    let limits = Limits {
        head_timeout: HEAD,
        keep_alive: KEEP_ALIVE,
        write_timeout: WRITE,
        max_head: 16 << 10,
    };
    let connections = Connections::new(connections, "None: this is a test.");
    let mut serving = JoinSet::new();
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).await;
        let listener = listener.expect("a free port");
        addresses.push(listener.socket_address().expect("a TCP address"));
        let handler = Answers {
            ended: ended.clone(),
        };
        let connections = connections.clone();
        serving.spawn(server::serve(
            listener,
            handler,
            limits,
            connections,
            stopped.clone(),
            PATIENCE,
        ));
    }
    Server {
        address: addresses[0],
        second_address: addresses[1],
        ended: has_ended,
        _stop: stop,
        _serving: serving,
    }
}

#[tokio::test]
async fn a_listener_that_waits_takes_no_connection_from_another() {
    let server = start_with(1).await;
    let (first, second) = (server.address, server.second_address);
    for address in [first, first, second, second, first, second] {
        assert_eq!(client::get(address, "/").await.status, 200);
    }
}

#[tokio::test]
async fn silence_is_ended_with_silence() {
    let server = start().await;
    let start = Instant::now();
    assert_eq!(client::to_the_end(server.address, b"").await, b"");
    assert!(start.elapsed() >= HEAD, "{:?}", start.elapsed());
}

#[tokio::test]
async fn half_a_head_is_answered_408() {
    let server = start().await;
    for part in [
        "G",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
    ] {
        let start = Instant::now();
        let answer = client::raw(server.address, part.as_bytes()).await;
        assert_eq!(answer.status, 408, "{part:?}");
        assert!(start.elapsed() >= HEAD, "{:?}", start.elapsed());
        assert!(answer.header("proxy-status").is_some());
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        assert_eq!(answer.json()["status"], 408);
    }
}

/// Byte by byte does not keep a connection: the deadline is for the whole head.
#[tokio::test]
async fn a_dripped_head_has_no_more_time() {
    let server = start().await;
    let stream = TcpStream::connect(server.address)
        .await
        .expect("it accepts");
    let (mut reader, mut writer) = stream.into_split();
    let dripping = tokio::spawn(async move {
        let _ = writer.write_all(b"GET / HTTP/1.1\r\nX: ").await;
        while writer.write_all(b"v").await.is_ok() {
            sleep(HEAD / 20).await;
        }
    });
    let start = Instant::now();
    let mut received = [0; 12];
    timeout(PATIENCE, reader.read_exact(&mut received))
        .await
        .expect("an answer in time")
        .expect("an answer");
    assert_eq!(&received, b"HTTP/1.1 408");
    assert!(start.elapsed() < HEAD * 5, "{:?}", start.elapsed());
    dripping.abort();
}

/// Between requests a connection has the longer time, and ends without a word.
#[tokio::test]
async fn an_idle_connection_is_kept_for_a_while() {
    let server = start().await;
    let mut stream = TcpStream::connect(server.address)
        .await
        .expect("it accepts");
    for _ in 0..2 {
        stream.write_all(GET).await.expect("it is still open");
        assert_eq!(client::read_response(&mut stream, false).await.status, 200);
        sleep(HEAD * 2).await;
    }
    let mut rest = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    ended
        .expect("it is closed in time")
        .expect("without a reset");
    assert_eq!(rest, b"", "nobody asked");
}

#[tokio::test]
async fn an_idle_http2_connection_is_kept_as_long() {
    let server = start().await;
    let stream = TcpStream::connect(server.address)
        .await
        .expect("it accepts");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2 with prior knowledge");
    let connection = tokio::spawn(connection);
    for _ in 0..3 {
        let request = Request::get("http://localhost/")
            .body(Full::<Bytes>::default())
            .expect("a valid request");
        let answer = timeout(PATIENCE, sender.send_request(request)).await;
        let answer = answer
            .expect("in time")
            .expect("the connection is still open");
        assert_eq!(answer.status(), 200);
        drop(answer);
        sleep(HEAD * 2).await;
    }
    let ended = timeout(PATIENCE, connection).await;
    let _ = ended.expect("it is closed in time").expect("no panic");
}

/// A client that takes no byte of a response for too long is cut off, and the response is dropped.
#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off() {
    let mut server = start().await;
    let mut stream = TcpStream::connect(server.address)
        .await
        .expect("it accepts");
    stream
        .write_all(b"GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .expect("it reads");
    timeout(PATIENCE, server.ended.wait_for(|ended| *ended))
        .await
        .expect("the answer is given up")
        .expect("the server lives");
    drop(stream);
}

/// A response over HTTP/2 without end, for a client whose window has this many bytes.
async fn endless_http2(server: &Server, window: u32) -> Incoming {
    let stream = TcpStream::connect(server.address)
        .await
        .expect("it accepts");
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .handshake(TokioIo::new(stream))
        .await
        .expect("HTTP/2 with prior knowledge");
    tokio::spawn(connection);
    let request = Request::get("http://localhost/endless")
        .body(Full::<Bytes>::default())
        .expect("a valid request");
    let answer = timeout(PATIENCE, sender.send_request(request)).await;
    let answer = answer.expect("in time").expect("an answer");
    assert_eq!(answer.status(), 200);
    answer.into_body()
}

/// The window is closed, the connection is not: its pings go on.
#[tokio::test]
async fn an_http2_client_that_reads_nothing_is_cut_off() {
    for window in [0, 65_535] {
        let mut server = start().await;
        let start = Instant::now();
        let mut body = endless_http2(&server, window).await;
        timeout(PATIENCE, server.ended.wait_for(|ended| *ended))
            .await
            .expect("the answer is given up")
            .expect("the server lives");
        assert!(start.elapsed() >= WRITE, "{:?}", start.elapsed());
        let rest = async { while let Some(Ok(_)) = body.frame().await {} };
        timeout(PATIENCE, rest).await.expect("the stream is reset");
    }
}

#[tokio::test]
async fn an_http2_client_that_reads_slowly_is_not_late() {
    let server = start().await;
    let start = Instant::now();
    let mut body = endless_http2(&server, 16 << 10).await;
    while start.elapsed() < WRITE * 4 {
        let frame = timeout(PATIENCE, body.frame()).await.expect("in time");
        frame.expect("no end").expect("no reset");
        sleep(WRITE / 8).await;
    }
    assert!(!*server.ended.borrow());
}
