//! A client that sends no more: has it left, or does it wait for its response?
//!
//! TCP does not tell the two apart until something is sent, and whatever is sent before the response
//! some clients would read as the response. So the system is asked about the client's own socket, now
//! and then. Where it knows nothing, the client is taken to wait: if it has left, that is found out
//! when its response is written. A client whose body stays incomplete is taken to have left.

use std::time::Duration;

use tokio::time::Instant;

use super::{listener::Stream, peer_socket::PeerSocket};

/// A client that shuts down its sending side may close the socket right after.
const FIRST_CHECK: Duration = Duration::from_millis(20);
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// For what has arrived of a body to be read.
const BODY_GRACE: Duration = Duration::from_secs(1);

/// The state of such a client.
#[derive(Debug)]
pub(super) struct HalfClosed {
    since: Instant,
    pub(super) next_check: Instant,
    was_held: bool,
    pub(super) has_left: bool,
}

impl HalfClosed {
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Self {
            since: now,
            next_check: now + FIRST_CHECK,
            was_held: false,
            has_left: false,
        }
    }

    /// Finds out whether the client has left.
    pub(super) fn check(&mut self, stream: &Stream, awaits_body: bool) {
        self.next_check = Instant::now() + CHECK_INTERVAL;
        let is_closed = match PeerSocket::of(stream) {
            PeerSocket::Held => {
                self.was_held = true;
                false
            }
            PeerSocket::Closed => true,
            // A system that was able to find it has forgotten it since.
            PeerSocket::NotFound => self.was_held,
            PeerSocket::Unknown => false,
        };
        self.has_left = is_closed
            || !matches!(stream.socket_error(), Ok(None))
            || (awaits_body && self.since.elapsed() >= BODY_GRACE);
    }
}
