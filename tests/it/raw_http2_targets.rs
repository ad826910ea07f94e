//! Characters in `:path` that belong percent-encoded, in all the ways that HTTP/2 has to send it.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    PATIENCE, Setup, Stage,
    frames::{CONTINUATION, END_HEADERS, END_STREAM, Frames, HEADERS, PADDED, PRIORITY},
    tls::{Authority, open},
};

const WHOLE: u8 = END_STREAM | END_HEADERS;
/// HPACK: the static table's `:method: GET` and `:scheme: http`, or `https`.
const GET: &[u8] = b"\x82\x86";
const GET_OVER_TLS: &[u8] = b"\x82\x87";
/// `:authority: localhost`, a literal of its own.
const AUTHORITY: &[u8] = b"\x01\x09localhost";
const CUT: &str = "/fhir/Observation?code=http://loinc.org#x|8867-4&subject=Patient/1";
const HONEST: &str = "/fhir/Observation?code=http://loinc.org%23x";

/// The representation of a field (RFC 7541, section 6.2): its first byte, with the entry of its
/// name.
const PLAIN: u8 = 0x04;
const NEVER_INDEXED: u8 = 0x14;
const INDEXED: u8 = 0x44;
const BY_INDEX_HTML: u8 = 0x05;

fn literal(first: u8, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).expect("a length of 7 bits");
    [&[first, length], path.as_bytes()].concat()
}

fn block(method: &[u8], path: &[u8]) -> Vec<u8> {
    [method, path, AUTHORITY].concat()
}

/// A client whose streams count up by themselves.
struct Client<S> {
    frames: Frames<S>,
    next: u32,
}

