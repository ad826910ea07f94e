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
    UploadBody,
    alarm::Alarms,
    decoded::{DecodeError, Decoded},
    exchange::Exchange,
    failure::Failure,
    links::{self, Scan},
    rewritten::Rewritten,
};
use crate::upstream::{self, AnswerError};

type AnswerBody = upstream::AnswerBody<UploadBody>;

/// What comes from the upstream.
#[derive(Debug)]
pub(super) enum Download {
    Plain(AnswerBody),
    /// With its links changed.
    Rewritten(Box<Rewritten<AnswerBody>>),
    /// Likewise, no longer compressed.
    Decoded(Box<Rewritten<Decoded<AnswerBody>>>),
    /// Not compressed in the way that its head says, and left alone.
    Mislabelled(Box<Decoded<AnswerBody>>),
}

/// Why a response's body broke off. The client sees its connection or stream end early.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The upstream broke off.
    #[error("the upstream's body broke off")]
    Upstream(#[source] AnswerError),
    /// It is not compressed in the way that its head says.
    #[error("the upstream's body cannot be decoded")]
    Content(#[source] io::Error),
    /// Nothing moved for `network.idle_timeout`.
    #[error("the upstream's body stopped coming")]
    Idle,
}

impl From<DecodeError<AnswerError>> for DownloadError {
    fn from(error: DecodeError<AnswerError>) -> Self {
        match error {
            DecodeError::Body(error) => Self::Upstream(error),
            DecodeError::Content(error) => Self::Content(error),
        }
    }
}

impl Download {
    /// A body to be searched. A compressed one must have begun before the head says anything of it:
    /// if it cannot be decoded after all, both pass as they are.
    pub(super) async fn searched(
        body: AnswerBody,
        scan: &Scan,
        headers: &mut HeaderMap,
        exchange: &Exchange,
        alarms: &Alarms,
    ) -> Result<Self, Failure> {
        let Some(coding) = scan.coding else {
            links::mark_answer(headers);
            let body = Rewritten::new(body, scan.rewriter());
            return Ok(Self::Rewritten(Box::new(body)));
        };
        let mut body = Box::new(Decoded::new(body, coding));
        exchange.moved();
        // Boxed, since few answers are compressed.
        let start = Box::pin(exchange.while_moving(alarms, body.is_compressed()));
        let is_compressed = start.await;
        if !is_compressed.map_err(|late| Failure::late(late, exchange.timeouts()))? {
            return Ok(Self::Mislabelled(body));
        }
        links::mark_answer(headers);
        let body = Rewritten::new(*body, scan.rewriter());
        Ok(Self::Decoded(Box::new(body)))
    }

    /// Whether all of its data is out. Over HTTP/2 its end may come in a frame of its own, which a
    /// server of HTTP/1.1 does not wait for where the length is known.
    pub(super) fn is_all_out(&self) -> bool {
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
            Self::Decoded(body) => Pin::new(&mut **body)
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
            Self::Decoded(body) => body.is_end_stream(),
            Self::Mislabelled(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Plain(body) => body.size_hint(),
            Self::Rewritten(_) | Self::Decoded(_) | Self::Mislabelled(_) => SizeHint::default(),
        }
    }
}
