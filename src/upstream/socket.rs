//! A TCP stream that reports the end of a connection to the reader only.
//!
//! A server that responds to an upload early and closes makes further writes fail, while its
//! response waits in the receive buffer. An error from the write would discard that response (RFC
//! 9112, section 9.5: a client should look for a response). So a failed write counts as written,
//! the rest is dropped, and the next read returns the response, or the end of the connection.
//!
//! Large responses are read ahead: rustls asks for 4 KiB at a time, and a system call costs more
//! than a copy.

use std::{
    io::{self, Read as _},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BytesMut};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    is_write_closed: bool,
    /// Bytes read ahead of their reader. The buffer has memory only while a large response comes.
    ahead: BytesMut,
    /// The last read filled its buffer, so more bytes have probably been received.
    has_more: bool,
    /// The other side sends no more.
    has_ended: bool,
}

const READ_AHEAD: usize = 32 << 10;

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            is_write_closed: false,
            ahead: BytesMut::new(),
            has_more: false,
            has_ended: false,
        }
    }

    /// Whether the other side no longer takes the bytes that are written.
    pub(super) fn is_write_closed(&self) -> bool {
        self.is_write_closed
    }

    /// Whether all received bytes that are known have been read.
    pub(super) fn is_quiet(&self) -> bool {
        let readable = self.stream.try_io(Interest::READABLE, || Ok(()));
        self.ahead.is_empty() && !self.has_ended && readable.is_err()
    }

    /// Reads the bytes that have been received by now, by one system call. The runtime only knows
    /// of bytes that came before it last polled the system.
    pub(super) fn look(&mut self) {
        let mut received = [0; 512];
        match (&*SockRef::from(&self.stream)).read(&mut received) {
            Ok(0) => self.has_ended = true,
            Ok(count) => self.ahead.extend_from_slice(&received[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.is_write_closed = true,
        }
    }

    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ahead.reserve(READ_AHEAD);
        let read = pin!(self.stream.read_buf(&mut self.ahead)).poll(cx);
        self.has_more = !self.ahead.is_empty();
        if !self.has_more {
            // Freed, so that the next connection can use the memory while it is in the processor's
            // cache.
            self.ahead = BytesMut::new();
        }
        read.map_ok(|_| ())
    }

    /// Turns a write to a closed connection into one that took all `length` bytes.
    fn overlook(
        &mut self,
        written: Poll<io::Result<usize>>,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Err(error)) if is_closed(&error) => {
                self.is_write_closed = true;
                Poll::Ready(Ok(length))
            }
            written => written,
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            // Windows reports this one after the other side has left (WSAECONNABORTED).
            | io::ErrorKind::ConnectionAborted
    )
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_more && self.ahead.is_empty() {
            ready!(self.poll_read_ahead(cx))?;
        }
        if !self.ahead.is_empty() {
            let length = self.ahead.len().min(buf.remaining());
            buf.put_slice(&self.ahead[..length]);
            self.ahead.advance(length);
            return Poll::Ready(Ok(()));
        }
        if self.has_ended {
            return Poll::Ready(Ok(()));
        }
        let room = buf.remaining();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.has_more = room > 0 && buf.remaining() == 0;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.is_write_closed {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.overlook(written, buf.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // TLS usually writes one record at a time, and `send` costs less than `writev`.
        if let [buf] = bufs {
            return self.poll_write(cx, buf);
        }
        let length = bufs.iter().map(|buf| buf.len()).sum();
        if self.is_write_closed {
            return Poll::Ready(Ok(length));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.overlook(written, length)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
