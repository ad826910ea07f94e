//! Connections to other hosts: the services behind the routes, and the endpoints that issue tokens.
//!
//! [`Connections`] is made once and holds what all pools share; a [`Pool`] keeps connections to
//! one or more hosts and sends requests over them. Redirects are never followed.

mod connect;
mod error;
mod retry;
mod socket;
mod stream;
mod tls;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};

use crate::config::{HttpVersion, Network};

pub use connect::Connector;
pub use error::{ConnectError, SendError, StartError};

/// Idle connections are closed well before a load balancer's four minutes.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(80);
/// Requests that share one HTTP/2 connection before the next one is opened.
const REQUESTS_PER_SHARD: usize = 64;
const SHARDS: usize = 4;
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
const MAX_HEADERS: usize = 256;
const HEADER_LIST_SIZE: u32 = 256 << 10;

/// What every pool shares: trust roots, TLS session tickets, resolve overrides.
#[derive(Debug, Clone)]
pub struct Connections {
    connector: Connector,
}

impl Connections {
    /// Reads the trust roots. Call once at start.
    pub fn new(network: &Network) -> Result<Self, StartError> {
        Ok(Self {
            connector: Connector::new(network)?,
        })
    }

    /// A new pool that speaks `version`.
    pub fn pool<B>(&self, version: HttpVersion) -> Pool<B>
    where
        B: Body + Send + 'static + Unpin,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let shards = (0..SHARDS)
            .map(|_| Shard {
                client: self.client(version),
                in_flight: AtomicUsize::new(0),
            })
            .collect();
        Pool { shards }
    }

    fn client<B>(&self, version: HttpVersion) -> Client<Connector, B>
    where
        B: Body + Send,
        B::Data: Send,
    {
        Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            // HTTP/1.1 gets a Host from the URI; HTTP/2 has :authority, and nginx refuses both.
            .set_host(true)
            .http1_max_headers(MAX_HEADERS)
            .http2_only(version == HttpVersion::Http2)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_max_header_list_size(HEADER_LIST_SIZE)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .http2_keep_alive_timeout(Duration::from_secs(10))
            .build(self.connector.speaking(version))
    }
}

/// Keeps connections open between requests.
///
/// An HTTP/2 client holds one connection to a host however many requests wait for a stream, so
/// a pool has several and moves on to the next when one is busy.
#[derive(Debug)]
pub struct Pool<B> {
    shards: Arc<[Shard<B>]>,
}

#[derive(Debug)]
struct Shard<B> {
    client: Client<Connector, B>,
    in_flight: AtomicUsize,
}

/// Counts a request against its connection until dropped. Keep it as long as the response's body.
#[derive(Debug)]
pub struct InFlight<B> {
    shards: Arc<[Shard<B>]>,
    index: usize,
}

impl<B> Drop for InFlight<B> {
    fn drop(&mut self) {
        self.shards[self.index]
            .in_flight
            .fetch_sub(1, Ordering::Relaxed);
    }
}

impl<B> Pool<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Sends a request with an absolute URI and waits for the response's head.
    ///
    /// `again` makes the request once more for the one case in which that is safe: an idempotent
    /// request without a body, on a connection that ended before a byte of an answer. Most often
    /// that is an idle one which the other side closed at that moment.
    pub async fn send(
        &self,
        request: Request<B>,
        again: Option<impl FnOnce() -> Request<B>>,
    ) -> Result<(Response<Incoming>, InFlight<B>), SendError> {
        let in_flight = self.reserve();
        let client = &self.shards[in_flight.index].client;
        let response = match client.request(request).await {
            Ok(response) => response,
            Err(error) => match again {
                Some(again) if retry::never_answered(&error) => client.request(again()).await?,
                _ => return Err(error.into()),
            },
        };
        Ok((response, in_flight))
    }

    fn reserve(&self) -> InFlight<B> {
        let load = |index: &usize| self.shards[*index].in_flight.load(Ordering::Relaxed);
        let index = (0..self.shards.len())
            .find(|index| load(index) < REQUESTS_PER_SHARD)
            .or_else(|| (0..self.shards.len()).min_by_key(load))
            .unwrap_or_default();
        self.shards[index].in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight {
            shards: self.shards.clone(),
            index,
        }
    }
}
