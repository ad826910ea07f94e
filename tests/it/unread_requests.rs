//! Requests over HTTP/2 that get a response before they were read: the response arrives whole, and
//! no `RST_STREAM` takes it away from a client that is still sending.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::{PATIENCE, Setup, client};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// A client that sends frames one by one (RFC 9113, section 4.1).
struct Frames(TcpStream);

#[derive(Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frames {
    async fn open(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("accepted");
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        stream.write_all(preface).await.expect("sent");
        let mut frames = Self(stream);
        frames.send(SETTINGS, 0, 0, b"").await;
        while frames.next().await.kind != SETTINGS {}
        frames.send(SETTINGS, ACK, 0, b"").await;
        frames
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("a frame's length");
        let mut frame = length.to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        self.0.write_all(&frame).await.expect("sent");
    }

    async fn next(&mut self) -> Frame {
        let read = async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.expect("a frame");
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.0
                .read_exact(&mut payload)
                .await
                .expect("a whole frame");
            Frame {
                kind: head[3],
                flags: head[4],
                stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
                payload,
            }
        };
        timeout(PATIENCE, read).await.expect("a frame in time")
    }

    /// The head of a POST on stream 1, its fields as literals (RFC 7541, section 6.2.2).
    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) {
        let fixed = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "localhost"),
            (":path", path),
        ];
        let mut block = Vec::new();
        for (name, value) in fixed.iter().chain(fields) {
            block.push(0);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).expect("short"));
                block.extend(text.as_bytes());
            }
        }
        self.send(HEADERS, END_HEADERS, 1, &block).await;
    }

    /// Reads until the response has ended; no frame before may reset its stream.
    async fn until_answered(&mut self, what: &str) {
        loop {
            let frame = self.next().await;
            if frame.stream != 1 {
                continue;
            }
            assert_ne!(frame.kind, RST_STREAM, "{what}: {frame:?}");
            if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
                return;
            }
        }
    }

    /// Returns the bytes that came until the proxy acknowledges a ping.
    async fn until_ping(&mut self) -> Vec<Frame> {
        self.send(PING, 0, 0, b"12345678").await;
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await;
            if frame.kind == PING && frame.flags & ACK != 0 {
                return frames;
            }
            frames.push(frame);
        }
    }
}

#[tokio::test]
async fn a_small_request_is_read_to_its_end_whoever_answers_it() {
    let stage = Setup::new()
        .with("limits", "request_body = \"10KiB\"\nrequests = 1")
        .with("routes.dicom", "read_only = true")
        .start()
        .await;
    for (path, fields, what) in [
        ("/nowhere", &[][..], "404"),
        (
            "/fhir/Patient",
            &[("origin", "https://evil.example")][..],
            "403",
        ),
        ("/dicom/v2/studies", &[][..], "403"),
        ("/fhir/Patient", &[("content-length", "20000")][..], "413"),
        ("/fhir/Patient", &[("host", "evil.example")][..], "421"),
        ("/fhir/emulator/early?status=409", &[][..], "the service"),
    ] {
        let mut frames = Frames::open(stage.address()).await;
        frames.post(path, fields).await;
        frames.send(DATA, 0, 1, &[b'x'; 10_000]).await;
        frames.until_answered(what).await;
        frames.send(DATA, END_STREAM, 1, &[b'x'; 10_000]).await;
        let after = frames.until_ping().await;
        let reset = after.iter().find(|frame| frame.kind == RST_STREAM);
        assert!(reset.is_none(), "{what}: {reset:?}");
    }
    for path in ["/livez", "/status"] {
        let mut frames = Frames::open(stage.admin()).await;
        frames.post(path, &[]).await;
        frames.until_answered(path).await;
        frames.send(DATA, END_STREAM, 1, b"x").await;
        let after = frames.until_ping().await;
        let reset = after.iter().find(|frame| frame.kind == RST_STREAM);
        assert!(reset.is_none(), "{path}: {reset:?}");
    }
}

#[tokio::test]
async fn a_large_request_is_reset_without_an_error_after_its_answer() {
    let stage = Setup::new().start().await;
    let mut frames = Frames::open(stage.address()).await;
    frames.post("/nowhere", &[]).await;
    frames.until_answered("404").await;
    // Its window, and what is given back of that.
    for _ in 0..(1 << 20) / 16_384 {
        frames.send(DATA, 0, 1, &[b'x'; 16_384]).await;
    }
    loop {
        let frame = frames.next().await;
        match (frame.kind, frame.stream) {
            (RST_STREAM, 1) => {
                assert_eq!(frame.payload, [0; 4], "NO_ERROR");
                break;
            }
            (WINDOW_UPDATE, 1) => frames.send(DATA, 0, 1, &[b'x'; 16_384]).await,
            _ => {}
        }
    }
    let answer = client::get(stage.address(), "/fhir/metadata").await;
    assert_eq!(answer.status, 200);
}
