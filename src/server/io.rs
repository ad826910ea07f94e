//! The byte stream under a connection, with the deadlines that hyper has none for.
//!
//! A client must send its first byte, and then each head, in time; may idle between requests for a
//! while; and must keep taking bytes of its answer. A connection is not closed on a client that is
//! still sending: what is left is read and dropped for a moment, since closing earlier would make
//! the system throw the answer away (RFC 9112, section 9.6).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{Limits, tracked::Active};

/// How long a client that is still sending is listened to after its answer.
const LINGER: Duration = Duration::from_secs(5);

/// What a silent client is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expecting {
    /// The first byte of a request.
    Request,
    /// The rest of a head.
    Head,
    /// Nothing: a request is being answered.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Io<S> {
    stream: S,
    /// Bytes that were read to find out the protocol.
    first: Bytes,
    active: Active,
    limits: Limits,
    /// Whether bytes after a pause begin a head. HTTP/2 has frames of its own at any time.
    reads_heads: bool,
    expecting: Expecting,
    read_deadline: Instant,
    write_deadline: Option<Instant>,
    linger_deadline: Option<Instant>,
    alarm: Pin<Box<Sleep>>,
    ended: bool,
    too_slow: bool,
}

impl<S> Io<S> {
    pub(super) fn new(
        stream: S,
        first: Bytes,
        active: Active,
        limits: Limits,
        is_http2: bool,
        read_deadline: Instant,
    ) -> Self {
        Self {
            stream,
            first,
            active,
            limits,
            reads_heads: !is_http2,
            expecting: if is_http2 {
                Expecting::Request
            } else {
                Expecting::Head
            },
            read_deadline,
            write_deadline: None,
            linger_deadline: None,
            alarm: Box::pin(sleep_until(read_deadline)),
            ended: false,
            too_slow: false,
        }
    }

    /// Whether a head did not come in time.
    pub(super) fn too_slow(&self) -> bool {
        self.too_slow
    }

    /// Ready once `deadline` has passed. One timer serves all deadlines of a connection and is moved
    /// only when it fires or a nearer deadline comes up.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if deadline < self.alarm.deadline() {
            self.alarm.as_mut().reset(deadline);
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn read_some(&mut self) {
        if self.reads_heads && self.expecting == Expecting::Request {
            self.expecting = Expecting::Head;
            self.read_deadline = Instant::now() + self.limits.head_timeout;
        }
    }

    /// Called when there is nothing to read: is the client late?
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.active.poll_idle(cx).is_pending() {
            self.expecting = Expecting::Nothing;
            return Poll::Pending;
        }
        if self.expecting == Expecting::Nothing {
            self.expecting = Expecting::Request;
            self.read_deadline = Instant::now() + self.limits.keep_alive;
        }
        self.poll_deadline(cx, self.read_deadline)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Io<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.first.is_empty() {
            let length = this.first.len().min(buf.remaining());
            buf.put_slice(&this.first.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                if buf.filled().len() == before {
                    this.ended = true;
                } else {
                    this.read_some();
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(this.poll_late(cx));
                this.too_slow = this.expecting == Expecting::Head;
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Io<S> {
    /// A write that makes no progress for too long fails.
    fn watch_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_deadline = None;
            return written;
        }
        let timeout = self.limits.write_timeout;
        let deadline = *self
            .write_deadline
            .get_or_insert_with(|| Instant::now() + timeout);
        ready!(self.poll_deadline(cx, deadline));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = *self
            .linger_deadline
            .get_or_insert_with(|| Instant::now() + LINGER);
        let mut scratch = [0_u8; 8192];
        while !self.ended {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() && Instant::now() < deadline => {}
                Poll::Ready(_) => self.ended = true,
                Poll::Pending => return self.poll_deadline(cx, deadline),
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Io<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch_write(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger_deadline.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        ready!(self.poll_linger(cx));
        Poll::Ready(Ok(()))
    }
}
