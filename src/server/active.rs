//! The requests in flight on one connection. Their number decides whether a silent client waits for
//! a response or is idle.

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

/// The requests in flight on one connection. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Active(Arc<State>);

#[derive(Debug)]
struct State {
    start: Instant,
    count: AtomicUsize,
    /// Milliseconds since `start`; 0 before the first request has ended.
    last_end: AtomicU64,
    is_http2: AtomicBool,
    is_reading_head: AtomicBool,
    is_stopped: AtomicBool,
    all_sent: AtomicBool,
    /// The state of the last head's target: one of the constants below.
    target: AtomicU8,
    /// The cut targets of all heads so far, over HTTP/2.
    cut: CutTargets,
    awaits_response: AtomicBool,
    awaits_body: AtomicBool,
    idleness: Arc<Idleness>,
}

/// The request's line was not inspected, since the client sent it before it got the previous
/// response.
const UNSEEN: u8 = 0;
const WHOLE: u8 = 1;
const CUT: u8 = 2;

/// The order in which idle connections are closed: the least comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Idle {
    /// Whether a request has begun to come, or the first one has not come yet.
    awaits_request: bool,
    since: Instant,
}

/// A request in flight. Dropping it ends the request.
#[derive(Debug)]
pub(super) struct Request {
    state: Arc<State>,
    target: u8,
}

impl Request {
    /// Whether the target of the request may be shorter than the client wrote it.
    pub(super) fn may_be_cut<B>(&self, request: &http::Request<B>) -> bool {
        match self.target {
            WHOLE => false,
            CUT => true,
            _ if request.version() < Version::HTTP_2 => !target::is_whole(request),
            _ => self.state.cut.may_hold(request),
        }
    }
}

impl Active {
    /// Creates an empty set. It notifies `idleness` whenever no request is left.
    pub(super) fn new(idleness: Arc<Idleness>) -> Self {
        Self(Arc::new(State {
            start: Instant::now(),
            count: AtomicUsize::new(0),
            last_end: AtomicU64::new(0),
            is_http2: AtomicBool::new(false),
            is_reading_head: AtomicBool::new(false),
            is_stopped: AtomicBool::new(false),
            all_sent: AtomicBool::new(true),
            target: AtomicU8::new(UNSEEN),
            cut: CutTargets::default(),
            awaits_response: AtomicBool::new(false),
            awaits_body: AtomicBool::new(false),
            idleness,
        }))
    }

    pub(super) fn begin(&self) -> Request {
        self.0.count.fetch_add(1, Ordering::SeqCst);
        let is_clear = self.0.all_sent.swap(false, Ordering::Relaxed);
        self.0.awaits_response.store(is_clear, Ordering::Relaxed);
        self.0.is_reading_head.store(false, Ordering::Relaxed);
        Request {
            target: self.0.target.swap(UNSEEN, Ordering::Relaxed),
            state: self.0.clone(),
        }
    }

    /// Notes whether the target in the next request's line is going to be cut.
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

    /// Notes that all bytes of the responses that have ended are sent.
    pub(super) fn flushed(&self) {
        if !self.all_sent() && !self.any() {
            self.0.all_sent.store(true, Ordering::SeqCst);
            self.0.idleness.came();
        }
    }

    /// Whether all bytes of the responses so far are sent, and no response is due.
    pub(super) fn all_sent(&self) -> bool {
        self.0.all_sent.load(Ordering::SeqCst)
    }

    /// Notes that the first bytes of a response have been written.
    pub(super) fn response_begun(&self) {
        self.0.awaits_response.store(false, Ordering::Relaxed);
    }

    /// Whether the client has received all earlier responses and no byte of the next one.
    pub(super) fn awaits_response(&self) -> bool {
        self.0.awaits_response.load(Ordering::Relaxed)
    }

    /// Notes whether the handler waits for more of a request's body.
    pub(super) fn set_awaits_body(&self, awaits_body: bool) {
        self.0.awaits_body.store(awaits_body, Ordering::Relaxed);
    }

    pub(super) fn awaits_body(&self) -> bool {
        self.0.awaits_body.load(Ordering::Relaxed)
    }

    /// The time at which the last response ended, or the connection began.
    pub(super) fn idle_since(&self) -> Instant {
        self.0.start + Duration::from_millis(self.0.last_end.load(Ordering::Relaxed))
    }

    /// Returns how idle the connection is; `None` while a request is in flight. HTTP/2 sends the
    /// rest of its responses by itself when it closes.
    pub(super) fn idle(&self) -> Option<Idle> {
        let is_idle = self.0.is_http2.load(Ordering::Relaxed) || self.all_sent();
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
        let state = &self.state;
        let elapsed = u64::try_from(state.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        state.last_end.store(elapsed.max(1), Ordering::Relaxed);
        if state.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            state.idleness.came();
        }
    }
}
