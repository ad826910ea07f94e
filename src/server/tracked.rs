//! How many requests of a connection are being answered, which decides what a silent client is
//! waiting for: its answer, or its own next request.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use http_body::{Body, Frame, SizeHint};

/// The requests being answered on one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Active(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    count: AtomicUsize,
    idle: Mutex<Option<Waker>>,
}

/// One of them, until dropped.
#[derive(Debug)]
pub(super) struct Request(Arc<Shared>);

impl Active {
    pub(super) fn begin(&self) -> Request {
        self.0.count.fetch_add(1, Ordering::Relaxed);
        Request(self.0.clone())
    }

    /// Ready when no request is being answered. hyper does not ask for bytes again when an answer
    /// ends, so that whoever waits for the client has to be woken.
    pub(super) fn poll_idle(&self, cx: &Context<'_>) -> Poll<()> {
        if self.0.count.load(Ordering::Acquire) == 0 {
            return Poll::Ready(());
        }
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *idle {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *idle = Some(cx.waker().clone()),
        }
        drop(idle);
        // The last one may have ended in the meantime.
        if self.0.count.load(Ordering::Acquire) == 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let idle = self
            .0
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(waker) = idle {
            waker.wake();
        }
    }
}

/// A response body that ends its request when it ends.
#[derive(Debug)]
pub(super) struct Tracked<B> {
    pub(super) body: B,
    pub(super) _request: Request,
}

impl<B: Body + Unpin> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
