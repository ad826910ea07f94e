//! The open connections, and their limit. An idle connection has no request in flight. When every
//! place is taken, a new connection closes an idle one. Connections between two requests go first,
//! the longest idle before the others. Connections whose first request has not come, or whose next
//! head has begun to come, follow.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{
    active::Active,
    idleness::{Idleness, Waiting},
};
use crate::telemetry::LogLimit;

/// The number of connections beyond the limit that may take a moment to close in an orderly way.
/// Any others are cut off.
pub const CLOSING: usize = 16;

/// The places for connections of one or several listeners. Clones share them.
#[derive(Debug, Clone)]
pub struct Connections(Arc<State>);

#[derive(Debug)]
struct State {
    limit: usize,
    remedy: &'static str,
    free: Arc<Semaphore>,
    closing: Arc<Semaphore>,
    open: Mutex<Open>,
    idleness: Arc<Idleness>,
    log_limit: LogLimit,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    active: Active,
    evict: oneshot::Sender<()>,
}

/// An open connection. Dropping it removes it from the list.
#[derive(Debug)]
pub(super) struct Member {
    connections: Connections,
    id: u64,
    pub(super) active: Active,
    evicted: oneshot::Receiver<()>,
    /// The place of the connection. It is released when the socket is closed, or about to be.
    place: Option<OwnedSemaphorePermit>,
}

impl Connections {
    /// Creates places for `limit` connections. The log gives `remedy` when they do not suffice.
    pub fn new(limit: usize, remedy: &'static str) -> Self {
        Self(Arc::new(State {
            limit,
            remedy,
            free: Arc::new(Semaphore::new(limit)),
            closing: Arc::new(Semaphore::new(CLOSING)),
            open: Mutex::default(),
            idleness: Arc::default(),
            log_limit: LogLimit::default(),
        }))
    }

    /// Takes a place for a new connection, if necessary that of the longest idle one. Waits while
    /// every connection has a request in flight.
    pub(super) async fn admit(&self) -> Member {
        if let Ok(place) = self.0.free.clone().try_acquire_owned() {
            return self.enter(place);
        }
        let _waiting = Waiting::begin(&self.0.idleness);
        loop {
            self.warn(if self.evict() {
                "each new connection closes the one that has been idle longest"
            } else {
                "all connections have requests in flight, so new connections wait"
            });
            tokio::select! {
                Ok(place) = self.0.free.clone().acquire_owned() => return self.enter(place),
                () = self.0.idleness.came.notified() => {}
            }
        }
    }

    /// Makes the longest idle connection close. Returns false if no connection is idle.
    pub(super) fn evict(&self) -> bool {
        let mut open = self.0.open.lock();
        let idle = open.connections.iter();
        let idle = idle.filter_map(|(id, entry)| Some((entry.active.idle()?, *id)));
        let Some((_, id)) = idle.min() else {
            return false;
        };
        let entry = open.connections.remove(&id);
        drop(open);
        entry.is_some_and(|entry| entry.evict.send(()).is_ok())
    }

    fn enter(&self, place: OwnedSemaphorePermit) -> Member {
        let active = Active::new(self.0.idleness.clone());
        let (evict, evicted) = oneshot::channel();
        let mut open = self.0.open.lock();
        let id = open.next;
        open.next += 1;
        let entry = Entry {
            active: active.clone(),
            evict,
        };
        open.connections.insert(id, entry);
        drop(open);
        Member {
            connections: self.clone(),
            id,
            active,
            evicted,
            place: Some(place),
        }
    }

    fn warn(&self, consequence: &str) {
        if let Some(suppressed) = self.0.log_limit.allow() {
            tracing::warn!(
                limit = self.0.limit,
                remedy = self.0.remedy,
                more_since_last = (suppressed > 0).then_some(suppressed),
                "the limit on open connections is reached: {consequence}"
            );
        }
    }
}

impl Member {
    /// Completes once the connection has to end.
    pub(super) async fn evicted(&mut self) {
        if (&mut self.evicted).await.is_err() {
            // No sender is left that could claim the place.
            std::future::pending::<()>().await;
        }
    }

    /// Frees the place, and permits a short orderly end. `None` if too many other connections are
    /// closing.
    pub(super) fn closing(&mut self) -> Option<OwnedSemaphorePermit> {
        let permit = self
            .connections
            .0
            .closing
            .clone()
            .try_acquire_owned()
            .ok()?;
        self.place = None;
        Some(permit)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.connections.0.open.lock().connections.remove(&self.id);
    }
}
