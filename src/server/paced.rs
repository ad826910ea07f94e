//! HTTP/2 responses that nobody takes are given up.
//!
//! While a client leaves its flow-control window closed, hyper does not ask for more of a body, so
//! no timer inside the body would ever be looked at. Its deadline is kept by the task of the stream
//! instead: to drop that task is to reset the stream and to let go of all that the response holds.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

/// The most bytes that a body hands out at a time. A client that takes them before the deadline is not late.
const PIECE: usize = 16 << 10;

tokio::task_local! {
    /// That of the stream whose task this is.
    static PROGRESS: Arc<Progress>;
}

/// How far the client of a stream has come.
#[derive(Debug)]
struct Progress {
    start: Instant,
    /// Milliseconds from `start` to when a piece was handed out, and one; 0 while none is on its way.
    handed_out: AtomicU64,
}

impl Progress {
    fn hand_out(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.handed_out.store(elapsed + 1, Ordering::Relaxed);
    }

    fn wait_for_body(&self) {
        self.handed_out.store(0, Ordering::Relaxed);
    }

    /// Since when the client has not taken what it was given.
    fn waits_since(&self) -> Option<Instant> {
        let elapsed = self.handed_out.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.start + Duration::from_millis(elapsed))
    }
}

/// Runs streams, each until it ends or its client has taken nothing for so long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams {
    pub(super) timeout: Duration,
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let progress = Arc::new(Progress {
            start: Instant::now(),
            handed_out: AtomicU64::new(0),
        });
        let stream = until_late(stream, progress.clone(), self.timeout);
        tokio::spawn(PROGRESS.scope(progress, stream));
    }
}

async fn until_late(stream: impl Future<Output = ()>, progress: Arc<Progress>, timeout: Duration) {
    let mut stream = pin!(stream);
    // Most responses fit into the window and never need it.
    let mut timer = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(since) = progress.waits_since() else {
            return Poll::Pending;
        };
        let deadline = since + timeout;
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if deadline <= Instant::now() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    })
    .await;
}

/// A body that tells the task of its stream when something was handed out.
#[derive(Debug)]
pub(super) struct Paced<B> {
    body: B,
    rest: Bytes,
    progress: Option<Arc<Progress>>,
}

impl<B> Paced<B> {
    /// To be called by the task of the stream.
    pub(super) fn new(body: B) -> Self {
        let progress = PROGRESS.try_with(Arc::clone).ok();
        if let Some(progress) = &progress {
            // With a window that was never open, the body is not asked for at all.
            progress.hand_out();
        }
        Self {
            body,
            rest: Bytes::new(),
            progress,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Paced<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let polled = Pin::new(&mut this.body).poll_frame(cx);
            if let Some(progress) = &this.progress {
                match &polled {
                    Poll::Ready(_) => progress.hand_out(),
                    Poll::Pending => progress.wait_for_body(),
                }
            }
            match ready!(polled).transpose()?.map(Frame::into_data) {
                Some(Ok(data)) => this.rest = data,
                Some(Err(other)) => return Poll::Ready(Some(Ok(other))),
                None => return Poll::Ready(None),
            }
        } else if let Some(progress) = &this.progress {
            progress.hand_out();
        }
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = self.body.size_hint();
        let rest = self.rest.len() as u64;
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(inner.lower() + rest);
        hint
    }
}
