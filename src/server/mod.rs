//! Listeners and the connections that they accept. Nothing here depends on proxying: a service is a
//! function from a request to a response.
//!
//! hyper and h2 parse HTTP. These files work around them: `half_closed`, `http2_targets`, `io`,
//! `request_body`, `stream_timeout`, `target`, `write_progress`. The header of each says what
//! breaks without it, which test shows that, and when it can be deleted.

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
