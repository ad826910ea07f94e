//! Resets an HTTP/2 stream if its client takes no byte of the response in time.
//!
//! While a client keeps its flow-control window closed, hyper does not poll the body, so a timer
//! inside the body would never fire. The task of the stream watches the deadline instead. Dropping
//! that task resets the stream and frees the response.
//!
//! Without it, a client that reads nothing keeps a response and its upstream connection for ever,
//! and `an_http2_client_that_reads_nothing_is_cut_off` in `tests/it/slow_clients.rs` fails. Delete
//! it once hyper has a write timeout for streams.

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

/// The number of bytes handed to hyper at a time. A client that takes this much before the deadline
/// is not late.
const PIECE: usize = 16 << 10;

tokio::task_local! {
    /// The progress of the stream that the current task runs.
    static PROGRESS: Arc<Progress>;
}

/// The progress of a stream's client.
#[derive(Debug)]
struct Progress {
    start: Instant,
    /// Milliseconds from `start` to the last piece handed out, plus one; 0 while hyper has no
    /// piece.
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

    /// The time since which the client has not taken the last piece.
    fn waits_since(&self) -> Option<Instant> {
        let elapsed = self.handed_out.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.start + Duration::from_millis(elapsed))
    }
}

/// Runs each stream until it ends or its client has taken nothing for `timeout`.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamExecutor {
    pub(super) timeout: Duration,
}

impl<F> hyper::rt::Executor<F> for StreamExecutor
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
    // Most responses fit into the window and never need the timer.
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

/// A body that notes in the progress of its stream when it hands out bytes.
#[derive(Debug)]
pub(super) struct TimedBody<B> {
    body: B,
    rest: Bytes,
    progress: Option<Arc<Progress>>,
}

impl<B> TimedBody<B> {
    /// Creates the body. The task of the stream must call it.
    pub(super) fn new(body: B) -> Self {
        let progress = PROGRESS.try_with(Arc::clone).ok();
        if let Some(progress) = &progress {
            // The time starts now, since the body is never polled if the window never opens.
            progress.hand_out();
        }
        Self {
            body,
            rest: Bytes::new(),
            progress,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for TimedBody<B> {
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
