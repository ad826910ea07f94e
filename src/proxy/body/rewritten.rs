//! A body whose links are rewritten while it streams past. The rewriter holds back as few bytes as
//! it can, a reader that stops also stops the sender, and trailers pass.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};

use super::super::links;
use crate::rewrite::Rewriter;

/// A body and its rewriter.
#[derive(Debug)]
pub(in crate::proxy) struct Rewritten<B: Body> {
    body: B,
    /// `None` once the body has ended.
    rewriter: Option<Rewriter>,
    /// The error of the body, returned after all bytes that were held back.
    failure: Option<B::Error>,
    trailers: Option<HeaderMap>,
}

impl<B: Body> Rewritten<B> {
    pub(in crate::proxy) fn new(body: B, rewriter: Rewriter) -> Self {
        Self {
            body,
            rewriter: Some(rewriter),
            failure: None,
            trailers: None,
        }
    }

    /// The body without rewriting.
    pub(in crate::proxy) fn inner(&self) -> &B {
        &self.body
    }
}

impl<B: Body<Data = Bytes, Error: Unpin> + Unpin> Body for Rewritten<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        loop {
            let Some(rewriter) = &mut this.rewriter else {
                if let Some(failure) = this.failure.take() {
                    return Poll::Ready(Some(Err(failure)));
                }
                let mut trailers = this.trailers.take().unwrap_or_default();
                links::mark_trailers(&mut trailers);
                let frame = (!trailers.is_empty()).then(|| Ok(Frame::trailers(trailers)));
                return Poll::Ready(frame);
            };
            let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    let data = rewriter.push(&data);
                    if !data.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                    continue;
                }
                Some(Ok(Err(frame))) => this.trailers = frame.into_trailers().ok(),
                Some(Err(failure)) => this.failure = Some(failure),
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
        self.rewriter.is_none() && self.failure.is_none() && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderMap, HeaderValue, header};
    use http_body_util::{BodyExt as _, Full};

    use super::*;
    use crate::{
        config::ServiceUrl,
        rewrite::{Bases, JsonRewriter, Plan},
    };

    #[tokio::test]
    async fn bytes_held_back_come_at_the_end_and_trailers_after_them() {
        let url = |text| ServiceUrl::parse(text).expect("a base URL");
        let (from, to) = (url("http://localhost"), url("https://h.example"));
        let bases = Arc::new(Bases::new([(&from, &to)]));
        let rewriter = Rewriter::Json(JsonRewriter::new(Plan::Request, bases));
        // The text ends within the start of a URL.
        let text = b"[\"http://localhost/a\",\"http://lo";
        let etag = (header::ETAG, HeaderValue::from_static("\"1\""));
        let mut trailers = HeaderMap::from_iter([etag.clone()]);
        trailers.insert(
            "digest",
            HeaderValue::from_static("of what was there before"),
        );
        let body = Full::new(Bytes::from_static(text)).with_trailers(async { Some(Ok(trailers)) });
        let body = Rewritten::new(Box::pin(body), rewriter);
        let collected = body.collect().await.expect("a whole body");
        assert_eq!(collected.trailers(), Some(&HeaderMap::from_iter([etag])));
        let text = collected.to_bytes();
        assert_eq!(text, "[\"https://h.example/a\",\"http://lo");
    }
}
