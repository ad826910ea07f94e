//! The body of a request, without the type of its producer. Connections, pools and responses
//! therefore do not depend on that type.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use parking_lot::Mutex;

/// The reason why a request's body broke off. It is the producer's own error, and can be downcast.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request.
pub struct RequestBody(Option<UnsyncBoxBody<Bytes, SourceError>>);

impl RequestBody {
    /// No body, which needs no allocation.
    pub fn empty() -> Self {
        Self(None)
    }

    /// A body that `source` produces.
    pub fn new<B>(source: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<SourceError>> + Send + 'static,
    {
        let is_empty = source.is_end_stream();
        Self((!is_empty).then(|| source.map_err(Into::into).boxed_unsync()))
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self::new(Full::new(bytes))
    }
}

/// Omits the bytes, which may be patient data.
impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = SourceError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SourceError>>> {
        match &mut self.0 {
            Some(source) => Pin::new(source).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let none = SizeHint::with_exact(0);
        self.0.as_ref().map_or(none, Body::size_hint)
    }
}

/// A body whose error can be read after hyper has taken the body. hyper resets an HTTP/2 stream
/// whose request body fails, and drops the error. Without this, a client's broken upload would be
/// reported as an error of the upstream, and `tests/it/limits.rs` fails.
#[derive(Debug)]
pub(super) struct Watched {
    body: RequestBody,
    error: ErrorSlot,
}

/// The error of a [`Watched`] body. `None` for an empty body, which cannot fail.
#[derive(Debug, Clone)]
pub(super) struct ErrorSlot(Option<Arc<Mutex<Option<SourceError>>>>);

impl ErrorSlot {
    pub(super) fn take(&self) -> Option<SourceError> {
        let slot = self.0.as_ref()?;
        slot.lock().take()
    }
}

impl Watched {
    pub(super) fn new(body: RequestBody) -> (Self, ErrorSlot) {
        let can_fail = !body.is_end_stream();
        let error = ErrorSlot(can_fail.then(Arc::default));
        let slot = error.clone();
        (Self { body, error }, slot)
    }

    pub(super) fn into_inner(self) -> RequestBody {
        self.body
    }
}

/// The error that hyper gets. The producer's error is in the [`ErrorSlot`].
#[derive(Debug, thiserror::Error)]
#[error("the request's body broke off")]
pub(super) struct BrokeOff;

impl Body for Watched {
    type Data = Bytes;
    type Error = BrokeOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokeOff>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        frame.map_err(|error| {
            if let Some(slot) = &self.error.0 {
                *slot.lock() = Some(error);
            }
            BrokeOff
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
