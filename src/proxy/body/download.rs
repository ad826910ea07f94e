//! The body of a response as it arrives from the upstream, or with its links rewritten.

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
        links::{self, BodyRewrite},
    },
    rewritten::Rewritten,
};
use crate::upstream::{self, BodyError};

/// The upstream's body.
#[derive(Debug)]
pub(in crate::proxy) enum Download {
    /// As it arrives.
    Plain(upstream::ResponseBody),
    /// With its links rewritten.
    Rewritten(Box<Rewritten<upstream::ResponseBody>>),
    /// Decompressed, with its links rewritten.
    Decompressed(Box<Rewritten<Decompressed<upstream::ResponseBody>>>),
}

/// The reason why a response's body broke off. The client's connection or stream then ends early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    /// The upstream broke the body off.
    #[error("the upstream's body broke off")]
    Upstream(#[source] BodyError),
    /// The body is not compressed as `Content-Encoding` says.
    #[error("the upstream's body cannot be decompressed")]
    Content(#[source] io::Error),
    /// Nothing moved for `network.idle_timeout`.
    #[error("the upstream's body stopped")]
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
    /// Rewrites the links in a body, and corrects the headers that describe it.
    pub(in crate::proxy) fn rewritten(
        body: upstream::ResponseBody,
        rewrite: &BodyRewrite,
        headers: &mut HeaderMap,
    ) -> Self {
        links::describe_rewritten_response(headers);
        let rewriter = rewrite.rewriter();
        match rewrite.coding {
            None => Self::Rewritten(Box::new(Rewritten::new(body, rewriter))),
            Some(coding) => {
                let decompressed = Decompressed::new(body, coding);
                Self::Decompressed(Box::new(Rewritten::new(decompressed, rewriter)))
            }
        }
    }

    /// Whether all data has been read. Over HTTP/2 the end may come in a frame of its own, but an
    /// HTTP/1.1 server does not read on to it if the length is known.
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
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Plain(body) => body.is_end_stream(),
            Self::Rewritten(body) => body.is_end_stream(),
            Self::Decompressed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Rewritten(_) | Self::Decompressed(_) => SizeHint::default(),
        }
    }
}
