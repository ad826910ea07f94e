//! A response's body on its way to the client, streamed frame by frame.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    super::{
        access_log::{LogEntry, Outcome},
        concurrency::Permit,
        headers,
        progress::Progress,
    },
    download::{Download, DownloadError},
};

/// A response's body on its way to the client.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every response is the upstream's, and a box would cost it an allocation"
)]
pub(crate) enum ResponseBody {
    /// The proxy's own response.
    Own(Full<Bytes>),
    /// The upstream's response.
    Upstream(DownloadBody),
}

/// The upstream's body, with the values that must live until its end.
#[derive(Debug)]
pub(crate) struct DownloadBody {
    upstream: Download,
    progress: Arc<Progress>,
    log: LogEntry,
    timer: Option<Pin<Box<Sleep>>>,
    _permit: Permit,
}

impl DownloadBody {
    pub(in crate::proxy) fn new(
        upstream: Download,
        progress: Arc<Progress>,
        log: LogEntry,
        permit: Permit,
    ) -> Self {
        Self {
            upstream,
            progress,
            log,
            timer: None,
            _permit: permit,
        }
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let progress = &self.progress;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(progress.idle_deadline())));
        while timer.as_mut().poll(cx).is_ready() {
            let deadline = progress.idle_deadline();
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
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
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::strip_trailers(trailers);
                }
                this.log.sent(frame.data_ref().map_or(0, Bytes::len));
                if this.upstream.is_all_out() {
                    this.log.set_outcome(Outcome::Complete);
                } else {
                    this.progress.moved();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                this.log.set_outcome(Outcome::Complete);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                this.log.set_outcome(Outcome::UpstreamBrokeOff);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Pending => this.poll_idle(cx).map(|()| {
                this.log.set_outcome(Outcome::UpstreamStalled);
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
