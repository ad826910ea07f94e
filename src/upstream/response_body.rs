//! The body of a response, over either version of HTTP.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::task::coop::poll_proceed;

use super::{
    http1::{self, BodyReader, EarlyBody},
    lease::Lease,
};

/// A response's body. An HTTP/1.1 connection takes no other request before the end of the body, and
/// is closed if the body is dropped before that.
pub struct ResponseBody(State);

enum State {
    /// The whole rest of the body, which may be empty.
    Whole(Bytes),
    Http1(BodyReader),
    Early(EarlyBody),
    Http2 {
        body: Incoming,
        _lease: Lease,
    },
}

/// The reason why a response's body broke off.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BodyError(#[from] Cause);

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Http1(http1::Broken),
    #[error(transparent)]
    Http2(hyper::Error),
}

impl ResponseBody {
    pub(super) fn http1(body: http1::Body) -> Self {
        Self(match body {
            http1::Body::Whole(body) => State::Whole(body),
            http1::Body::Coming(reader) => State::Http1(reader),
            http1::Body::Early(early) => State::Early(early),
        })
    }

    pub(super) fn http2(body: Incoming, lease: Lease) -> Self {
        Self(State::Http2 {
            body,
            _lease: lease,
        })
    }

    /// Whether the server takes the rest of the request, if there is any left.
    pub fn takes_rest_of_request(&self) -> bool {
        match &self.0 {
            State::Early(early) => early.takes_rest_of_request(),
            State::Whole(_) | State::Http1(_) | State::Http2 { .. } => true,
        }
    }
}

/// Omits the bytes, which may be patient data.
impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

type FrameResult = Result<Frame<Bytes>, BodyError>;

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FrameResult>> {
        let http1 = |broken| BodyError(Cause::Http1(broken));
        // A few bytes may contain thousands of frames, many of them empty. Without a budget, they
        // would keep other tasks waiting.
        let budget = ready!(poll_proceed(cx));
        let polled = match &mut self.0 {
            State::Whole(body) => {
                let data = std::mem::take(body);
                Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
            }
            State::Http1(reader) => {
                let frame = reader.poll_frame(cx).map_err(http1);
                if reader.is_end() {
                    // Dropped now, so that the pool gets the connection back however long this body
                    // is kept.
                    self.0 = State::Whole(Bytes::new());
                }
                frame
            }
            State::Early(early) => early.poll_frame(cx).map_err(http1),
            State::Http2 { body, .. } => {
                let frame = Pin::new(body).poll_frame(cx);
                frame.map_err(|error| BodyError(Cause::Http2(error)))
            }
        };
        if polled.is_ready() {
            budget.made_progress();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            State::Whole(body) => body.is_empty(),
            State::Http1(reader) => reader.is_end(),
            State::Early(early) => early.is_end(),
            State::Http2 { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::Whole(body) => SizeHint::with_exact(body.len() as u64),
            State::Http1(reader) => reader.size_hint(),
            State::Early(early) => early.size_hint(),
            State::Http2 { body, .. } => body.size_hint(),
        }
    }
}
