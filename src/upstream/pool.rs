//! Connections kept open between the requests to one origin.
//!
//! An HTTP/1.1 connection serves one request at a time. Who finds none idle opens one, and takes
//! another's if that becomes idle first. An HTTP/2 connection serves many; a second one is opened
//! behind the scenes when the first is busy, since its requests share one flow-control window. Until
//! the first connection has shown which of the two the server speaks, one is opened at a time.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use tokio::sync::oneshot;

use super::{
    AnswerBody, ConnectError, Connector, Origin, SendError,
    connection::{self, Connection, Http2},
    error::Verdict,
    http1::{self, Wire},
    lease::Lease,
};
use crate::config::HttpVersion;

/// Idle connections are closed well before a load balancer's four minutes: when so many sweeps have
/// found them idle.
const IDLE_SWEEPS: u64 = 4;
const SWEEP_INTERVAL: Duration = Duration::from_secs(20);
/// Requests that share one HTTP/2 connection before another one is opened.
const REQUESTS_PER_CONNECTION: usize = 64;
const HTTP2_CONNECTIONS: usize = 4;
/// Connections that one request may try. A server that takes twenty requests a connection, and gets
/// a hundred at once, turns the last of them away four times.
const ATTEMPTS: usize = 8;

/// What a request's body has to be.
pub trait PoolBody:
    Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + Unpin + 'static
{
}

impl<B> PoolBody for B where
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static
{
}

/// Sends requests to one origin. Clones share connections.
#[derive(Debug)]
pub struct Pool<B: PoolBody> {
    shared: Arc<Shared<B>>,
}

impl<B: PoolBody> Clone for Pool<B> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Shared<B> {
    pub(super) origin: Origin,
    connector: Connector,
    version: HttpVersion,
    state: Mutex<State<B>>,
    /// Held while a connection is opened whose protocol is not known.
    opening: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State<B> {
    /// The server has chosen HTTP/1.1.
    is_http1: bool,
    /// The one used last is at the end, and is taken first, so that the others can go.
    idle: Vec<Idle<Box<Wire>>>,
    waiting: VecDeque<oneshot::Sender<Box<Wire>>>,
    http2: Vec<Idle<Http2<B>>>,
    is_growing: bool,
    is_swept: bool,
    sweeps: u64,
}

enum Place<B> {
    Served(Connection<B>),
    Queued(oneshot::Receiver<Box<Wire>>),
}

/// A connection for one request.
struct Leased<B> {
    connection: Connection<B>,
    /// It has served before, so that the server may be closing it right now.
    is_reused: bool,
}

#[derive(Debug)]
struct Idle<C> {
    connection: C,
    /// How many sweeps there had been.
    since: u64,
}

impl<B: PoolBody> Pool<B> {
    pub(super) fn new(connector: Connector, origin: Origin, version: HttpVersion) -> Self {
        Self {
            shared: Arc::new(Shared {
                origin,
                connector,
                version,
                state: Mutex::new(State {
                    is_http1: false,
                    idle: Vec::new(),
                    waiting: VecDeque::new(),
                    http2: Vec::new(),
                    is_growing: false,
                    is_swept: false,
                    sweeps: 0,
                }),
                opening: tokio::sync::Mutex::new(()),
            }),
        }
    }

    /// Sends a request, whose target is path and query alone, and waits for the response's head.
    ///
    /// A request that the server certainly did not process goes to another connection, whatever its
    /// method: one of which nothing was written, one that HTTP/2 says was not processed (RFC 9113,
    /// sections 6.8 and 8.7), and one that crossed the farewell of an idle connection (RFC 9110,
    /// section 15.5.9). A safe request without a body also goes again, once, when its connection ends
    /// before a byte of a response (RFC 9110, section 9.2.2). `again` makes the body once more, or
    /// says that it cannot.
    pub async fn send(
        &self,
        head: &Request<()>,
        mut body: B,
        again: impl Fn(Repeat) -> Option<B>,
    ) -> Result<Response<AnswerBody<B>>, SendError> {
        let mut may_repeat = head.method().is_safe() && body.is_end_stream();
        let mut leased = self.shared.lease().await?;
        for _ in 1..ATTEMPTS {
            let is_reused = leased.is_reused;
            let failure = match self.attempt(leased, head, body).await {
                Ok(response) if !(is_reused && http1::is_farewell(&response)) => {
                    return Ok(response);
                }
                Ok(response) => match again(Repeat::Farewell) {
                    None => return Ok(response),
                    Some(anew) => {
                        drop(response);
                        body = anew;
                        // Idle connections often end together, so the next one would do no better.
                        leased = Box::pin(self.shared.fresh()).await?;
                        continue;
                    }
                },
                Err(failure) => failure,
            };
            (body, leased) = match failure.sent {
                Sent::Nothing(body) => (body, self.shared.lease().await?),
                Sent::Unprocessed => match again(Repeat::Unprocessed) {
                    Some(body) => (body, self.shared.lease().await?),
                    None => return Err(failure.error),
                },
                Sent::Lost if may_repeat => match again(Repeat::Lost) {
                    Some(body) => {
                        may_repeat = false;
                        (body, Box::pin(self.shared.fresh()).await?)
                    }
                    None => return Err(failure.error),
                },
                Sent::Lost | Sent::Perhaps => return Err(failure.error),
            };
        }
        let last = self.attempt(leased, head, body).await;
        last.map_err(|failure| failure.error)
    }

