//! Both bodies of an exchange, streamed frame by frame: nothing is copied, nothing piles up, and
//! whoever stops reading stops the other side.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    exchange::Exchange,
    record::{Outcome, Record},
};
use crate::upstream::Lease;

/// A request's body on its way to the upstream.
#[derive(Debug)]
pub struct UploadBody(Upload);

#[derive(Debug)]
enum Upload {
    /// As the client sends it.
    First {
        client: Incoming,
        exchange: Arc<Exchange>,
        limit: u64,
    },
    /// What was kept of the first.
    Again(vec::IntoIter<Bytes>),
}

/// Why a request's body broke off.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The client went away or sent nonsense.
    #[error("the client's body broke off")]
    Client(#[source] hyper::Error),
    /// More than `limits.request_body`.
    #[error("the request's body is too large")]
    TooLarge,
}

impl UploadBody {
    pub(super) fn new(client: Incoming, exchange: Arc<Exchange>, limit: Option<u64>) -> Self {
        if client.is_end_stream() {
            exchange.set_sent();
        }
        Self(Upload::First {
            client,
            exchange,
            limit: limit.unwrap_or(u64::MAX),
        })
    }

    /// For a request that is sent once more.
    pub(super) fn again(chunks: Vec<Bytes>) -> Self {
        Self(Upload::Again(chunks.into_iter()))
    }
}

impl Drop for UploadBody {
    fn drop(&mut self) {
        if let Upload::First { exchange, .. } = &self.0 {
            exchange.set_dropped();
        }
    }
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let (client, exchange, limit) = match &mut self.get_mut().0 {
            Upload::First {
                client,
                exchange,
                limit,
            } => (client, exchange, *limit),
            Upload::Again(chunks) => {
                return Poll::Ready(chunks.next().map(|chunk| Ok(Frame::data(chunk))));
            }
        };
        match Pin::new(&mut *client).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if exchange.uploaded(frame.data_ref()) > limit {
                    exchange.set_too_large();
                    return Poll::Ready(Some(Err(UploadError::TooLarge)));
                }
                if client.is_end_stream() {
                    exchange.set_sent();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                exchange.set_broken_off();
                Poll::Ready(Some(Err(UploadError::Client(error))))
            }
            Poll::Ready(None) => {
                exchange.moved();
                exchange.set_sent();
                Poll::Ready(None)
            }
            Poll::Pending => {
                exchange.set_waiting_for_client();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Upload::First { client, .. } => client.is_end_stream(),
            Upload::Again(chunks) => chunks.len() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Upload::First { client, .. } => client.size_hint(),
            Upload::Again(chunks) => {
                SizeHint::with_exact(chunks.as_slice().iter().map(|c| c.len() as u64).sum())
            }
        }
    }
}

/// A response's body on its way to the client.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every response is the upstream's, and a box would cost it an allocation"
)]
pub enum ResponseBody {
    /// The proxy's own answer.
    Own(Full<Bytes>),
    /// The upstream's.
    Upstream(DownloadBody),
}

/// An upstream's body, and all that must last until its end.
#[derive(Debug)]
pub struct DownloadBody {
    upstream: Incoming,
    exchange: Arc<Exchange>,
    record: Record,
    alarm: Option<Pin<Box<Sleep>>>,
    _lease: Lease<UploadBody>,
    _permit: OwnedSemaphorePermit,
}

/// Why a response's body broke off. The client sees its connection or stream end early.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The upstream broke off.
    #[error("the upstream's body broke off")]
    Upstream(#[source] hyper::Error),
    /// Nothing moved for `network.idle_timeout`.
    #[error("the upstream's body stopped coming")]
    Idle,
}

impl DownloadBody {
    pub(super) fn new(
        upstream: Incoming,
        exchange: Arc<Exchange>,
        record: Record,
        lease: Lease<UploadBody>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            upstream,
            exchange,
            record,
            alarm: None,
            _lease: lease,
            _permit: permit,
        }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let exchange = &self.exchange;
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(sleep_until(exchange.idle_deadline())));
        while alarm.as_mut().poll(cx).is_ready() {
            let deadline = exchange.idle_deadline();
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl Body for DownloadBody {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.upstream).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.record.sent(frame.data_ref().map_or(0, Bytes::len));
                if this.upstream.is_end_stream() {
                    this.record.set_outcome(Outcome::Complete);
                } else {
                    this.exchange.moved();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                this.record.set_outcome(Outcome::Complete);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                this.record.set_outcome(Outcome::UpstreamBrokeOff);
                Poll::Ready(Some(Err(DownloadError::Upstream(error))))
            }
            Poll::Pending => this.poll_idle(cx).map(|()| {
                this.record.set_outcome(Outcome::UpstreamStalled);
                Some(Err(DownloadError::Idle))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.upstream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.upstream.size_hint()
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        match self.get_mut() {
            Self::Own(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Upstream(body) => body.size_hint(),
        }
    }
}
