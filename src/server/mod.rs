//! Listeners and the connections they accept. Nothing here knows of proxying: a service is a
//! function from a request to a response.
//!
//! hyper and h2 parse HTTP. The files that work around them say in their headers what breaks
//! without them, which test shows it, and when they can be deleted: `half_closed`, `http2_targets`,
//! `io`, `request_body`, `stream_timeout`, `target`, `write_progress`.

mod active;
mod broken_handshake;
mod closing;
mod connection;
mod connections;
mod half_closed;
mod handler;
mod header_blocks;
mod hpack;
mod http2_targets;
mod idleness;
mod io;
mod limits;
mod listener;
mod log_limit;
mod peer_socket;
mod refused_head;
mod request_body;
mod response_body;
mod serve;
mod stop;
mod stream_timeout;
mod target;
mod tls;
mod write_progress;

pub use connections::{CLOSING, Connections};
pub use handler::Handler;
pub use http2_targets::Http2Targets;
pub use limits::{Limits, MIN_HEAD};
pub use listener::{BindError, Listener};
pub use request_body::RequestBody;
pub use serve::serve;
pub use target::CutTarget;
pub use tls::Tls;