    async fn attempt(
        &self,
        leased: Leased<B>,
        head: &Request<()>,
        body: B,
    ) -> Result<Response<AnswerBody<B>>, Failure<B>> {
        match leased.connection {
            Connection::Http1(wire) => self.over_http1(wire, head, body).await,
            // Boxed, since most requests would only carry the room for it about.
            Connection::Http2(connection) => {
                Box::pin(self.over_http2(connection, head, body)).await
            }
        }
    }

    async fn over_http1(
        &self,
        wire: Box<Wire>,
        head: &Request<()>,
        body: B,
    ) -> Result<Response<AnswerBody<B>>, Failure<B>> {
        let host = self.shared.origin.host_header();
        let pool = self.shared.clone();
        match http1::send(wire, head, body, host, move |wire| pool.put(wire)).await {
            Ok(response) => Ok(response.map(|body| AnswerBody::http1(body, &self.shared))),
            Err(unanswered) => Err(Failure {
                sent: if unanswered.is_silent {
                    Sent::Lost
                } else {
                    Sent::Perhaps
                },
                error: unanswered.error,
            }),
        }
    }

    async fn over_http2(
        &self,
        connection: Http2<B>,
        head: &Request<()>,
        body: B,
    ) -> Result<Response<AnswerBody<B>>, Failure<B>> {
        let mut lease = Lease::new(self.shared.clone(), connection);
        let mut failure = match lease.send(head.clone().map(|()| body)).await {
            Ok(response) => return Ok(response.map(|body| AnswerBody::http2(body, lease))),
            Err(failure) => failure,
        };
        let verdict = Verdict::of(failure.error());
        let unsent = failure.take_message();
        if unsent.is_some() || verdict == Verdict::GoingAway {
            lease.give_up();
        }
        let (sent, error) = match (unsent, verdict) {
            (Some(unsent), _) => (Sent::Nothing(unsent.into_body()), SendError::Closed),
            (None, verdict) if verdict.is_unprocessed() => {
                (Sent::Unprocessed, SendError::Unprocessed)
            }
            (None, Verdict::Lost) => (Sent::Lost, SendError::Closed),
            (None, _) => (Sent::Perhaps, SendError::Closed),
        };
        Err(Failure { error, sent })
    }
}

/// Why a request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The server says that it did not process the request.
    Unprocessed,
    /// The server ended an idle connection while the request was on its way there.
    Farewell,
    /// The connection ended before a byte of a response. The server may have acted on the request,
    /// which is safe and has no body.
    Lost,
}

/// A request that got no response.
struct Failure<B> {
    error: SendError,
    sent: Sent<B>,
}

/// The part of a request that may have reached its server.
enum Sent<B> {
    /// None of it; here is its body.
    Nothing(B),
    /// The server says that it processed none of it.
    Unprocessed,
    /// Perhaps all of it, and the connection ended before a byte of a response.
    Lost,
    /// Perhaps all of it.
    Perhaps,
}

impl<B> Leased<B> {
    fn fresh(connection: Connection<B>) -> Self {
        Self {
            connection,
            is_reused: false,
        }
    }

    fn reused(connection: Connection<B>) -> Self {
        Self {
            connection,
            is_reused: true,
        }
    }
}

impl<B: PoolBody> Shared<B> {
    async fn lease(self: &Arc<Self>) -> Result<Leased<B>, SendError> {
        match self.take_or_queue() {
            Some(Place::Served(connection)) => Ok(Leased::reused(connection)),
            // Boxed, since most requests would only carry the room for it about.
            place => Box::pin(self.open_lease(place)).await,
        }
    }

    async fn fresh(self: &Arc<Self>) -> Result<Leased<B>, SendError> {
        let connection = self.open().await?;
        self.note(&connection);
        Ok(Leased::fresh(connection))
    }

