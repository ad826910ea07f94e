//! Bodies of any size in constant memory, and bodies that end badly.

use std::{
    io,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;

use super::super::{body::Body, serve::Connection, traffic::Traffic};

/// All streams are cut from this one chunk, over and over. 251 is prime, so that a shift by a
/// power of two shows.
static PATTERN: LazyLock<Bytes> = LazyLock::new(|| {
    (0..251)
        .cycle()
        .take(PATTERN_SIZE)
        .collect::<Vec<u8>>()
        .into()
});

const PATTERN_SIZE: usize = 64 * 1024;

/// The byte that `/emulator/bytes` sends at an offset.
pub fn pattern_byte(offset: u64) -> u8 {
    PATTERN[cut(offset)]
}

/// The place in the pattern that belongs to an offset in a stream.
fn cut(offset: u64) -> usize {
    usize::try_from(offset % PATTERN_SIZE as u64).expect("less than the pattern's length")
}

/// The end of a stream.
enum End {
    /// Ends as announced.
    Clean,
    /// Sends trailers.
    Trailers(HeaderMap),
    /// Nothing, ever.
    Stall,
    /// Cuts the connection, once the bytes have had time to leave.
    Cut(Arc<Connection>, Pin<Box<tokio::time::Sleep>>),
}

pub(super) struct Stream {
    traffic: Traffic,
    offset: u64,
    size: u64,
    chunk: usize,
    /// The length promised to the client; `None` makes HTTP/1.1 use chunks.
    promised: Option<u64>,
    end: End,
}

pub(super) fn bytes(traffic: &Traffic, size: u64, chunk: usize, chunked: bool) -> Stream {
    Stream {
        traffic: traffic.clone(),
        offset: 0,
        size,
        chunk: chunk.clamp(1, PATTERN_SIZE),
        promised: (!chunked).then_some(size),
        end: End::Clean,
    }
}

pub(super) fn stall(traffic: &Traffic, after: u64) -> Stream {
    Stream {
        end: End::Stall,
        ..bytes(traffic, after, usize::MAX, true)
    }
}

pub(super) fn reset(traffic: &Traffic, connection: &Arc<Connection>, after: u64) -> Stream {
    // Long enough for a loopback flush; a client that is slower sees even fewer bytes.
    let flush = Box::pin(tokio::time::sleep(Duration::from_millis(50)));
    Stream {
        end: End::Cut(Arc::clone(connection), flush),
        promised: Some(after + 64 * 1024),
        ..bytes(traffic, after, usize::MAX, false)
    }
}

pub(super) fn trailers() -> Stream {
    let trailers = HeaderMap::from_iter([
        (
            HeaderName::from_static("x-emulator-checksum"),
            HeaderValue::from_static("1234"),
        ),
        (
            HeaderName::from_static("x-emulator-status"),
            HeaderValue::from_static("complete"),
        ),
    ]);
    // These bytes are nobody's measurement, so they are counted nowhere.
    Stream {
        end: End::Trailers(trailers),
        ..bytes(&Traffic::new(0), 1024, usize::MAX, true)
    }
}

pub(super) fn respond(stream: Stream) -> Response<Body> {
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .body(())
        .expect("a valid head");
    if let End::Trailers(trailers) = &stream.end {
        // hyper sends only announced trailers over HTTP/1.1.
        for name in trailers.keys() {
            response
                .headers_mut()
                .append(header::TRAILER, HeaderValue::from(name.clone()));
        }
    }
    response.map(|()| stream.boxed_unsync())
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.offset < self.size {
            let start = cut(self.offset);
            let left = usize::try_from(self.size - self.offset).unwrap_or(usize::MAX);
            let length = left.min(self.chunk).min(PATTERN_SIZE - start);
            self.offset += length as u64;
            self.traffic.sent(length);
            let data = PATTERN.slice(start..start + length);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match &mut self.end {
            End::Clean => Poll::Ready(None),
            End::Trailers(trailers) => {
                let trailers = std::mem::take(trailers);
                self.end = End::Clean;
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            End::Stall => Poll::Pending,
            End::Cut(connection, flush) => {
                if flush.as_mut().poll(context).is_ready() {
                    connection.sever();
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.offset == self.size && matches!(self.end, End::Clean)
    }

    fn size_hint(&self) -> SizeHint {
        self.promised.map_or_else(SizeHint::default, |promised| {
            SizeHint::with_exact(promised.saturating_sub(self.offset))
        })
    }
}
