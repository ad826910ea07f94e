//! Both bodies of an exchange, streamed frame by frame: nothing piles up, and
//! whoever stops reading stops the other side.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::{
    sync::oneshot,
    time::{Instant, Sleep, sleep_until},
};

use super::{
    client_body::{ClientBody, UploadError},
    download::{Download, DownloadError},
    exchange::Exchange,
    headers,
    links::Scan,
    places::Place,
    record::{Outcome, Record},
    rewritten::Rewritten,
    unpacked::Unpacked,
};

/// A request's body on its way to the upstream.
#[derive(Debug)]
pub struct UploadBody {
    upload: Upload,
    /// Gets the body back from a connection that does not take it.
    owner: Option<oneshot::Sender<Upload>>,
}

#[derive(Debug)]
pub(super) enum Upload {
    /// As the client sends it. Boxed, since requests without a body would only carry the room for it
    /// about.
    Plain(Box<ClientBody>),
    /// With its links changed.
    Rewritten(Box<Rewritten<ClientBody>>),
    /// Decompressed, with its links changed.
    Unpacked(Box<Rewritten<Unpacked>>),
    /// Held as a whole.
    Whole {
        chunks: vec::IntoIter<Bytes>,
        trailers: Option<Box<HeaderMap>>,
    },
    /// Read on, behind a start that has been read before.
    Resumed {
        start: vec::IntoIter<Bytes>,
        rest: Box<Upload>,
    },
}

impl From<Upload> for UploadBody {
    fn from(upload: Upload) -> Self {
        Self {
            upload,
            owner: None,
        }
    }
}

impl UploadBody {
    pub(super) fn new(client: ClientBody) -> Self {
        if client.is_end_stream() {
            client.exchange.set_sent();
            return Self::whole(Vec::new(), None);
        }
        Upload::Plain(Box::new(client)).into()
    }

    pub(super) fn rewritten(client: ClientBody, scan: &Scan) -> Self {
        let rewriter = scan.rewriter();
        let upload = match scan.coding {
            None => Upload::Rewritten(Box::new(Rewritten::new(client, rewriter))),
            Some(coding) => {
                let client = Unpacked::new(client, coding);
                Upload::Unpacked(Box::new(Rewritten::new(client, rewriter)))
            }
        };
        upload.into()
    }

    /// For a request whose body is there already.
    pub(super) fn whole(chunks: Vec<Bytes>, trailers: Option<Box<HeaderMap>>) -> Self {
        Upload::Whole {
            chunks: chunks.into_iter(),
            trailers,
        }
        .into()
    }

    /// Goes on with a body that came back, behind what had been read of it.
    pub(super) fn resumed(start: Vec<Bytes>, rest: Upload) -> Self {
        let rest = match rest {
            Upload::Resumed { rest, .. } => rest,
            rest => Box::new(rest),
        };
        let start = start.into_iter();
        Upload::Resumed { start, rest }.into()
    }

    /// The body, and where it comes back to if a connection takes less than all of it.
    pub(super) fn lent(mut self) -> (Self, oneshot::Receiver<Upload>) {
        let (owner, back) = oneshot::channel();
        self.owner = Some(owner);
        (self, back)
    }
}

impl Drop for UploadBody {
    fn drop(&mut self) {
        if let Some(exchange) = self.upload.exchange() {
            exchange.set_dropped();
        }
        if let Some(owner) = self.owner.take().filter(|_| !self.upload.is_end_stream()) {
            let nothing = Upload::Whole {
                chunks: vec::IntoIter::default(),
                trailers: None,
            };
            let _ = owner.send(mem::replace(&mut self.upload, nothing));
        }
    }
}

impl Upload {
    /// `None` for a body that is there as a whole.
    fn exchange(&self) -> Option<&Exchange> {
        match self {
            Self::Plain(body) => Some(&body.exchange),
            Self::Rewritten(body) => Some(&body.inner().exchange),
            Self::Unpacked(body) => Some(&body.inner().client().exchange),
            Self::Whole { .. } => None,
            Self::Resumed { rest, .. } => rest.exchange(),
        }
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let (polled, is_end, exchange) = match self {
            Upload::Plain(body) => {
                let polled = Pin::new(&mut **body).poll_frame(cx);
                (polled, body.is_end_stream(), &body.exchange)
            }
            Upload::Rewritten(body) => {
                let polled = Pin::new(&mut **body).poll_frame(cx);
                (polled, body.is_end_stream(), &body.inner().exchange)
            }
            Upload::Unpacked(body) => {
                let polled = Pin::new(&mut **body).poll_frame(cx);
                let client = body.inner().client();
                (polled, body.is_end_stream(), &client.exchange)
            }
            Upload::Whole { chunks, trailers } => {
                let frame = match chunks.next() {
                    Some(chunk) => Some(Frame::data(chunk)),
                    None => trailers.take().map(|trailers| Frame::trailers(*trailers)),
                };
                return Poll::Ready(frame.map(Ok));
            }
            // It has been kept before.
            Upload::Resumed { start, rest } => {
                return match start.next() {
                    Some(chunk) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
                    None => rest.poll_frame(cx),
                };
            }
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                exchange.keep(frame.data_ref());
                if is_end {
                    exchange.set_sent();
                }
            }
            Poll::Ready(None) => {
                exchange.moved();
                exchange.set_sent();
            }
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Rewritten(body) => body.is_end_stream(),
            Self::Unpacked(body) => body.is_end_stream(),
            Self::Whole { chunks, trailers } => chunks.len() == 0 && trailers.is_none(),
            Self::Resumed { start, rest } => start.len() == 0 && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let length = |chunks: &[Bytes]| chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Rewritten(_) | Self::Unpacked(_) => SizeHint::default(),
            Self::Whole { chunks, .. } => SizeHint::with_exact(length(chunks.as_slice())),
            Self::Resumed { start, rest } => match rest.size_hint().exact() {
                Some(rest) => SizeHint::with_exact(length(start.as_slice()) + rest),
                None => SizeHint::default(),
            },
        }
    }
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        self.upload.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.upload.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.upload.size_hint()
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
    upstream: Download,
    exchange: Arc<Exchange>,
    record: Record,
    alarm: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

impl DownloadBody {
    pub(super) fn new(
        upstream: Download,
        exchange: Arc<Exchange>,
        record: Record,
        place: Place,
    ) -> Self {
        Self {
            upstream,
            exchange,
            record,
            alarm: None,
            _place: place,
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
            Poll::Ready(Some(Ok(mut frame))) => {
                if let Some(trailers) = frame.trailers_mut() {
                    headers::strip_trailers(trailers);
                }
                this.record.sent(frame.data_ref().map_or(0, Bytes::len));
                if this.upstream.is_all_out() {
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
                Poll::Ready(Some(Err(error)))
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
