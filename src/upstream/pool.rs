//! Connections kept open between the requests to one origin.
//!
//! An HTTP/1.1 connection serves one request at a time. A request that finds no idle connection
//! opens one, and takes another request's if that becomes idle first. An HTTP/2 connection serves
//! many requests. While the first is busy, a second one is opened in the background, since the
//! requests of one connection share a flow-control window. A connection that refuses a stream is
//! passed over for another. Connections are opened one at a time until the first has shown which
//! version the server speaks.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    connect::Connector,
    connection::{self, Connection, Http2},
    error::{ConnectError, SendError},
    http1::{Wire, WirePool},
    idle::{Idle, IdleConnections},
    origin::Origin,
};
use crate::config::HttpVersion;

/// The number of sweeps after which an idle connection is closed. This is well before the four
/// minutes after which a load balancer drops it.
const IDLE_SWEEPS: u64 = 4;
const SWEEP_INTERVAL: Duration = Duration::from_secs(20);
/// The number of requests that share one HTTP/2 connection before another one is opened.
const REQUESTS_PER_CONNECTION: usize = 64;
const HTTP2_CONNECTIONS: usize = 4;

/// Sends requests to one origin. Clones share connections.
#[derive(Debug, Clone)]
pub struct Pool {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) origin: Origin,
    connector: Connector,
    version: HttpVersion,
    state: Mutex<State>,
    /// Locked while a connection is opened whose protocol is not known.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    /// The server has chosen HTTP/1.1.
    is_http1: bool,
    idle: IdleConnections,
    http2: Vec<Idle<Http2>>,
    is_growing: bool,
    is_swept: bool,
    sweeps: u64,
}

enum Place {
    Served(Connection),
    Queued(oneshot::Receiver<Box<Wire>>),
}

/// A connection for one request.
pub(super) struct Leased {
    pub(super) connection: Connection,
    /// The connection has served a request, so the server may be closing it right now.
    pub(super) is_reused: bool,
}

impl Pool {
    pub(super) fn new(connector: Connector, origin: Origin, version: HttpVersion) -> Self {
        Self {
            shared: Arc::new(Shared {
                connector,
                version,
                state: Mutex::new(State {
                    is_http1: false,
                    idle: IdleConnections::new(origin.to_string()),
                    http2: Vec::new(),
                    is_growing: false,
                    is_swept: false,
                    sweeps: 0,
                }),
                opening: tokio::sync::Mutex::new(()),
                origin,
            }),
        }
    }
}

impl Leased {
    fn fresh(connection: Connection) -> Self {
        Self {
            connection,
            is_reused: false,
        }
    }

    fn reused(connection: Connection) -> Self {
        Self {
            connection,
            is_reused: true,
        }
    }
}

impl Shared {
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Leased, SendError> {
        match self.take_or_queue() {
            Some(Place::Served(connection)) => Ok(Leased::reused(connection)),
            // Boxed, since most requests do not need the memory for it.
            place => Box::pin(self.open_lease(place)).await,
        }
    }

    pub(super) async fn fresh(self: &Arc<Self>) -> Result<Leased, SendError> {
        let connection = self.open().await?;
        self.register(&connection);
        Ok(Leased::fresh(connection))
    }

    /// Finds another connection for a request that one has refused: a connection that does not
    /// refuse requests, else a new one while there are few, else any.
    pub(super) async fn lease_other_than(
        self: &Arc<Self>,
        refusing: &Http2,
    ) -> Result<Leased, SendError> {
        if let Some(other) = self.other_than(refusing, false) {
            return Ok(other);
        }
        // Opened one at a time, so that requests that are refused together share the new
        // connection.
        let opening = self.opening.lock().await;
        if let Some(other) = self.other_than(refusing, false) {
            return Ok(other);
        }
        if self.has_room()
            && let Ok(fresh) = self.fresh().await
        {
            return Ok(fresh);
        }
        drop(opening);
        match self.other_than(refusing, true) {
            Some(other) => Ok(other),
            None => self.lease().await,
        }
    }

    /// The least busy HTTP/2 connection except for `refusing`. Other connections that refuse
    /// requests count only with `or_refusing`.
    fn other_than(&self, refusing: &Http2, or_refusing: bool) -> Option<Leased> {
        let state = self.state.lock();
        let open = state.http2.iter().map(|idle| &idle.connection);
        let others = open.filter(|other| {
            !other.is_closed() && !other.is(refusing) && (or_refusing || !other.is_refusing())
        });
        let other = others.min_by_key(|other| other.load())?;
        Some(Leased::reused(Connection::Http2(other.clone())))
    }

    fn has_room(&self) -> bool {
        let mut state = self.state.lock();
        state.http2.retain(|idle| !idle.connection.is_closed());
        state.http2.len() + usize::from(state.is_growing) < HTTP2_CONNECTIONS
    }

    async fn open_lease(self: &Arc<Self>, place: Option<Place>) -> Result<Leased, SendError> {
        if let Some(known) = place {
            return self.resolve(known).await;
        }
        let opening = self.opening.lock().await;
        if let Some(known) = self.take_or_queue() {
            drop(opening);
            return self.resolve(known).await;
        }
        self.fresh().await
    }

    /// A connection, or a place in the queue for one. `None` while the server's protocol is unknown
    /// or HTTP/2, and there is no connection.
    fn take_or_queue(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.state.lock();
        if let Some(connection) = self.take(&mut state) {
            return Some(Place::Served(connection));
        }
        state.is_http1.then(|| Place::Queued(state.idle.wait()))
    }

    async fn resolve(self: &Arc<Self>, place: Place) -> Result<Leased, SendError> {
        match place {
            Place::Served(connection) => Ok(Leased::reused(connection)),
            Place::Queued(idle) => self.open_or_wait(idle).await,
        }
    }

