//! Listeners and the connections they accept. Knows nothing of proxying: a service is a function
//! from a request to a response.

mod broken_handshake;
mod closing;
mod connection;
mod connections;
mod half_closed;
mod header_blocks;
mod hpack;
mod http2_targets;
mod io;
mod listener;
mod outgoing;
mod paced;
mod peer_socket;
mod refused_head;
mod request_body;
mod seldom;
mod target;
mod tls;
mod tracked;

use std::{io::ErrorKind, net::IpAddr, time::Duration};

use http::{Request, Response};
use http_body::Body;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

pub use connections::{CLOSING, Connections};
pub use http2_targets::Http2Targets;
pub use listener::{BindError, Listener};
pub use request_body::RequestBody;
use seldom::Seldom;
pub use target::CutTarget;
pub use tls::Tls;

/// After `accept` failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// hyper reads in chunks of this size and takes no smaller limit for a head.
pub const MIN_HEAD: usize = 8192;

/// Bounds on connections.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From a request's first byte to the end of its head; also for the first byte of a connection.
    pub head_timeout: Duration,
    /// A connection without a request is closed after this.
    pub keep_alive: Duration,
    /// A client that takes no byte of an answer for so long is cut off.
    pub write_timeout: Duration,
    /// Bytes of a request's head that are read at all. Past it the server answers 431 by itself.
    pub max_head: usize,
}

/// Answers requests. Never fails: an error is a response too.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The response's body.
    type Body: Body<
            Data = bytes::Bytes,
            Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + Unpin,
        > + Send
        + Unpin
        + 'static;

    /// The handler of one connection. `peer` is `None` over a Unix socket.
    #[must_use]
    fn for_peer(self, _peer: Option<IpAddr>) -> Self {
        self
    }

    /// Answers one request. Dropped when the client goes away.
    fn handle(
        self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static;

    /// Called when the drain time is over, before the requests that still run are dropped.
    fn cut_off(&self) {}
}

/// Accepts connections until `stop` turns true, then lets running requests finish within `drain`.
/// What is left then is cut off.
pub async fn serve<H: Handler>(
    listener: Listener,
    handler: H,
    limits: Limits,
    connections: Connections,
    mut stop: watch::Receiver<bool>,
    drain: Duration,
) {
    let mut tasks = JoinSet::new();
    let told = Seldom::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
        };
        match accepted {
            Ok(accepted) => {
                // Only now: a listener without clients must not keep a place from another.
                let member = tokio::select! {
                    biased;
                    () = stopped(&mut stop) => break,
                    member = connections.admit() => member,
                };
                let handler = handler.clone();
                tasks.spawn(connection::run(
                    accepted,
                    member,
                    handler,
                    limits,
                    stop.clone(),
                ));
            }
            // It is gone before it was here.
            Err(error) if is_of_the_client(error.kind()) => {}
            Err(error) => {
                if let Some(untold) = told.take_turn() {
                    tracing::warn!(
                        remedy = "Allow the process more file descriptors (ulimit -n, LimitNOFILE=), or lower limits.connections.",
                        more_since_last = (untold > 0).then_some(untold),
                        "a connection could not be accepted: {error}"
                    );
                }
                // Its descriptor may be all that is missing.
                connections.evict();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if timeout(drain, async { while tasks.join_next().await.is_some() {} })
        .await
        .is_err()
    {
        handler.cut_off();
        tracing::warn!(cut_off = tasks.len(), "the drain time is over");
    }
    tasks.shutdown().await;
}

fn is_of_the_client(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that whoever could say stop is gone.
    let _ = stop.wait_for(|stop| *stop).await;
}
