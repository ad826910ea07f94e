//! The byte stream under a connection, with the deadlines that hyper lacks.
//!
//! A client must send its first byte, and then each head, in time. It may be idle between requests
//! for a while, and must keep taking bytes of a response. If a client is still sending when its
//! connection ends, the server reads on for a moment. An earlier close would make the system
//! discard the response (RFC 9112, section 9.6).
//!
//! Without the deadlines, slow and silent clients keep their places for ever, and
//! `tests/it/slow_clients.rs` fails. Delete the deadlines once hyper has timeouts for heads that
//! end with 408, for idle connections and for writes.
//!
//! hyper responds to a head that it cannot read with a bare status. While no response is due, its
//! writes can only be such a refusal. It is replaced by a response that says how to correct the
//! request. Without this, `a_head_that_cannot_be_read_is_refused_with_a_text` in
//! `tests/it/limits.rs` fails. Delete the replacement once hyper lets the server provide this
//! response.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    active::Active, half_closed::HalfClosed, http2_targets::Http2Targets, limits::Limits,
    listener::Stream, refused_head, target::RequestLine, write_progress::WriteProgress,
};

/// The longest time for which the server reads on from a client that is still sending after its
/// response.
pub(super) const LINGER: Duration = Duration::from_secs(5);
/// The number of bytes up to which a write is joined into one piece.
const JOINED: usize = 2048;
/// The longest time for which the server reads on from a client that sends nothing after its
/// response.
pub(super) const LINGER_QUIET: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Io {
    stream: Stream,
    /// The bytes that were read to detect the protocol.
    first: Bytes,
    active: Active,
    write_progress: WriteProgress,
    limits: Limits,
    /// Whether bytes after a pause begin a head. HTTP/2 has frames of its own at any time.
    reads_heads: bool,
    /// The request line of the head that has begun to arrive.
    line: RequestLine,
    /// The targets of all heads, over HTTP/2.
    targets: Option<Box<Http2Targets>>,
    /// The time by which the head that has begun to arrive must be complete.
    head_deadline: Option<Instant>,
    write_deadline: Option<Instant>,
    linger: Option<Linger>,
    /// The client has ended its sending side, but may still wait for its response.
    half_closed: Option<HalfClosed>,
    /// The bytes still to be sent in place of hyper's own refusal.
    refusal: Option<Bytes>,
    timer: Pin<Box<Sleep>>,
    ended: bool,
    too_slow: bool,
}

/// A limit above the number of bytes that h2 accepts in a header block: at least 7 frames of 16
/// KiB, and the frames that `max_head` fills, with a quarter more. Beyond `max_head`, h2 responds
/// with 431 and reads on.
fn max_block(max_head: usize) -> usize {
    max_head.saturating_mul(2).max(128 << 10)
}

/// The time left for a client that is still sending.
#[derive(Debug)]
struct Linger {
    end: Instant,
    quiet_end: Instant,
}

impl Io {
    /// Creates the stream. `head_deadline` is the deadline of the head that `first` begins.
    pub(super) fn new(
        stream: Stream,
        first: Bytes,
        active: Active,
        write_progress: WriteProgress,
        limits: Limits,
        is_http2: bool,
        head_deadline: Instant,
    ) -> Self {
        let mut io = Self {
            stream,
            first: Bytes::new(),
            line: RequestLine::new(),
            targets: is_http2.then(|| Box::new(Http2Targets::new(max_block(limits.max_head)))),
            active,
            write_progress,
            limits,
            reads_heads: !is_http2,
            head_deadline: (!is_http2).then_some(head_deadline),
            write_deadline: None,
            linger: None,
            half_closed: None,
            refusal: None,
            timer: Box::pin(sleep_until(head_deadline)),
            ended: false,
            too_slow: false,
        };
        io.inspect(&first);
        io.first = first;
        io
    }

    /// Whether a head did not come in time.
    pub(super) fn too_slow(&self) -> bool {
        self.too_slow
    }

    /// Completes once `deadline` has passed. One timer serves all deadlines of a connection. It is
    /// reset only when it fires or a nearer deadline comes up.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if deadline < self.timer.deadline() {
            self.timer.as_mut().reset(deadline);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn read_some(&mut self, bytes: &[u8]) {
        if self.reads_heads && self.active.any() {
            return;
        }
        if self.reads_heads && self.head_deadline.is_none() {
            self.head_deadline = Some(Instant::now() + self.limits.head_timeout);
            self.active.set_reading_head();
            self.line = RequestLine::new();
        }
        self.inspect(bytes);
    }

    /// Looks for targets that hyper would cut off.
    fn inspect(&mut self, bytes: &[u8]) {
        if let Some(targets) = &mut self.targets {
            if targets.read(bytes) {
                self.active.set_cut_targets(targets);
            }
        } else if let Some(is_cut) = self.line.read(bytes) {
            self.active.set_target(is_cut);
        }
    }

