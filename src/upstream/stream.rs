//! The byte stream under a connection to another host.
//!
//! Two kinds of writers have no deadline of their own: hyper's task of an HTTP/2 connection, and an
//! upload whose response came early. A server that takes no more bytes would keep them, and the
//! request's body, for ever. This stream therefore fails once no byte has moved in either direction
//! for `network.idle_timeout`.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustls::{ProtocolVersion, pki_types::CertificateDer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::socket::Socket;

/// The time by which a request's own idle deadline, whose error response is more exact, passes
/// first.
const GRACE: Duration = Duration::from_secs(1);

/// A connection, encrypted or (on loopback) plain.
#[derive(Debug)]
pub(super) struct Stream {
    io: Io,
    idle_timeout: Duration,
    /// The timer of a write for which the socket has no room.
    stall_timer: Option<Pin<Box<Sleep>>>,
}

/// Plain, or encrypted.
type Io = Either<Socket, Box<TlsStream<Socket>>>;

impl Stream {
    pub(super) fn plain(tcp: Socket, idle_timeout: Duration) -> Self {
        Self::new(Io::Left(tcp), idle_timeout)
    }

    pub(super) fn tls(tls: TlsStream<Socket>, idle_timeout: Duration) -> Self {
        Self::new(Io::Right(Box::new(tls)), idle_timeout)
    }

    fn new(io: Io, idle_timeout: Duration) -> Self {
        Self {
            io,
            idle_timeout: idle_timeout + GRACE,
            stall_timer: None,
        }
    }

    /// The time without a byte in either direction after which the stream fails.
    pub(super) fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// Whether the server has chosen HTTP/2 by ALPN.
    pub(super) fn is_http2(&self) -> bool {
        match &self.io {
            Io::Left(_) => false,
            Io::Right(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// The version of TLS. `None` without TLS.
    pub(super) fn tls_version(&self) -> Option<ProtocolVersion> {
        match &self.io {
            Io::Left(_) => None,
            Io::Right(stream) => stream.get_ref().1.protocol_version(),
        }
    }

    /// The server's own certificate. `None` without TLS.
    pub(super) fn certificate(&self) -> Option<CertificateDer<'static>> {
        match &self.io {
            Io::Left(_) => None,
            Io::Right(stream) => {
                let chain = stream.get_ref().1.peer_certificates()?;
                Some(chain.first()?.clone().into_owned())
            }
        }
    }

    /// Whether all received bytes that are known have been read.
    pub(super) fn is_quiet(&self) -> bool {
        let has_data = match &self.io {
            Io::Left(_) => false,
            Io::Right(stream) => !stream.get_ref().1.wants_read(),
        };
        !has_data && self.socket().is_quiet()
    }

    /// Reads the bytes that have been received by now.
    pub(super) fn look(&mut self) {
        match &mut self.io {
            Io::Left(socket) => socket.look(),
            Io::Right(stream) => stream.get_mut().0.look(),
        }
    }

    /// Whether the other side no longer takes the bytes that are written.
    pub(super) fn is_write_closed(&self) -> bool {
        self.socket().is_write_closed()
    }

    fn socket(&self) -> &Socket {
        match &self.io {
            Io::Left(socket) => socket,
            Io::Right(stream) => stream.get_ref().0,
        }
    }

    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall_timer = None;
            return written;
        }
        let timeout = self.idle_timeout;
        let stall_timer = self
            .stall_timer
            .get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(stall_timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if read.is_ready() && self.stall_timer.is_some() {
            self.stall_timer = None;
            // Wakes the write that waits, which has to start a new timer.
            cx.waker().wake_by_ref();
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
