//! A request's body, and its end if the handler does not read the rest.
//!
//! Over HTTP/2, hyper resets a stream whose request is not read to its end, and some clients (curl
//! 7.88) then discard the response. So the rest is read and dropped for a moment, as over HTTP/1.1
//! before a connection is closed. For a larger request the response comes first, and then
//! `RST_STREAM` with `NO_ERROR` (RFC 9113, section 8.1).
//!
//! Without it, `a_small_request_is_read_to_its_end_whoever_answers_it` in
//! `tests/it/unread_requests.rs` fails. Delete it once hyper drains unread requests over HTTP/2.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};

use super::{
    active::Active,
    io::{LINGER, LINGER_QUIET},
    limits::STREAM_WINDOW,
};

/// The body of a request, as it comes from the client.
#[derive(Debug)]
pub struct RequestBody {
    /// The body from hyper. `None` only while this value is dropped.
    incoming: Option<Incoming>,
    is_http2: bool,
    /// The connection of an HTTP/1.1 request with a body, which is notified whether the handler
    /// waits for more of the body.
    active: Option<Active>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, version: Version, active: &Active) -> Self {
        let is_http2 = version == Version::HTTP_2;
        let has_body = !incoming.is_end_stream();
        Self {
            incoming: Some(incoming),
            is_http2,
            active: (has_body && !is_http2).then(|| active.clone()),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(incoming).poll_frame(cx);
        if let Some(active) = &self.active {
            active.set_awaits_body(polled.is_pending());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let incoming = self.incoming.as_ref();
        incoming.map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(active) = &self.active {
            active.set_awaits_body(false);
        }
        if self.is_http2
            && !self.is_end_stream()
            && let Some(incoming) = self.incoming.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(drain(incoming));
        }
    }
}

/// Reads on until the client pauses, has used up its flow-control window, or takes too long.
async fn drain(mut incoming: Incoming) {
    let end = Instant::now() + LINGER;
    let mut left = STREAM_WINDOW as usize;
    loop {
        let deadline = end.min(Instant::now() + LINGER_QUIET);
        let Ok(Some(Ok(frame))) = timeout_at(deadline, incoming.frame()).await else {
            return;
        };
        let length = frame.data_ref().map_or(0, Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
