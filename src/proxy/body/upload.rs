//! A request's body on its way to the upstream, streamed frame by frame.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use super::{
    super::{links::BodyRewrite, progress::Progress},
    client::{ClientBody, UploadError},
    decompressed_client::DecompressedClient,
    rewritten::Rewritten,
};

/// A request's body on its way to the upstream.
#[derive(Debug)]
pub(in crate::proxy) struct UploadBody {
    upload: Upload,
    /// The receiver of the rest, if the connection drops the body before its end.
    owner: Option<oneshot::Sender<Upload>>,
}

#[derive(Debug)]
pub(in crate::proxy) enum Upload {
    /// The body as the client sends it. Boxed, since most requests have no body and need no memory
    /// for it.
    Plain(Box<ClientBody>),
    /// With its links rewritten.
    Rewritten(Box<Rewritten<ClientBody>>),
    /// Decompressed, with its links rewritten.
    Decompressed(Box<Rewritten<DecompressedClient>>),
    /// A body that is wholly in memory.
    Whole {
        chunks: vec::IntoIter<Bytes>,
        trailers: Option<Box<HeaderMap>>,
    },
    /// The buffered start, and the rest that follows it.
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
    pub(in crate::proxy) fn new(client: ClientBody) -> Self {
        if client.is_end_stream() {
            client.progress.set_sent();
            return Self::whole(Vec::new(), None);
        }
        Upload::Plain(Box::new(client)).into()
    }

    pub(in crate::proxy) fn rewritten(client: ClientBody, rewrite: &BodyRewrite) -> Self {
        let rewriter = rewrite.rewriter();
        let upload = match rewrite.coding {
            None => Upload::Rewritten(Box::new(Rewritten::new(client, rewriter))),
            Some(coding) => {
                let client = DecompressedClient::new(client, coding);
                Upload::Decompressed(Box::new(Rewritten::new(client, rewriter)))
            }
        };
        upload.into()
    }

    /// A body that is in memory.
    pub(in crate::proxy) fn whole(chunks: Vec<Bytes>, trailers: Option<Box<HeaderMap>>) -> Self {
        Upload::Whole {
            chunks: chunks.into_iter(),
            trailers,
        }
        .into()
    }

    /// A body that a connection gave back, with its buffered start.
    pub(in crate::proxy) fn resumed(start: Vec<Bytes>, rest: Upload) -> Self {
        let rest = match rest {
            Upload::Resumed { rest, .. } => rest,
            rest => Box::new(rest),
        };
        let start = start.into_iter();
        Upload::Resumed { start, rest }.into()
    }

    /// Returns the body, and a receiver that gets its rest if a connection does not take all of it.
    pub(in crate::proxy) fn lend(mut self) -> (Self, oneshot::Receiver<Upload>) {
        let (owner, back) = oneshot::channel();
        self.owner = Some(owner);
        (self, back)
    }
}

impl Drop for UploadBody {
    fn drop(&mut self) {
        if let Some(progress) = self.upload.progress() {
            progress.set_dropped();
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
    /// `None` for a body in memory.
    fn progress(&self) -> Option<&Progress> {
        match self {
            Self::Plain(body) => Some(&body.progress),
            Self::Rewritten(body) => Some(&body.inner().progress),
            Self::Decompressed(body) => Some(&body.inner().client().progress),
            Self::Whole { .. } => None,
            Self::Resumed { rest, .. } => rest.progress(),
        }
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let (polled, is_end, progress) = match self {
            Upload::Plain(body) => {
                let polled = Pin::new(&mut **body).poll_frame(cx);
                (polled, body.is_end_stream(), &body.progress)
            }
            Upload::Rewritten(body) => {
                let polled = Pin::new(&mut **body).poll_frame(cx);
                (polled, body.is_end_stream(), &body.inner().progress)
            }
            Upload::Decompressed(body) => {
                let polled = Pin::new(&mut **body).poll_frame(cx);
                let client = body.inner().client();
                (polled, body.is_end_stream(), &client.progress)
            }
            Upload::Whole { chunks, trailers } => {
                let frame = match chunks.next() {
                    Some(chunk) => Some(Frame::data(chunk)),
                    None => trailers.take().map(|trailers| Frame::trailers(*trailers)),
                };
                return Poll::Ready(frame.map(Ok));
            }
            // The start is buffered already.
            Upload::Resumed { start, rest } => {
                return match start.next() {
                    Some(chunk) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
                    None => rest.poll_frame(cx),
                };
            }
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                progress.buffer(frame.data_ref());
                if is_end {
                    progress.set_sent();
                }
            }
            Poll::Ready(None) => {
                progress.moved();
                progress.set_sent();
            }
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Rewritten(body) => body.is_end_stream(),
            Self::Decompressed(body) => body.is_end_stream(),
            Self::Whole { chunks, trailers } => chunks.len() == 0 && trailers.is_none(),
            Self::Resumed { start, rest } => start.len() == 0 && rest.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let length = |chunks: &[Bytes]| chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Rewritten(_) | Self::Decompressed(_) => SizeHint::default(),
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
