//! One open connection, HTTP/1.1 or HTTP/2.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, header, uri::PathAndQuery};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::{
    connect::Connector, error::ConnectError, http1::Wire, origin::Origin, request_body::Watched,
};
use crate::config::HttpVersion;

const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
const HEADER_LIST_SIZE: u32 = 256 << 10;
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that takes requests.
#[derive(Debug)]
pub(super) enum Connection {
    /// HTTP/1.1, which takes one request at a time.
    Http1(Box<Wire>),
    /// HTTP/2, which takes many requests at a time.
    Http2(Http2),
}

/// An HTTP/2 connection. Clones share it. A task of its own drives the connection, and ends when
/// the last clone is dropped and no request is in flight.
#[derive(Debug, Clone)]
pub(super) struct Http2 {
    sender: http2::SendRequest<Watched>,
    usage: Arc<Usage>,
}

#[derive(Debug, Default)]
struct Usage {
    in_flight: AtomicUsize,
    is_refusing: AtomicBool,
}

impl Http2 {
    /// The number of requests in flight on this connection.
    pub(super) fn load(&self) -> usize {
        self.usage.in_flight.load(Ordering::Relaxed)
    }

    /// Whether both are the same connection.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.usage, &other.usage)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Whether the last stream that was accepted or refused was refused.
    pub(super) fn is_refusing(&self) -> bool {
        self.usage.is_refusing.load(Ordering::Relaxed)
    }

    pub(super) fn set_refusing(&self, is_refusing: bool) {
        // Read before it is written, since requests share the flag and rarely change it.
        if self.is_refusing() != is_refusing {
            self.usage.is_refusing.store(is_refusing, Ordering::Relaxed);
        }
    }

    pub(super) fn add_request(&self) {
        self.usage.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// Removes a request, and returns the number of those that are left.
    pub(super) fn remove_request(&self) -> usize {
        self.usage.in_flight.fetch_sub(1, Ordering::Relaxed) - 1
    }
}

impl Http2 {
    /// Sends a request whose target is path and query alone. The error contains the request if no
    /// byte of it has been written.
    pub(super) async fn send(
        &mut self,
        mut request: Request<Watched>,
        origin: &Origin,
    ) -> Result<Response<Incoming>, TrySendError<Request<Watched>>> {
        // In HTTP/2, `:authority` takes the place of Host, and nginx refuses a request with both.
        request.headers_mut().remove(header::HOST);
        let target = request.uri().path_and_query();
        let uri = origin.uri(target.unwrap_or(&PathAndQuery::from_static("/")));
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_2;
        self.sender.try_send_request(request).await
    }
}

/// Opens a connection: HTTP/2 if the server chose it by ALPN, or if the configuration allows only
/// it.
pub(super) async fn open(
    connector: &Connector,
    origin: &Origin,
    version: HttpVersion,
) -> Result<Connection, ConnectError> {
    let stream = connector.connect(origin).await?;
    if !stream.is_http2() && version != HttpVersion::Http2 {
        return Ok(Connection::Http1(Wire::new(stream)));
    }
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADER_LIST_SIZE)
        .keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| ConnectError::Tcp {
            host: origin.to_string(),
            reason: io::Error::other(error),
        })?;
    tokio::spawn(connection);
    Ok(Connection::Http2(Http2 {
        sender,
        usage: Arc::default(),
    }))
}
