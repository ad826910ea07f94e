//! A body whose links are changed while it streams past: as many bytes are held back as the
//! rewriter needs, whoever stops reading stops the sender, and trailers pass.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame};

use crate::rewrite::{FormRewriter, JsonRewriter, XmlRewriter};

/// Changes the links of one body.
#[derive(Debug)]
pub(super) enum Rewriter {
    Json(JsonRewriter),
    Xml(XmlRewriter),
    Form(FormRewriter),
}

impl Rewriter {
    pub(super) fn push(&mut self, chunk: &Bytes) -> Bytes {
        match self {
            Self::Json(rewriter) => rewriter.push(chunk),
            Self::Xml(rewriter) => rewriter.push(chunk),
            Self::Form(rewriter) => rewriter.push(chunk),
        }
    }

    pub(super) fn finish(self) -> Bytes {
        match self {
            Self::Json(rewriter) => rewriter.finish(),
            Self::Xml(rewriter) => rewriter.finish(),
            Self::Form(rewriter) => rewriter.finish(),
        }
    }
}

/// A body and what changes it.
#[derive(Debug)]
pub(super) struct Rewritten<B> {
    body: B,
    /// `None` once the body has ended.
    rewriter: Option<Rewriter>,
    trailers: Option<Frame<Bytes>>,
}

impl<B> Rewritten<B> {
    pub(super) fn new(body: B, rewriter: Rewriter) -> Self {
        Self {
            body,
            rewriter: Some(rewriter),
            trailers: None,
        }
    }

    /// The body as it comes.
    pub(super) fn inner(&self) -> &B {
        &self.body
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Rewritten<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        loop {
            let Some(rewriter) = &mut this.rewriter else {
                return Poll::Ready(this.trailers.take().map(Ok));
            };
            match ready!(Pin::new(&mut this.body).poll_frame(cx)).transpose()? {
                Some(frame) => match frame.into_data() {
                    Ok(data) => {
                        let data = rewriter.push(&data);
                        if !data.is_empty() {
                            return Poll::Ready(Some(Ok(Frame::data(data))));
                        }
                        continue;
                    }
                    Err(trailers) => this.trailers = Some(trailers),
                },
                None => {}
            }
            let rest = this
                .rewriter
                .take()
                .map_or_else(Bytes::new, Rewriter::finish);
            if !rest.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(rest))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rewriter.is_none() && self.trailers.is_none()
    }
}
