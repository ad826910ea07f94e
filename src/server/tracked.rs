//! A response body that ends its request when it ends.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};

use super::{
    active::Request,
    outgoing::{Moment, Outgoing},
};

/// The body of a response in flight. It fails only once the bytes before its failure have been written.
#[derive(Debug)]
pub(super) struct Tracked<B: Body> {
    body: B,
    failure: Option<(B::Error, Moment)>,
    outgoing: Outgoing,
    _request: Request,
}

impl<B: Body> Tracked<B> {
    pub(super) fn new(body: B, request: Request, outgoing: Outgoing) -> Self {
        Self {
            body,
            failure: None,
            outgoing,
            _request: request,
        }
    }
}

impl<B: Body<Error: Unpin> + Unpin> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = &mut *self;
        if this.failure.is_none() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Err(failure)) => this.failure = Some((failure, this.outgoing.break_off())),
                frame => return Poll::Ready(frame),
            }
        }
        if let Some((_, moment)) = &this.failure {
            ready!(this.outgoing.poll_written(cx, *moment));
        }
        Poll::Ready(this.failure.take().map(|(failure, _)| Err(failure)))
    }

    fn is_end_stream(&self) -> bool {
        self.failure.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
