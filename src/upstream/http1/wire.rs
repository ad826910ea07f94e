//! The bytes of an HTTP/1.1 connection, both ways.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use super::super::stream::Stream;

/// What is read at once at first, and at most.
const FIRST_READ: usize = 16 << 10;
const LARGEST_READ: usize = 64 << 10;
/// What a buffer may keep between two requests.
const KEPT: usize = 16 << 10;

/// A connection that one request at a time uses.
pub(in super::super) struct Wire {
    stream: Stream,
    /// Read, and not taken yet.
    pub(super) received: BytesMut,
    /// Where a request's head is put together, and the frame around a chunk of its body.
    pub(super) framed: Framed,
    read_size: usize,
}

/// Bytes to be written, of which the first may be out already.
#[derive(Default)]
pub(super) struct Framed {
    bytes: Vec<u8>,
    written: usize,
}

impl Framed {
    /// Where more can be added.
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
        })
    }

    /// Whether the next request can go over it: the server has not closed it, nor sent what nobody
    /// asked for.
    pub(in super::super) fn is_idle(&mut self) -> bool {
        if !self.received.is_empty() || self.stream.is_write_closed() {
            return false;
        }
        // Not all that TLS receives is data.
        self.stream.is_silent() || {
            let mut byte = [0];
            let mut byte = ReadBuf::new(&mut byte);
            let mut cx = Context::from_waker(Waker::noop());
            let stream = Pin::new(&mut self.stream);
            stream.poll_read(&mut cx, &mut byte).is_pending()
        }
    }

    /// How long nothing may move.
    pub(super) fn idle_timeout(&self) -> Duration {
        self.stream.idle_timeout()
    }

    /// Gives memory back that the next request may not need.
    pub(super) fn rest(&mut self) {
        if self.read_size > FIRST_READ {
            self.read_size = FIRST_READ;
            self.received = BytesMut::new();
        }
        if self.framed.bytes.capacity() > KEPT {
            self.framed = Framed::default();
        }
    }

    /// Reads more. The connection ended where that is nothing.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.received.reserve(self.read_size);
        let read = pin!(self.stream.read_buf(&mut self.received)).poll(cx);
        let count = ready!(read)?;
        if count >= self.read_size {
            self.read_size = LARGEST_READ.min(self.read_size * 2);
        }
        Poll::Ready(Ok(count))
    }

    /// Writes what is framed, then `data`, then `end`.
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

/// Without the bytes, which are a patient's and hold a token.
impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

/// Says goodbye, where that takes no waiting: TLS wants it (RFC 8446, section 6.1).
impl Drop for Wire {
    fn drop(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ = Pin::new(&mut self.stream).poll_shutdown(&mut cx);
    }
}
