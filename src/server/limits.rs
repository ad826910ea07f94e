//! Bounds on connections and on heads.

use std::time::Duration;

/// hyper reads in chunks of this size and takes no smaller limit for a head.
pub const MIN_HEAD: usize = 8192;

/// The flow-control window of an HTTP/2 stream, in bytes.
pub(super) const STREAM_WINDOW: u32 = 1 << 20;

/// Bounds on connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From a request's first byte to the end of its head; also for the first byte of a connection.
    pub head_timeout: Duration,
    /// A connection without a request is closed after this.
    pub keep_alive: Duration,
    /// A client that takes no byte of a response for this long is cut off.
    pub write_timeout: Duration,
    /// Bytes of a request's head that are read at all. Past it the server answers 431 by itself.
    pub max_head: usize,
}
