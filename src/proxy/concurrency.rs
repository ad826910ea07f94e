//! The limit on requests in flight (`limits.requests`). With several routes, a quarter of the
//! permits is reserved for them in equal parts, so that no route uses all of them. A single route
//! has all permits. Listeners share the permits by the same rule.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The divisor of the limit that gives the reserved part.
const RESERVED_PART: usize = 4;

/// The permits of all routes and all listeners.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    routes: Shares,
    listeners: Shares,
}

/// The right to one request in flight, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _route: OwnedSemaphorePermit,
    /// `None` where there is one listener.
    _listener: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct Shares {
    common: Arc<Semaphore>,
    /// The permits reserved for each route or listener, by its number.
    own: Vec<Arc<Semaphore>>,
}

impl ConcurrencyLimit {
    pub(super) fn new(limit: usize, routes: usize, listeners: usize) -> Self {
        Self {
            routes: Shares::new(limit, routes),
            listeners: Shares::new(limit, listeners),
        }
    }

    /// Takes a permit for a request to this route through this listener, each by its number. `None`
    /// if no permit is left for them.
    pub(super) fn acquire(&self, route: usize, listener: usize) -> Option<Permit> {
        let listener_permit = match self.listeners.own.len() {
            0 | 1 => None,
            _ => Some(self.listeners.take(listener)?),
        };
        Some(Permit {
            _route: self.routes.take(route)?,
            _listener: listener_permit,
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
        // A limit that is too small to share.
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
