//! An answer's body as it comes from the upstream, or with its links changed.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{
    super::{
        decompress::{DecompressError, Decompressed},
        failure::Failure,
        links::{self, BodyRewrite},
        progress::Progress,
        timers::Timers,
    },
    rewritten::Rewritten,
    upload::UploadBody,
};
use crate::upstream::{self, BodyError};

type UpstreamBody = upstream::ResponseBody<UploadBody>;

/// What comes from the upstream.
#[derive(Debug)]
pub(in crate::proxy) enum Download {
    Plain(UpstreamBody),
    /// With its links changed.
    Rewritten(Box<Rewritten<UpstreamBody>>),
    /// Likewise, no longer compressed.
    Decompressed(Box<Rewritten<Decompressed<UpstreamBody>>>),
    /// Not compressed in the way that its head says, and left alone.
    Mislabelled(Box<Decompressed<UpstreamBody>>),
}

/// Why a response's body broke off. The client sees its connection or stream end early.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The upstream broke off.
    #[error("the upstream's body broke off")]
    Upstream(#[source] BodyError),
    /// It is not compressed in the way that its head says.
    #[error("the upstream's body cannot be decoded")]
    Content(#[source] io::Error),
    /// Nothing moved for `network.idle_timeout`.
    #[error("the upstream's body stopped coming")]
    Idle,
}

impl From<DecompressError<BodyError>> for DownloadError {
    fn from(error: DecompressError<BodyError>) -> Self {
        match error {
            DecompressError::Body(error) => Self::Upstream(error),
            DecompressError::Content(error) => Self::Content(error),
        }
    }
}

impl Download {
    /// A body to be searched. A compressed one must have begun before the head says anything of it:
    /// if it cannot be decoded after all, both pass as they are.
    pub(in crate::proxy) async fn searched(
        body: UpstreamBody,
        rewrite: &BodyRewrite,
        headers: &mut HeaderMap,
        progress: &Progress,
        timers: &Timers,
    ) -> Result<Self, Failure> {
        let Some(coding) = rewrite.coding else {
            links::mark_answer(headers);
            let body = Rewritten::new(body, rewrite.rewriter());
            return Ok(Self::Rewritten(Box::new(body)));
        };
        let mut body = Box::new(Decompressed::new(body, coding));
        progress.moved();
        // Boxed, since few answers are compressed.
        let start = Box::pin(progress.while_moving(timers, body.is_compressed()));
        let is_compressed = start.await;
        if !is_compressed.map_err(|late| Failure::late(late, progress.timeouts()))? {
            return Ok(Self::Mislabelled(body));
        }
        links::mark_answer(headers);
        let body = Rewritten::new(*body, rewrite.rewriter());
        Ok(Self::Decompressed(Box::new(body)))
    }

    /// Whether all of its data is out. Over HTTP/2 its end may come in a frame of its own, which a
    /// server of HTTP/1.1 does not wait for where the length is known.
    pub(in crate::proxy) fn is_all_out(&self) -> bool {
        self.is_end_stream() || self.size_hint().exact() == Some(0)
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        match self.get_mut() {
            Self::Plain(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(DownloadError::Upstream),
            Self::Rewritten(body) => Pin::new(&mut **body)
                .poll_frame(cx)
                .map_err(DownloadError::Upstream),
            Self::Decompressed(body) => Pin::new(&mut **body)
                .poll_frame(cx)
                .map_err(DownloadError::from),
            Self::Mislabelled(body) => Pin::new(&mut **body)
                .poll_frame(cx)
                .map_err(DownloadError::from),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Rewritten(body) => body.is_end_stream(),
            Self::Decompressed(body) => body.is_end_stream(),
            Self::Mislabelled(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Rewritten(_) | Self::Decompressed(_) | Self::Mislabelled(_) => {
                SizeHint::default()
            }
        }
    }
}
