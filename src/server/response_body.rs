//! A response body whose end is also the end of its request.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};

use super::{
    active::Request,
    write_progress::{Moment, WriteProgress},
};

/// The body of a response in flight. It fails only once the bytes before the failure have been
/// written.
#[derive(Debug)]
pub(super) struct ResponseBody<B: Body> {
    body: B,
    failure: Option<(B::Error, Moment)>,
    write_progress: WriteProgress,
    _request: Request,
}

impl<B: Body> ResponseBody<B> {
    pub(super) fn new(body: B, request: Request, write_progress: WriteProgress) -> Self {
        Self {
            body,
            failure: None,
            write_progress,
            _request: request,
        }
    }
}

impl<B: Body<Error: Unpin> + Unpin> Body for ResponseBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = &mut *self;
        if this.failure.is_none() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Err(failure)) => {
                    this.failure = Some((failure, this.write_progress.break_off()));
                }
                frame => return Poll::Ready(frame),
            }
        }
        if let Some((_, moment)) = &this.failure {
            ready!(this.write_progress.poll_written(cx, *moment));
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
