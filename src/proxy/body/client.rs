//! The body of a request as it arrives from the client.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::task::coop::poll_proceed;

use super::super::{
    headers,
    progress::{Late, Progress},
};
use crate::{config::ByteSize, server::RequestBody};

/// The client's body, which reports each step to the progress of its exchange.
#[derive(Debug)]
pub(in crate::proxy) struct ClientBody {
    client: RequestBody,
    pub(super) progress: Arc<Progress>,
    limit: u64,
    /// Frames that were read ahead and put back.
    unread: VecDeque<Frame<Bytes>>,
}

/// The reason why a request's body broke off.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum UploadError {
    /// The client left, or sent bytes that are not valid HTTP.
    #[error("the client's body broke off")]
    Client(#[source] hyper::Error),
    /// The body is larger than `limits.request_body`.
    #[error("the request's body is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    /// The body is not compressed as `Content-Encoding` says.
    #[error("the client's body cannot be decompressed")]
    Content(#[source] io::Error),
    /// The body, which has to be read before it is sent, did not arrive in time.
    #[error("the client's body stopped")]
    Late(Late),
}

impl From<Late> for UploadError {
    fn from(late: Late) -> Self {
        Self::Late(late)
    }
}

impl ClientBody {
    pub(in crate::proxy) fn new(
        client: RequestBody,
        progress: Arc<Progress>,
        limit: ByteSize,
    ) -> Self {
        Self {
            client,
            progress,
            limit: limit.limit().unwrap_or(u64::MAX),
            unread: VecDeque::new(),
        }
    }

    /// The most bytes that a client may send, decompressed.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Takes back a body that was read to its end.
    pub(super) fn unread(&mut self, body: Bytes, trailers: Option<Box<HeaderMap>>) {
        self.unread.push_back(Frame::data(body));
        let trailers = trailers.map(|trailers| Frame::trailers(*trailers));
        self.unread.extend(trailers);
    }

    /// Checks the number of bytes so far.
    pub(super) fn check_length(&self, length: u64) -> Result<(), UploadError> {
        if length <= self.limit {
            Ok(())
        } else {
            Err(UploadError::TooLarge { limit: self.limit })
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = self.get_mut();
        if let Some(frame) = this.unread.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        // A few bytes may contain thousands of frames, many of them empty. Without a budget, they
        // would keep other tasks waiting.
        let budget = ready!(poll_proceed(cx));
        let polled = Pin::new(&mut this.client).poll_frame(cx);
        if polled.is_ready() {
            budget.made_progress();
        }
        match polled {
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::strip_trailers(trailers);
                }
                this.check_length(this.progress.uploaded(frame.data_ref()))?;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(UploadError::Client(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                this.progress.set_waiting_for_client();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.unread.is_empty() && self.client.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.unread.is_empty() {
            self.client.size_hint()
        } else {
            SizeHint::default()
        }
    }
}
