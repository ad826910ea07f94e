//! A client that sends no more: has it left, or does it wait for its answer?
//!
//! TCP tells the two apart only when something is sent: a client that has closed its socket, or was
//! killed, answers with RST. So an interim response goes out, which every client of HTTP/1.1 reads
//! past (RFC 9110, section 15.2). It can stand only before an answer: whoever closes in the middle of
//! one, and clients of HTTP/1.0, are taken to have left. So is a client whose body is incomplete.
//!
//! A client that stays, and leaves later, is found out when its answer is written.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::listener::Stream;

/// Of all interim responses the one that most clients know.
const PROBE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
/// RST takes a round trip; the system is asked for it now and then.
const FIRST_CHECK: Duration = Duration::from_millis(20);
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// For what has arrived of a body to be read.
const BODY_GRACE: Duration = Duration::from_secs(1);

/// A stream that can say whether its peer has reset it.
pub(super) trait Probed: AsyncRead + AsyncWrite + Unpin {
    /// The error of the socket, if there is one.
    fn take_error(&self) -> io::Result<Option<io::Error>>;
}

impl Probed for Stream {
    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket_error()
    }
}

/// The state of such a client.
#[derive(Debug)]
pub(super) struct HalfClosed {
    since: Instant,
    unsent: &'static [u8],
    pub(super) next_check: Instant,
    is_gone: bool,
}

impl HalfClosed {
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self {
            since: now,
            unsent: PROBE,
            next_check: now + FIRST_CHECK,
            is_gone: false,
        }
    }

    /// Sends what is left to send, and finds out whether the client has left.
    pub(super) fn has_left(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut impl Probed,
        awaits_body: bool,
    ) -> bool {
        while !self.is_gone && !self.unsent.is_empty() {
            match Pin::new(&mut *stream).poll_write(cx, self.unsent) {
                Poll::Ready(Ok(sent @ 1..)) => self.unsent = &self.unsent[sent..],
                Poll::Ready(_) => self.is_gone = true,
                Poll::Pending => break,
            }
        }
        if let Poll::Ready(Err(_)) = Pin::new(&mut *stream).poll_flush(cx) {
            self.is_gone = true;
        }
        self.is_gone |= !matches!(stream.take_error(), Ok(None));
        self.is_gone || (awaits_body && self.since.elapsed() >= BODY_GRACE)
    }

    pub(super) fn check_later(&mut self) {
        self.next_check = Instant::now() + CHECK_INTERVAL;
    }
}
