//! The places for requests in flight (`limits.requests`), shared out so that no route and no listener
//! takes them all: with several, a quarter of the places is kept back, in equal parts that only one
//! of them may use. A single one has every place.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One part in so many of all places is kept back.
const RESERVED_PART: usize = 4;

/// ConcurrencyLimit for the requests of every route, through every listener.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    routes: Shares,
    listeners: Shares,
}

/// A place, until dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _of_route: OwnedSemaphorePermit,
    /// `None` where there is one listener.
    _of_listener: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Shares {
    common: Arc<Semaphore>,
    /// The places kept back for each.
    own: Vec<Arc<Semaphore>>,
}

impl ConcurrencyLimit {
    pub(super) fn new(limit: usize, routes: usize, listeners: usize) -> Self {
        Self {
            routes: Shares::new(limit, routes),
            listeners: Shares::new(limit, listeners),
        }
    }

    /// A place for a request of a route through a listener, each by its number; `None` where there is
    /// none left for them.
    pub(super) fn acquire(&self, route: usize, listener: usize) -> Option<Permit> {
        let of_listener = match self.listeners.own.len() {
            0 | 1 => None,
            _ => Some(self.listeners.take(listener)?),
        };
        Some(Permit {
            _of_route: self.routes.take(route)?,
            _of_listener: of_listener,
        })
    }
}

impl Shares {
    fn new(limit: usize, among: usize) -> Self {
        let own = match among {
            0 | 1 => 0,
            _ => limit / (RESERVED_PART * among),
        };
        Self {
            common: Arc::new(Semaphore::new(limit - own * among)),
            own: (0..among).map(|_| Arc::new(Semaphore::new(own))).collect(),
        }
    }

    fn take(&self, number: usize) -> Option<OwnedSemaphorePermit> {
        let own = self.own.get(number).into_iter();
        own.chain([&self.common])
            .find_map(|places| places.clone().try_acquire_owned().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The places that one route can take while all others are idle, and those left for another.
    fn takes(limit: usize, routes: usize) -> (usize, usize) {
        let limit = ConcurrencyLimit::new(limit, routes, 1);
        let taken: Vec<_> = std::iter::from_fn(|| limit.acquire(0, 0)).collect();
        let left: Vec<_> = std::iter::from_fn(|| limit.acquire(1, 0)).collect();
        (taken.len(), left.len())
    }

    #[test]
    fn a_single_route_has_every_place_and_one_of_several_does_not() {
        assert_eq!(takes(1024, 1), (1024, 0));
        assert_eq!(takes(1024, 2), (896, 128));
        assert_eq!(takes(1024, 4), (832, 64));
        // Too few to share.
        assert_eq!(takes(1, 2), (1, 0));
        assert_eq!(takes(8, 2), (7, 1));
    }

    #[test]
    fn a_listener_leaves_places_to_another_and_gives_back_what_it_has() {
        let limit = ConcurrencyLimit::new(16, 1, 2);
        let taken: Vec<_> = std::iter::from_fn(|| limit.acquire(0, 1)).collect();
        assert_eq!(taken.len(), 14);
        let other: Vec<_> = std::iter::from_fn(|| limit.acquire(0, 0)).collect();
        assert_eq!(other.len(), 2);
        drop((taken, other));
        assert_eq!(
            std::iter::from_fn(|| limit.acquire(0, 0)).take(14).count(),
            14
        );
    }
}
