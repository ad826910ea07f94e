//! The bytes of an HTTP/1.1 connection, in both directions.

use std::{
    fmt,
    future::poll_fn,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt as _, AsyncWrite},
    task::coop::unconstrained,
};

use super::super::stream::Stream;

/// The number of bytes to read at once, at first and at most.
const FIRST_READ: usize = 16 << 10;
const LARGEST_READ: usize = 64 << 10;
/// The memory that a buffer may keep between two requests.
const KEPT: usize = 16 << 10;

/// A connection for one request at a time.
pub(in super::super) struct Wire {
    stream: Stream,
    /// Bytes that were read, but not taken yet.
    pub(super) received: BytesMut,
    /// The buffer for a request's head, and for the frame around a chunk of its body.
    pub(super) framed: Framed,
    read_size: usize,
    holds_back: bool,
}

/// The state of a connection between two requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Condition {
    /// Nothing has been received.
    Quiet,
    /// The server has closed it.
    Closed,
    /// The server has sent bytes that belong to no request.
    Unsolicited,
}

/// The start of the response of a server that closes an idle connection (RFC 9110, section 15.5.9).
const IDLE_TIMEOUTS: [&[u8]; 2] = [b"HTTP/1.1 408", b"HTTP/1.0 408"];

/// Bytes to be written. The first of them may be written already.
#[derive(Default)]
pub(super) struct Framed {
    bytes: Vec<u8>,
    written: usize,
}

impl Framed {
    /// The buffer to add bytes to.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        if !self.has_remaining() {
            self.written = 0;
            self.bytes.clear();
        }
        &mut self.bytes
    }
}

impl Buf for Framed {
    fn remaining(&self) -> usize {
        self.bytes.len() - self.written
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    fn advance(&mut self, count: usize) {
        self.written += count;
    }
}

impl Wire {
    pub(in super::super) fn new(stream: Stream) -> Box<Self> {
        Box::new(Self {
            stream,
            received: BytesMut::new(),
            framed: Framed::default(),
            read_size: FIRST_READ,
            holds_back: false,
        })
    }

    /// Checks whether the next request can use the connection. With `look`, a system call checks
    /// for bytes that the runtime does not know of yet.
    pub(in super::super) fn condition(&mut self, look: bool) -> Condition {
        if self.stream.is_write_closed() {
            return Condition::Closed;
        }
        if look {
            self.stream.look();
        }
        if self.received.is_empty() {
            if self.stream.is_quiet() {
                return Condition::Quiet;
            }
            // TLS also receives records without data. Polled without a coop budget, since an
            // exhausted budget would look like silence.
            let mut cx = Context::from_waker(Waker::noop());
            let received = unconstrained(poll_fn(|cx| self.poll_receive(cx)));
            match pin!(received).poll(&mut cx) {
                Poll::Pending => return Condition::Quiet,
                Poll::Ready(Ok(0) | Err(_)) => return Condition::Closed,
                Poll::Ready(Ok(_)) => {}
            }
        }
        let is_idle_timeout = IDLE_TIMEOUTS
            .iter()
            .any(|start| self.received.starts_with(start));
        if is_idle_timeout {
            Condition::Closed
        } else {
            Condition::Unsolicited
        }
    }

    /// Whether bytes were received, but not taken.
    pub(in super::super) fn has_received(&self) -> bool {
        !self.received.is_empty()
    }

    /// Whether bytes of the last response may still come, so that the connection is held back.
    pub(in super::super) fn holds_back(&self) -> bool {
        self.holds_back
    }

    pub(in super::super) fn set_hold_back(&mut self, holds_back: bool) {
        self.holds_back = holds_back;
    }

    /// The time without a byte after which the stream fails.
    pub(super) fn idle_timeout(&self) -> Duration {
        self.stream.idle_timeout()
    }

    /// Frees memory that the next request may not need.
    pub(super) fn shrink(&mut self) {
        if self.read_size > FIRST_READ {
            self.read_size = FIRST_READ;
            self.received = BytesMut::new();
        }
        if self.framed.bytes.capacity() > KEPT {
            self.framed = Framed::default();
        }
    }

    /// Reads more bytes. Zero means that the connection has ended.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.received.reserve(self.read_size);
        let read = pin!(self.stream.read_buf(&mut self.received)).poll(cx);
        let count = ready!(read)?;
        if count >= self.read_size {
            self.read_size = LARGEST_READ.min(self.read_size * 2);
        }
        Poll::Ready(Ok(count))
    }

    /// Writes the framed bytes, then `data`, then `end`.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        data: &mut impl Buf,
        end: &mut &'static [u8],
    ) -> Poll<io::Result<()>> {
        let mut rest = (&mut self.framed).chain(data).chain(end);
        while rest.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 3];
            let count = rest.chunks_vectored(&mut slices);
            let stream = Pin::new(&mut self.stream);
            let written = match &slices[..count] {
                [slice] => stream.poll_write(cx, slice),
                slices => stream.poll_write_vectored(cx, slices),
            };
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => rest.advance(count),
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
}

/// Omits the bytes, which may contain a token or a patient's data.
impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

/// Sends the TLS `close_notify` (RFC 8446, section 6.1), if the socket takes it at once.
impl Drop for Wire {
    fn drop(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut self.stream).poll_shutdown(&mut cx);
    }
}
