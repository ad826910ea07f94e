//! One end of an HTTP/2 connection, frame by frame (RFC 9113, section 4): it does what no library
//! would do for a test.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const PRIORITY: u8 = 0x20;
const ACK: u8 = 1;
const INITIAL_WINDOW_SIZE: u16 = 4;
/// More than any test sends.
const WINDOW: u32 = 1 << 24;

/// Error codes (RFC 9113, section 7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// A connection whose frames a test reads and writes.
#[derive(Debug)]
pub(crate) struct Frames<S = TcpStream> {
    stream: S,
    buffer: BytesMut,
}

impl Frames {
    /// Waits until the other end has sent something.
    pub(crate) async fn readable(&self) {
        self.stream.readable().await.expect("an open connection");
    }

    /// Exchanges the prefaces, and opens windows that no test fills.
    pub(crate) async fn accept(mut stream: TcpStream) -> Self {
        let mut preface = [0; PREFACE.len()];
        stream.read_exact(&mut preface).await.expect("a preface");
        assert_eq!(preface, PREFACE);
        let mut frames = Self {
            stream,
            buffer: BytesMut::new(),
        };
        let mut settings = BytesMut::new();
        settings.put_u16(INITIAL_WINDOW_SIZE);
        settings.put_u32(WINDOW);
        frames.send(SETTINGS, 0, 0, &settings).await;
        frames
            .send(WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes())
            .await;
        frames
    }
}

/// A response, without its headers.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) stream: u32,
    /// `None` where the static table of HPACK has no entry for it.
    pub(crate) status: Option<u16>,
    pub(crate) body: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    /// The client's end: sends its preface.
    pub(crate) async fn connect(mut stream: S) -> Self {
        stream.write_all(PREFACE).await.expect("an open connection");
        let mut frames = Self {
            stream,
            buffer: BytesMut::new(),
        };
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames
    }

    /// The next response that is whole.
    pub(crate) async fn response(&mut self) -> Response {
        let mut status = None;
        let mut body = BytesMut::new();
        loop {
            let (kind, flags, stream, payload) = self.next().await.expect("a response");
            match kind {
                SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).await,
                HEADERS => {
                    // RFC 7541, section 6.1; a size update may come before it.
                    let entry = payload.iter().find(|byte| **byte & 0xe0 != 0x20);
                    status = match entry {
                        Some(0x88) => Some(200),
                        Some(0x8c) => Some(400),
                        _ => None,
                    };
                }
                DATA => body.extend_from_slice(&payload),
                RST_STREAM | GOAWAY => panic!("{payload:?} instead of a response"),
                _ => {}
            }
            if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
                let body = body.freeze();
                return Response {
                    stream,
                    status,
                    body,
                };
            }
        }
    }

    /// The stream and the body of the next request that is whole; `None` at the connection's end.
    pub(crate) async fn request(&mut self) -> Option<(u32, Bytes)> {
        let mut body = BytesMut::new();
        loop {
            let (kind, flags, stream, payload) = self.next().await?;
            match kind {
                SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).await,
                DATA => body.extend_from_slice(&payload),
                _ => {}
            }
            if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
                return Some((stream, body.freeze()));
            }
        }
    }

    /// The stream of the next request, whose body may still be coming.
    pub(crate) async fn head(&mut self) -> Option<u32> {
        loop {
            let (kind, flags, stream, _) = self.next().await?;
            match kind {
                SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).await,
                HEADERS => return Some(stream),
                _ => {}
            }
        }
    }

    /// Responds without a body.
    pub(crate) async fn answer(&mut self, stream: u32, status: u16) {
        // HPACK: a literal value for entry 8 of the static table, `:status` (RFC 7541, section 6.2.2).
        let block = format!("\x08\x03{status}");
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, block.as_bytes())
            .await;
    }

    /// Responds with a body of this length, and says that it has ended in a frame of its own, as nginx
    /// does.
    pub(crate) async fn answer_and_end(&mut self, stream: u32, body: &str) {
        // HPACK: entry 8, `:status: 200`, and a literal value for entry 28, `content-length`.
        let length = body.len().to_string();
        let mut block = b"\x88\x0f\x0d".to_vec();
        block.push(u8::try_from(length.len()).expect("a short length"));
        block.extend_from_slice(length.as_bytes());
        self.send(HEADERS, END_HEADERS, stream, &block).await;
        self.send(DATA, 0, stream, body.as_bytes()).await;
        self.send(DATA, END_STREAM, stream, &[]).await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, code: u32) {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes()).await;
    }

    /// Says that no stream above `last` was processed.
    pub(crate) async fn go_away(&mut self, last: u32, code: u32) {
        let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
        self.send(GOAWAY, 0, 0, &payload).await;
    }

    async fn next(&mut self) -> Option<(u8, u8, u32, Bytes)> {
        loop {
            if let Some(mut head) = self.buffer.get(..9) {
                let length = usize::try_from(head.get_uint(3)).expect("24 bits");
                let (kind, flags, stream) = (head.get_u8(), head.get_u8(), head.get_u32());
                if self.buffer.len() >= 9 + length {
                    self.buffer.advance(9);
                    let payload = self.buffer.split_to(length).freeze();
                    return Some((kind, flags, stream, payload));
                }
            }
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
    }

    pub(crate) async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = BytesMut::new();
        frame.put_uint(payload.len() as u64, 3);
        frame.put_u8(kind);
        frame.put_u8(flags);
        frame.put_u32(stream);
        frame.put_slice(payload);
        // The proxy may have gone already; what it made of that is the test's business.
        let _ = self.stream.write_all(&frame).await;
    }
}
