//! A request's body as it comes from the client.

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

use super::super::{headers, progress::Progress};
use crate::server::RequestBody;

/// What comes from the client, and who is told of it.
#[derive(Debug)]
pub(in crate::proxy) struct ClientBody {
    client: RequestBody,
    pub(in crate::proxy) progress: Arc<Progress>,
    limit: u64,
    /// What was read, and is to be read again.
    unread: VecDeque<Frame<Bytes>>,
}

/// Why a request's body broke off.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The client went away or sent nonsense.
    #[error("the client's body broke off")]
    Client(#[source] hyper::Error),
    /// More than `limits.request_body`.
    #[error("the request's body is larger than {limit} bytes")]
    TooLarge {
        /// What it may have.
        limit: u64,
    },
    /// It is not compressed in the way that its head says.
    #[error("the client's body cannot be decoded")]
    Content(#[source] io::Error),
}

impl ClientBody {
    pub(in crate::proxy) fn new(
        client: RequestBody,
        progress: Arc<Progress>,
        limit: Option<u64>,
    ) -> Self {
        Self {
            client,
            progress,
            limit: limit.unwrap_or(u64::MAX),
            unread: VecDeque::new(),
        }
    }

    /// What a client may send.
    pub(in crate::proxy) fn limit(&self) -> u64 {
        self.limit
    }

    /// Gives back a body that was read to its end.
    pub(in crate::proxy) fn unread(&mut self, body: Bytes, trailers: Option<Box<HeaderMap>>) {
        self.unread.push_back(Frame::data(body));
        let trailers = trailers.map(|trailers| Frame::trailers(*trailers));
        self.unread.extend(trailers);
    }

    /// Notes that it has come to so many bytes.
    pub(in crate::proxy) fn check_length(&self, length: u64) -> Result<(), UploadError> {
        if length <= self.limit {
            return Ok(());
        }
        self.progress.set_too_large();
        Err(UploadError::TooLarge { limit: self.limit })
    }

    /// Notes that it cannot be decoded.
    pub(in crate::proxy) fn damaged(&self, error: io::Error) -> UploadError {
        self.progress.set_damaged();
        UploadError::Content(error)
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
        let progress = &this.progress;
        // A few bytes may hold thousands of frames, of which some say nothing.
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
                this.check_length(progress.uploaded(frame.data_ref()))?;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                progress.set_broken_off();
                Poll::Ready(Some(Err(UploadError::Client(error))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                progress.set_waiting_for_client();
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