    /// Opens a connection, or takes one that becomes idle first. The opened one is then kept for
    /// other requests, also if the caller leaves.
    async fn open_or_wait(
        self: &Arc<Self>,
        idle: oneshot::Receiver<Box<Wire>>,
    ) -> Result<Leased, SendError> {
        let (sender, opened) = oneshot::channel();
        let pool = self.clone();
        tokio::spawn(async move {
            let connection = pool.open().await;
            if let Err(Ok(unwanted)) = sender.send(connection) {
                pool.keep(unwanted);
            }
        });
        tokio::select! {
            biased;
            Ok(connection) = idle => {
                Ok(Leased::reused(Connection::Http1(connection)))
            }
            Ok(connection) = opened => {
                let connection = connection?;
                self.register(&connection);
                Ok(Leased::fresh(connection))
            }
            else => Err(SendError::Closed),
        }
    }

    async fn open(&self) -> Result<Connection, ConnectError> {
        let begun = Instant::now();
        let opened = connection::open(&self.connector, &self.origin, self.version).await;
        let host = &self.origin;
        match &opened {
            Ok(connection) => tracing::debug!(
                %host,
                protocol = match connection {
                    Connection::Http1(_) => "HTTP/1.1",
                    Connection::Http2(_) => "HTTP/2",
                },
                took_us = begun.elapsed().as_micros(),
                "connection opened"
            ),
            Err(error) => tracing::debug!(%host, "no connection: {error}"),
        }
        opened
    }

    /// A connection that can take a request now.
    fn take(self: &Arc<Self>, state: &mut State) -> Option<Connection> {
        if !state.http2.is_empty() {
            state.http2.retain(|idle| !idle.connection.is_closed());
            let mut open = state.http2.iter().map(|idle| &idle.connection);
            let is_free = |connection: &&Http2| {
                connection.load() < REQUESTS_PER_CONNECTION && !connection.is_refusing()
            };
            if let Some(free) = open.find(is_free) {
                return Some(Connection::Http2(free.clone()));
            }
            let open = state.http2.iter().map(|idle| &idle.connection);
            if let Some(busy) = open.min_by_key(|connection| connection.load()) {
                let busy = busy.clone();
                self.grow(state);
                return Some(Connection::Http2(busy));
            }
        }
        state.idle.take().map(Connection::Http1)
    }

    /// Opens another HTTP/2 connection in the background.
    fn grow(self: &Arc<Self>, state: &mut State) {
        if state.is_growing || state.http2.len() >= HTTP2_CONNECTIONS {
            return;
        }
        state.is_growing = true;
        let pool = self.clone();
        tokio::spawn(async move {
            let opened = pool.open().await;
            pool.state.lock().is_growing = false;
            // A failure matters only to a request that has no connection at all.
            if let Ok(connection) = opened {
                pool.keep(connection);
            }
        });
    }

    /// Learns from a new connection which protocol the server speaks.
    fn register(self: &Arc<Self>, connection: &Connection) {
        let mut state = self.state.lock();
        match connection {
            Connection::Http1(_) => state.is_http1 = true,
            Connection::Http2(connection) => {
                state.is_http1 = false;
                let since = state.sweeps;
                let connection = connection.clone();
                state.http2.push(Idle { connection, since });
                self.sweep(&mut state);
            }
        }
    }

    /// Keeps a connection that no request waits for.
    fn keep(self: &Arc<Self>, connection: Connection) {
        self.register(&connection);
        if let Connection::Http1(connection) = connection {
            self.clone().put_back(connection);
        }
    }

    /// Stops the reuse of HTTP/1.1 connections for a while, since the server sends bytes that
    /// belong to no response.
    pub(super) fn distrust(&self) {
        self.state.lock().idle.distrust();
    }

    /// Notes that a request on an HTTP/2 connection has ended.
    pub(super) fn release(&self, connection: &Http2) {
        if connection.remove_request() > 0 {
            return;
        }
        let mut state = self.state.lock();
        let now = state.sweeps;
        let mut open = state.http2.iter_mut();
        if let Some(idle) = open.find(|idle| idle.connection.is(connection)) {
            idle.since = now;
        }
    }

    /// Keeps later requests off an HTTP/2 connection that refused one, since the server is about to
    /// close it.
    pub(super) fn forget(&self, connection: &Http2) {
        let mut state = self.state.lock();
        state.http2.retain(|idle| !idle.connection.is(connection));
    }

    /// Starts to close connections that have been idle for too long, until no connection is left.
    fn sweep(self: &Arc<Self>, state: &mut State) {
        if state.is_swept {
            return;
        }
        state.is_swept = true;
        let pool = Arc::downgrade(self);
        tokio::spawn(async move { while sweep_once(&pool).await {} });
    }
}

impl WirePool for Shared {
    fn put_back(self: Arc<Self>, connection: Box<Wire>) {
        let mut state = self.state.lock();
        let since = state.sweeps;
        state.idle.put_back(Idle { connection, since });
        if !state.idle.is_empty() {
            self.sweep(&mut state);
        }
    }
}

async fn sweep_once(pool: &Weak<Shared>) -> bool {
    tokio::time::sleep(SWEEP_INTERVAL).await;
    let Some(pool) = pool.upgrade() else {
        return false;
    };
    let mut state = pool.state.lock();
    state.sweeps += 1;
    let oldest = state.sweeps.saturating_sub(IDLE_SWEEPS);
    state.idle.sweep(oldest);
    state.http2.retain(|idle| {
        !idle.connection.is_closed() && (idle.since > oldest || idle.connection.load() > 0)
    });
    state.is_swept = !state.idle.is_empty() || !state.http2.is_empty();
    state.is_swept
}
