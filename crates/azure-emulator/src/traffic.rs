//! The traffic of a service: counters that tests can wait on, and the latest requests.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::watch;

use super::{
    body::{self, Body},
    serve::Connection,
};

/// How much of a request's body is remembered.
const BODY_CAP: usize = 64 * 1024;

/// Numbers that only grow, but for `running`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests whose head has arrived.
    pub requests: u64,
    /// Requests turned away for their token: missing, expired, or for another audience.
    pub invalid_tokens: u64,
    /// Requests whose response is not sent to its last byte yet.
    pub running: u64,
    /// Requests whose client left before the last byte of the response.
    pub cancelled: u64,
}

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// The method.
    pub method: Method,
    /// The request-target: path and query, byte for byte.
    pub target: String,
    /// The `Host` header or the `:authority`.
    pub host: String,
    /// The protocol.
    pub version: Version,
    /// All headers, the token included.
    pub headers: HeaderMap,
    /// The first 64 KiB of the body, as far as it has arrived.
    pub body: Bytes,
    /// The client's address. The port distinguishes connections.
    pub peer: SocketAddr,
}

/// The head of a request, and its body, which may still be arriving.
type Record = (RecordedRequest, Arc<Mutex<Vec<u8>>>);

/// The memory of one service. Clones share it.
#[derive(Debug, Clone)]
pub struct Traffic(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    counters: watch::Sender<Counters>,
    bytes_sent: AtomicU64,
    capacity: usize,
    requests: Mutex<VecDeque<Record>>,
}

impl Traffic {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Arc::new(Inner {
            counters: watch::Sender::new(Counters::default()),
            bytes_sent: AtomicU64::new(0),
            capacity,
            requests: Mutex::default(),
        }))
    }

    /// The counters now.
    pub fn counters(&self) -> Counters {
        *self.0.counters.borrow()
    }

    /// Waits until the counters satisfy a condition, and returns them. It never gives up: wrap it
    /// in a timeout.
    pub async fn until(&self, condition: impl FnMut(&Counters) -> bool) -> Counters {
        let mut counters = self.0.counters.subscribe();
        let mut condition = condition;
        match counters.wait_for(|now| condition(now)).await {
            Ok(now) => *now,
            // The sender lives in `self`.
            Err(_) => self.counters(),
        }
    }

    /// Bytes that the streams under `/emulator/` have handed to HTTP so far. Against a client that
    /// reads nothing this stops when the sockets' buffers are full: after a few MiB on loopback.
    pub fn bytes_sent(&self) -> u64 {
        self.0.bytes_sent.load(Ordering::Relaxed)
    }

    /// The latest requests, oldest first.
    pub fn recorded(&self) -> Vec<RecordedRequest> {
        self.lock().iter().map(snapshot).collect()
    }

    /// The latest request.
    pub fn last(&self) -> Option<RecordedRequest> {
        self.lock().back().map(snapshot)
    }

    /// Forgets the recorded requests; the counters go on.
    pub fn forget(&self) {
        self.lock().clear();
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.0.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn invalid_token(&self) {
        self.0
            .counters
            .send_modify(|counters| counters.invalid_tokens += 1);
    }

    /// Counts and remembers a request.
    pub(super) fn begin(
        &self,
        request: Request<Incoming>,
        connection: &Arc<Connection>,
    ) -> (Running, Request<RequestBody>) {
        let memory = (self.0.capacity > 0).then(|| self.remember(&request, connection));
        self.0.counters.send_modify(|counters| {
            counters.requests += 1;
            counters.running += 1;
        });
        let running = Running {
            traffic: self.clone(),
            connection: Arc::clone(connection),
            finished: false,
        };
        (running, request.map(|inner| RequestBody { inner, memory }))
    }

    fn remember(
        &self,
        request: &Request<Incoming>,
        connection: &Connection,
    ) -> Arc<Mutex<Vec<u8>>> {
        let memory = Arc::<Mutex<Vec<u8>>>::default();
        let record = RecordedRequest {
            method: request.method().clone(),
            target: target(request),
            host: body::base_url(request)["https://".len()..].to_owned(),
            version: request.version(),
            headers: request.headers().clone(),
            body: Bytes::new(),
            peer: connection.peer,
        };
        let mut requests = self.lock();
        if requests.len() == self.0.capacity {
            requests.pop_front();
        }
        requests.push_back((record, Arc::clone(&memory)));
        memory
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Record>> {
        lock(&self.0.requests)
    }
}

/// A record with the part of its body that has arrived.
fn snapshot((request, body): &Record) -> RecordedRequest {
    RecordedRequest {
        body: lock(body).clone().into(),
        ..request.clone()
    }
}

/// Path and query as the client wrote them.
pub(super) fn target<T>(request: &Request<T>) -> String {
    request
        .uri()
        .path_and_query()
        .map_or_else(|| request.uri().to_string(), ToString::to_string)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request in flight. If it is dropped early, it counts as cancelled.
pub(super) struct Running {
    traffic: Traffic,
    connection: Arc<Connection>,
    finished: bool,
}

impl Running {
    /// Follows the response to its last byte.
    pub(super) fn follow(mut self, method: &Method, response: Response<Body>) -> Response<Body> {
        let response = if *method == Method::HEAD {
            without_body(response)
        } else {
            response
        };
        // hyper does not poll the bodies of these responses, so their end would never be noticed.
        let bodiless = matches!(
            response.status(),
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        self.finished = bodiless || response.body().is_end_stream();
        response.map(|inner| {
            let running = self;
            Followed { inner, running }.boxed_unsync()
        })
    }
}

/// The head of a response to HEAD, with the length that GET would have. hyper leaves the body out
/// of HTTP/1.1, but sends it over HTTP/2.
fn without_body(response: Response<Body>) -> Response<Body> {
    let length = response.body().size_hint().exact();
    let (head, _) = response.into_parts();
    let mut bare = body::empty(head.status);
    *bare.headers_mut() = head.headers;
    if let Some(length) = length {
        bare.headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    bare
}

impl Drop for Running {
    fn drop(&mut self) {
        let cancelled = !self.finished && !self.connection.is_cut();
        self.traffic.0.counters.send_modify(|counters| {
            counters.running -= 1;
            counters.cancelled += u64::from(cancelled);
        });
    }
}

struct Followed {
    inner: Body,
    running: Running,
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        self.running.finished = match &frame {
            Poll::Pending => false,
            Poll::Ready(Some(Ok(_))) => self.inner.is_end_stream(),
            // An error is a fault of this side's making, so the client is not to blame.
            Poll::Ready(None | Some(Err(_))) => true,
        };
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A request's body, whose first bytes are recorded as they pass.
pub(super) struct RequestBody {
    inner: Incoming,
    memory: Option<Arc<Mutex<Vec<u8>>>>,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        if let (Poll::Ready(Some(Ok(frame))), Some(memory)) = (&frame, &self.memory)
            && let Some(data) = frame.data_ref()
        {
            let mut body = lock(memory);
            let free = BODY_CAP.saturating_sub(body.len());
            body.extend_from_slice(&data[..data.len().min(free)]);
            if body.len() == BODY_CAP {
                drop(body);
                self.memory = None;
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
