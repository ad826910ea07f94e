//! The requests in flight on one connection. Their number decides what a silent client is waiting for: the
//! response, or its own next request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Version;
use tokio::time::Instant;

use super::{
    http2_targets::{CutTargets, Http2Targets},
    idleness::Idleness,
    target,
};

/// The requests being answered on one connection.
#[derive(Debug, Clone)]
pub(super) struct Active(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    start: Instant,
    count: AtomicUsize,
    /// Milliseconds since `start`; 0 before the first request has ended.
    last_end: AtomicU64,
    is_http2: AtomicBool,
    is_reading_head: AtomicBool,
    is_stopped: AtomicBool,
    is_answered: AtomicBool,
    /// Of the head that has come last: one of the constants below.
    target: AtomicU8,
    /// Of all heads so far, over HTTP/2.
    cut: CutTargets,
    awaits_answer: AtomicBool,
    awaits_body: AtomicBool,
    idleness: Arc<Idleness>,
}

/// Its line was not looked at, since the client did not wait for the response before it.
const UNSEEN: u8 = 0;
const WHOLE: u8 = 1;
const CUT: u8 = 2;

/// How readily an idle connection gives up its place: the least one goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Idle {
    /// A request has begun to come, or is the first.
    awaits_request: bool,
    since: Instant,
}

/// One of them, until dropped.
#[derive(Debug)]
pub(super) struct Request {
    shared: Arc<Shared>,
    target: u8,
}

impl Request {
    /// Whether the target of the request may be less than the client wrote.
    pub(super) fn may_be_cut<B>(&self, request: &http::Request<B>) -> bool {
        match self.target {
            WHOLE => false,
            CUT => true,
            _ if request.version() < Version::HTTP_2 => !target::is_whole(request),
            _ => self.shared.cut.may_hold(request),
        }
    }
}

impl Active {
    /// `idleness` is told whenever none is left.
    pub(super) fn new(idleness: Arc<Idleness>) -> Self {
        Self(Arc::new(Shared {
            start: Instant::now(),
            count: AtomicUsize::new(0),
            last_end: AtomicU64::new(0),
            is_http2: AtomicBool::new(false),
            is_reading_head: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
            is_answered: AtomicBool::new(true),
            target: AtomicU8::new(UNSEEN),
            cut: CutTargets::default(),
            awaits_answer: AtomicBool::new(false),
            awaits_body: AtomicBool::new(false),
            idleness,
        }))
    }

    pub(super) fn begin(&self) -> Request {
        self.0.count.fetch_add(1, Ordering::SeqCst);
        let is_clear = self.0.is_answered.swap(false, Ordering::Relaxed);
        self.0.awaits_answer.store(is_clear, Ordering::Relaxed);
        self.0.is_reading_head.store(false, Ordering::Relaxed);
        Request {
            target: self.0.target.swap(UNSEEN, Ordering::Relaxed),
            shared: self.0.clone(),
        }
    }

    /// Notes whether the target in the line of the next request is going to be cut.
    pub(super) fn set_target(&self, is_cut: bool) {
        let target = if is_cut { CUT } else { WHOLE };
        self.0.target.store(target, Ordering::Relaxed);
    }

    /// Notes the targets that were cut so far, over HTTP/2.
    pub(super) fn set_cut_targets(&self, targets: &Http2Targets) {
        self.0.cut.set(targets);
    }

    pub(super) fn any(&self) -> bool {
        self.0.count.load(Ordering::SeqCst) > 0
    }

    /// Notes that the connection speaks HTTP/2.
    pub(super) fn set_http2(&self) {
        self.0.is_http2.store(true, Ordering::Relaxed);
    }

    /// Notes that the next request has begun to come.
    pub(super) fn set_reading_head(&self) {
        self.0.is_reading_head.store(true, Ordering::Relaxed);
    }

    /// Notes that no byte is left to send of the responses that have ended.
    pub(super) fn flushed(&self) {
        if !self.is_answered() && !self.any() {
            self.0.is_answered.store(true, Ordering::SeqCst);
            self.0.idleness.came();
        }
    }

    /// Whether the client has all of every response to the requests so far.
    pub(super) fn is_answered(&self) -> bool {
        self.0.is_answered.load(Ordering::SeqCst)
    }

    /// Notes that bytes of a response are on their way.
    pub(super) fn answering(&self) {
        self.0.awaits_answer.store(false, Ordering::Relaxed);
    }

    /// Whether the client has nothing yet of the response that comes next, and all of those before.
    pub(super) fn awaits_answer(&self) -> bool {
        self.0.awaits_answer.load(Ordering::Relaxed)
    }

    /// Notes whether the handler waits for more of a request's body.
    pub(super) fn set_awaits_body(&self, awaits_body: bool) {
        self.0.awaits_body.store(awaits_body, Ordering::Relaxed);
    }

    pub(super) fn awaits_body(&self) -> bool {
        self.0.awaits_body.load(Ordering::Relaxed)
    }

    /// When the last response ended, or the connection began.
    pub(super) fn idle_since(&self) -> Instant {
        self.0.start + Duration::from_millis(self.0.last_end.load(Ordering::Relaxed))
    }

    /// `None` while a request is in flight. HTTP/2 sends what is left of its responses by itself when
    /// it closes.
    pub(super) fn idle(&self) -> Option<Idle> {
        let is_idle = self.0.is_http2.load(Ordering::Relaxed) || self.is_answered();
        (is_idle && !self.any()).then(|| Idle {
            awaits_request: self.0.last_end.load(Ordering::Relaxed) == 0
                || self.0.is_reading_head.load(Ordering::Relaxed),
            since: self.idle_since(),
        })
    }

    /// Notes that the server ends the connection, not the client.
    pub(super) fn stop(&self) {
        self.0.is_stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.0.is_stopped.load(Ordering::Relaxed)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let shared = &self.shared;
        let elapsed = u64::try_from(shared.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        shared.last_end.store(elapsed.max(1), Ordering::Relaxed);
        if shared.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            shared.idleness.came();
        }
    }
}
