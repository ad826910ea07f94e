//! Decides whether a client that has ended its sending side has left or waits for its response.
//!
//! TCP does not show the difference until bytes are sent, and some clients would read any early
//! bytes as the response. So the state of the client's own socket is read from the system now and
//! then. If the system does not know it, the client is assumed to wait: if it has left, writing the
//! response fails. A client whose body stays incomplete is assumed to have left.
//!
//! Without it, hyper drops the request of a waiting client, and
//! `a_client_that_waits_gets_its_answer_and_nothing_before_it` in `tests/it/half_closed.rs` fails.
//! hyper's own `half_close` would keep the requests of clients that have left. Delete it once that
//! option notices them.

use std::time::Duration;

use tokio::time::Instant;

use super::{listener::Stream, peer_socket::PeerSocket};

/// The time before the first check, since a client that ends its sending side may close the socket
/// right after.
const FIRST_CHECK: Duration = Duration::from_millis(20);
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// The time in which the handler may read the part of a body that has arrived.
const BODY_GRACE: Duration = Duration::from_secs(1);

/// The state of a client that has ended its sending side.
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

    /// Checks whether the client has left.
    pub(super) fn check(&mut self, stream: &Stream, awaits_body: bool) {
        self.next_check = Instant::now() + CHECK_INTERVAL;
        let is_closed = match PeerSocket::of(stream) {
            PeerSocket::Held => {
                self.was_held = true;
                false
            }
            PeerSocket::Closed => true,
            // The system found the socket before and does not now, so it has been closed.
            PeerSocket::NotFound => self.was_held,
            PeerSocket::Unknown => false,
        };
        self.has_left = is_closed
            || !matches!(stream.socket_error(), Ok(None))
            || (awaits_body && self.since.elapsed() >= BODY_GRACE);
    }
}
