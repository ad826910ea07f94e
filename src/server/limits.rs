//! Limits on connections and on heads.

use std::time::Duration;

/// The smallest limit for a head. hyper reads in chunks of this size and accepts no smaller limit.
pub const MIN_HEAD: usize = 8192;

/// The flow-control window of an HTTP/2 stream, in bytes.
pub(super) const STREAM_WINDOW: u32 = 1 << 20;

/// Limits on connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest time from a request's first byte to the end of its head, and from the start of a
    /// connection to its first byte.
    pub head_timeout: Duration,
    /// The time after which a connection without a request is closed.
    pub keep_alive: Duration,
    /// The time after which a client that takes no byte of a response is cut off.
    pub write_timeout: Duration,
    /// The largest head of a request that is read. Beyond it, the server responds with 431 by
    /// itself.
    pub max_head: usize,
}