    /// Completes if the client is late. To be called when there is nothing to read.
    ///
    /// hyper does not read again when a response ends. The timer therefore stays set during a
    /// response, and determines later how long the client has been idle.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.active.any() {
            self.head_deadline = None;
            while self.timer.as_mut().poll(cx).is_ready() {
                let next = Instant::now() + self.limits.keep_alive;
                self.timer.as_mut().reset(next);
            }
            return Poll::Pending;
        }
        let deadline = self
            .head_deadline
            .unwrap_or_else(|| self.active.idle_since() + self.limits.keep_alive);
        self.poll_deadline(cx, deadline)
    }

    /// Aborts the connection by dropping it with a linger time of zero. The system then sends a TCP
    /// RST, so that the client cannot take a truncated response for a complete one.
    pub(super) fn reset(self) {
        if let Some(stream) = self.stream.tcp() {
            // If this fails, the client sees an orderly end, as it does over a Unix socket.
            let _ = stream.set_zero_linger();
        }
    }

    /// Hides the end of the client's bytes from hyper for as long as the client may be waiting for
    /// its response. hyper would otherwise drop the request.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.ended = true;
        if self.half_closed.is_none() {
            if !self.reads_heads || !self.active.awaits_response() {
                return Poll::Ready(());
            }
            self.half_closed = Some(HalfClosed::begin());
        }
        while self.active.any()
            && let Some(half_closed) = &mut self.half_closed
        {
            if half_closed.has_left {
                break;
            }
            let next = half_closed.next_check;
            ready!(self.poll_deadline(cx, next));
            if let Some(half_closed) = &mut self.half_closed {
                half_closed.check(&self.stream, self.active.awaits_body());
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Io {
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
                    return this.poll_end(cx).map(Ok);
                }
                this.read_some(&buf.filled()[before..]);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(this.poll_late(cx));
                this.too_slow = this.head_deadline.is_some();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl Io {
    /// Fails a write that makes no progress for too long.
    fn watch_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        self.write_progress.wrote(&written);
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

    /// Writes a refusal with a text in place of hyper's bare status, which begins with `own`.
    /// Returns `None` if hyper writes the response to a request.
    fn poll_refusal(&mut self, cx: &mut Context<'_>, own: &[u8]) -> Option<Poll<io::Result<()>>> {
        if !self.reads_heads || !self.active.all_sent() {
            return None;
        }
        let mut left = match self.refusal.take() {
            Some(left) => left,
            None => refused_head::refuse(refused_head::status(own)?, self.line.forbidden())?,
        };
        while !left.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &left) {
                Poll::Ready(Ok(0)) => {
                    return Some(Poll::Ready(Err(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(written)) => left.advance(written),
                other => {
                    self.refusal = Some(left);
                    return Some(self.watch_write(cx, other).map_ok(|_| ()));
                }
            }
        }
        Some(Poll::Ready(Ok(())))
    }

    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let linger = self.linger.get_or_insert_with(|| Linger {
            end: now + LINGER,
            quiet_end: now + LINGER_QUIET,
        });
        let mut scratch = [0_u8; 8192];
        while !self.ended {
            let mut buf = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() && now < linger.end => {
                    linger.quiet_end = now + LINGER_QUIET;
                }
                Poll::Ready(_) => self.ended = true,
                Poll::Pending => {
                    let deadline = linger.end.min(linger.quiet_end);
                    return self.poll_deadline(cx, deadline);
                }
            }
        }
        Poll::Ready(())
    }
}

/// Joins short `bufs` into one piece, since one copied piece costs less to send than a head and a
/// small body in two.
fn join<'a>(bufs: &[io::IoSlice<'_>], joined: &'a mut [u8; JOINED]) -> Option<&'a [u8]> {
    let mut end = 0;
    for buf in bufs {
        joined.get_mut(end..end + buf.len())?.copy_from_slice(buf);
        end += buf.len();
    }
    Some(&joined[..end])
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(refused) = self.poll_refusal(cx, buf) {
            return refused.map_ok(|()| buf.len());
        }
        self.active.response_begun();
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.first().map_or(&[][..], |buf| buf);
        if let Some(refused) = self.poll_refusal(cx, first) {
            return refused.map_ok(|()| bufs.iter().map(|buf| buf.len()).sum());
        }
        self.active.response_begun();
        let mut joined = [0; JOINED];
        let written = match join(bufs, &mut joined) {
            Some(joined) => Pin::new(&mut self.stream).poll_write(cx, joined),
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, bufs),
        };
        self.watch_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.active.flushed();
        }
        self.watch_write(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            // A client that was idle when the server stopped has sent nothing, so an early close
            // loses no response.
            self.ended |= self.active.is_stopped();
        }
        ready!(self.poll_linger(cx));
        Poll::Ready(Ok(()))
    }
}