    async fn open_lease(self: &Arc<Self>, place: Option<Place<B>>) -> Result<Leased<B>, SendError> {
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
    fn take_or_queue(self: &Arc<Self>) -> Option<Place<B>> {
        let mut state = self.state();
        if let Some(connection) = self.take(&mut state) {
            return Some(Place::Served(connection));
        }
        state.is_http1.then(|| {
            let (sender, receiver) = oneshot::channel();
            state.waiting.push_back(sender);
            Place::Queued(receiver)
        })
    }

    async fn resolve(self: &Arc<Self>, place: Place<B>) -> Result<Leased<B>, SendError> {
        match place {
            Place::Served(connection) => Ok(Leased::reused(connection)),
            Place::Queued(idle) => self.open_or_wait(idle).await,
        }
    }

    /// Opens a connection, and keeps it for others should one become idle first or the caller leave.
    async fn open_or_wait(
        self: &Arc<Self>,
        idle: oneshot::Receiver<Box<Wire>>,
    ) -> Result<Leased<B>, SendError> {
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
                self.note(&connection);
                Ok(Leased::fresh(connection))
            }
            else => Err(SendError::Closed),
        }
    }

    async fn open(&self) -> Result<Connection<B>, ConnectError> {
        connection::open(&self.connector, &self.origin, self.version).await
    }

    /// A connection that can take a request now.
    fn take(self: &Arc<Self>, state: &mut State<B>) -> Option<Connection<B>> {
        if !state.http2.is_empty() {
            state.http2.retain(|idle| !idle.connection.is_closed());
            let mut open = state.http2.iter().map(|idle| &idle.connection);
            if let Some(free) = open.find(|connection| connection.load() < REQUESTS_PER_CONNECTION)
            {
                return Some(Connection::Http2(free.clone()));
            }
            let open = state.http2.iter().map(|idle| &idle.connection);
            if let Some(busy) = open.min_by_key(|connection| connection.load()) {
                let busy = busy.clone();
                self.grow(state);
                return Some(Connection::Http2(busy));
            }
        }
        while let Some(mut idle) = state.idle.pop() {
            if idle.connection.is_idle() {
                return Some(Connection::Http1(idle.connection));
            }
        }
        None
    }

    /// Opens another HTTP/2 connection in the background.
    fn grow(self: &Arc<Self>, state: &mut State<B>) {
        if state.is_growing || state.http2.len() >= HTTP2_CONNECTIONS {
            return;
        }
        state.is_growing = true;
        let pool = self.clone();
        tokio::spawn(async move {
            let opened = pool.open().await;
            pool.state().is_growing = false;
            // A failure is told to whoever has no connection at all.
            if let Ok(connection) = opened {
                pool.keep(connection);
            }
        });
    }

    /// Learns from a new connection which protocol the server speaks.
    fn note(self: &Arc<Self>, connection: &Connection<B>) {
        let mut state = self.state();
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

    /// Takes in a connection nobody is waiting for.
    fn keep(self: &Arc<Self>, connection: Connection<B>) {
        self.note(&connection);
        if let Connection::Http1(connection) = connection {
            self.put(connection);
        }
    }

    /// Takes back an HTTP/1.1 connection that is ready for the next request.
    pub(super) fn put(self: &Arc<Self>, mut connection: Box<Wire>) {
        let mut state = self.state();
        while let Some(waiting) = state.waiting.pop_front() {
            match waiting.send(connection) {
                Ok(()) => return,
                Err(back) => connection = back,
            }
        }
        let since = state.sweeps;
        state.idle.push(Idle { connection, since });
        self.sweep(&mut state);
    }

    /// Takes a request off an HTTP/2 connection.
    pub(super) fn release(&self, connection: &Http2<B>) {
        if connection.remove_request() > 0 {
            return;
        }
        let mut state = self.state();
        let now = state.sweeps;
        let mut open = state.http2.iter_mut();
        if let Some(idle) = open.find(|idle| idle.connection.is(connection)) {
            idle.since = now;
        }
    }

    /// Takes no more requests to an HTTP/2 connection that refused one, since the server is about to
    /// close it.
    pub(super) fn forget(&self, connection: &Http2<B>) {
        let mut state = self.state();
        state.http2.retain(|idle| !idle.connection.is(connection));
    }

    /// Closes connections that have been idle for too long, from now until there are none.
    fn sweep(self: &Arc<Self>, state: &mut State<B>) {
        if state.is_swept {
            return;
        }
        state.is_swept = true;
        let pool = Arc::downgrade(self);
        tokio::spawn(async move { while sweep_once(&pool).await {} });
    }

    fn state(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn sweep_once<B: PoolBody>(pool: &Weak<Shared<B>>) -> bool {
    tokio::time::sleep(SWEEP_INTERVAL).await;
    let Some(pool) = pool.upgrade() else {
        return false;
    };
    let mut state = pool.state();
    state.sweeps += 1;
    let oldest = state.sweeps.saturating_sub(IDLE_SWEEPS);
    state
        .idle
        .retain_mut(|idle| idle.since > oldest && idle.connection.is_idle());
    state.http2.retain(|idle| {
        !idle.connection.is_closed() && (idle.since > oldest || idle.connection.load() > 0)
    });
    state.is_swept = !state.idle.is_empty() || !state.http2.is_empty();
    state.is_swept
}