impl Client<TcpStream> {
    async fn of(stage: &Stage) -> Self {
        let stream = TcpStream::connect(stage.address()).await;
        Self::over(stream.expect("the proxy accepts")).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn over(stream: S) -> Self {
        Self {
            frames: Frames::connect(stream).await,
            next: 1,
        }
    }

    /// Sends frames of the next stream, and returns its response.
    async fn ask(&mut self, frames: &[(u8, u8, &[u8])]) -> (Option<u16>, String) {
        for (kind, flags, payload) in frames {
            self.frames.send(*kind, *flags, self.next, payload).await;
        }
        let response = timeout(PATIENCE, self.frames.response()).await;
        let response = response.expect("a response in time");
        assert_eq!(response.stream, self.next);
        self.next += 2;
        let text = String::from_utf8_lossy(&response.body).into_owned();
        (response.status, text)
    }

    async fn ask_block(&mut self, block: &[u8]) -> (Option<u16>, String) {
        self.ask(&[(HEADERS, WHOLE, block)]).await
    }

    /// Sends the target in each way on this connection, an honest one after each.
    async fn try_all(&mut self, stage: &Stage, get: &[u8], path: &str) {
        let plain = block(get, &literal(PLAIN, path));
        let middle = plain.len() / 2;
        let padded = [&[3, 0, 0, 0, 0, 7], &*plain, &[0; 3]].concat();
        let named = [b"\x00\x05:path", &literal(0, path)[1..]].concat();
        let named = block(get, &named);
        let ways: &[&[(u8, u8, &[u8])]] = &[
            &[(HEADERS, WHOLE, &plain)],
            &[(HEADERS, WHOLE, &block(get, &literal(NEVER_INDEXED, path)))],
            &[(HEADERS, WHOLE, &block(get, &literal(BY_INDEX_HTML, path)))],
            &[(HEADERS, WHOLE, &named)],
            &[(HEADERS, WHOLE | PADDED | PRIORITY, &padded)],
            &[
                (HEADERS, END_STREAM, &plain[..middle]),
                (CONTINUATION, 0, &[]),
                (CONTINUATION, END_HEADERS, &plain[middle..]),
            ],
            // With an entry of the dynamic table, and by that alone.
            &[(HEADERS, WHOLE, &block(get, &literal(INDEXED, path)))],
            &[(HEADERS, WHOLE, &block(get, b"\xbe"))],
        ];
        for (number, frames) in ways.iter().enumerate() {
            let hits = stage.upstream_hits();
            let (status, text) = self.ask(frames).await;
            assert_eq!(status, Some(400), "{path} in way {number}: {text}");
            assert!(text.contains("%23"), "{text}");
            assert_eq!(stage.upstream_hits(), hits);
            let (status, text) = self.ask_block(&block(get, &literal(PLAIN, HONEST))).await;
            assert_eq!(status, Some(200), "after {path} in way {number}: {text}");
        }
    }
}

#[tokio::test]
async fn a_raw_number_sign_is_refused_in_whatever_way_it_is_sent() {
    let stage = Stage::start().await;
    for path in [
        CUT,
        "/fhir/Patient#",
        "/fhir/Patient#?name=a",
        "/dicom/v2/studies?a#b",
    ] {
        Client::of(&stage).await.try_all(&stage, GET, path).await;
    }
}

#[tokio::test]
async fn a_huffman_coded_number_sign_is_refused() {
    let stage = Stage::start().await;
    let mut client = Client::of(&stage).await;
    // "/fhir/Patient?a#b" in the code of RFC 7541, Appendix B.
    let coded = b"\x62\x59\xcd\x63\x1a\xc6\x93\x16\xa4\xff\x83\xff\xa8\xff";
    let length = 0x80 | u8::try_from(coded.len()).expect("short");
    for first in [PLAIN, NEVER_INDEXED, INDEXED] {
        let path = [&[first, length], &coded[..]].concat();
        let (status, _) = client.ask_block(&block(GET, &path)).await;
        assert_eq!(status, Some(400));
    }
    assert_eq!(stage.upstream_hits(), 0);
}

#[tokio::test]
async fn a_delete_does_not_reach_further_than_was_asked() {
    let stage = Stage::start().await;
    let mut client = Client::of(&stage).await;
    // HPACK: `:method: DELETE` and `:scheme: http`.
    let delete = b"\x02\x06DELETE\x86";
    let (status, _) = client.ask_block(&block(delete, &literal(PLAIN, CUT))).await;
    assert_eq!(status, Some(400));
    assert_eq!(stage.upstream_hits(), 0);
}

#[tokio::test]
async fn a_raw_number_sign_is_refused_over_tls() {
    let authority = Authority::new();
    let leaf = authority.leaf();
    let stage = Setup::new()
        .with(
            "security",
            "tls = { certificate = \"server.pem\", key = \"server.key\" }",
        )
        .file("server.pem", leaf.certificate)
        .file("server.key", leaf.key)
        .start()
        .await;
    let stream = open(stage.address(), authority.client(&["h2"], None)).await;
    let mut client = Client::over(stream.expect("a handshake")).await;
    client.try_all(&stage, GET_OVER_TLS, CUT).await;
}

#[tokio::test]
async fn a_client_that_sends_many_is_refused_everything() {
    let stage = Stage::start().await;
    let mut client = Client::of(&stage).await;
    for number in 0..33 {
        let path = literal(INDEXED, &format!("/fhir/Patient?_count={number}#"));
        let (status, _) = client.ask_block(&block(GET, &path)).await;
        assert_eq!(status, Some(400));
    }
    let honest = block(GET, &literal(PLAIN, HONEST));
    assert_eq!(client.ask_block(&honest).await.0, Some(400));
    assert_eq!(stage.upstream_hits(), 0);
    let mut other = Client::of(&stage).await;
    assert_eq!(other.ask_block(&honest).await.0, Some(200));
}

#[tokio::test]
async fn a_connection_goes_on_after_a_head_that_is_too_large() {
    let stage = Stage::start().await;
    let stream = TcpStream::connect(stage.address()).await;
    let stream = TokioIo::new(stream.expect("the proxy accepts"));
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let (mut sender, connection) = handshake.await.expect("HTTP/2 with prior knowledge");
    tokio::spawn(connection);
    for (length, status) in [
        (10, StatusCode::OK),
        // Above hyper's own limit, in many frames.
        (150 << 10, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        (10, StatusCode::OK),
    ] {
        let request = Request::get(format!("http://{}{HONEST}", stage.address()))
            .header("x-large", "x".repeat(length))
            .body(Empty::<Bytes>::new());
        let response = sender.send_request(request.expect("a request"));
        let response = timeout(PATIENCE, response).await.expect("in time");
        assert_eq!(response.expect("a response").status(), status, "{length}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_target_that_no_uri_may_be_is_told_in_the_log_without_its_text() {
    use azure_emulator::{Emulator, Options};

    use crate::support::{process, write_config};

    let emulator = Emulator::start(Options::default()).await.expect("started");
    let files = tempfile::tempdir().expect("a folder");
    let program = process::run(&write_config(&emulator, &files, &[]));
    let process = process::Process::start(program);
    let (proxy, _) = process.addresses().await;
    for (number, path) in ["/fhir/Patient?name=<Smith", "/fhir/Patient?name=\"Smith"]
        .into_iter()
        .enumerate()
    {
        let stream = TcpStream::connect(proxy).await.expect("accepted");
        let mut frames = Frames::connect(stream).await;
        let block = block(GET, &literal(PLAIN, path));
        frames.send(HEADERS, WHOLE, 1, &block).await;
        let told = move |log: &str| {
            let lines = log.lines().filter(|line| line.contains("target"));
            let lines: Vec<_> = lines.map(str::to_owned).collect();
            (lines.len() > number).then_some(lines)
        };
        let lines = process.until_stderr(told).await;
        assert!(lines[number].contains("Percent-encode"), "{lines:?}");
    }
    assert!(!process.stderr().contains("Smith"));
}
