//! Fits the limits to the file descriptors that the system allows. Each client connection and each
//! connection to a service needs one. A process whose clients use up all descriptors can open no
//! connection to a service, and so serves none of them.

use crate::{config::Limits, server};

/// The limit on connections to the admin address, which has few callers.
pub(super) const ADMIN_CONNECTIONS: usize = 64;
/// The descriptors for all other uses: the admin address, connections that are closing, token
/// fetches, listeners, files, and programs that print tokens.
const RESERVE: usize = ADMIN_CONNECTIONS + 2 * server::CLOSING + 64;

const REMEDY: &str = "Raise the hard limit for open files (LimitNOFILE= of a systemd unit, --ulimit nofile= of a \
                      container, ulimit -Hn of a shell), or lower limits.connections and limits.requests.";

/// Returns the limits for which descriptors suffice. Raises the soft limit of the process as far as
/// `wanted` needs and the hard limit allows. If that does not suffice, the log says so.
pub(super) fn fit(wanted: &Limits) -> Limits {
    let needed = wanted.connections + wanted.requests + RESERVE;
    let Some(available) = raise(needed) else {
        return wanted.clone();
    };
    let (connections, requests) = share(wanted.connections, wanted.requests, available);
    tracing::warn!(
        needed,
        available,
        connections,
        requests,
        remedy = REMEDY,
        "the system allows too few open files for limits.connections and limits.requests, so \
         ahds-proxy serves fewer of both"
    );
    Limits {
        connections,
        requests,
        ..wanted.clone()
    }
}

/// The numbers of connections and requests for which the available descriptors suffice. A request
/// needs one for its connection and one for the service, so connections get at least half.
fn share(connections: usize, requests: usize, available: usize) -> (usize, usize) {
    let shared = available - RESERVE.min(available / 2);
    let connections = connections.min((shared / 2).max(shared.saturating_sub(requests)));
    let requests = requests.min(shared - connections);
    (connections.max(1), requests.max(1))
}

/// Raises the limit, and returns the number of descriptors that the process may have if it is less
/// than needed.
#[cfg(unix)]
fn raise(needed: usize) -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let needed = needed as u64;
    let limit = getrlimit(Resource::Nofile);
    let is_enough = |limit: Option<u64>| limit.is_none_or(|limit| needed <= limit);
    if is_enough(limit.current) {
        return None;
    }
    // Raised only as far as needed, since programs that print tokens inherit the limit, and some of
    // them iterate over every descriptor that it allows.
    let raised = Rlimit {
        current: Some(limit.maximum.map_or(needed, |maximum| maximum.min(needed))),
        ..limit
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised.current,
        Err(_) => limit.current,
    };
    let current = current.filter(|_| !is_enough(current))?;
    Some(usize::try_from(current).unwrap_or(usize::MAX))
}

/// Other systems set no such limit.
#[cfg(not(unix))]
fn raise(_: usize) -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_never_needs_more_than_there_is() {
        assert_eq!(share(4096, 1024, 1024), (432, 432));
        assert_eq!(share(4096, 1024, 4096), (2912, 1024));
        assert_eq!(share(4096, 100, 1024), (764, 100));
        assert_eq!(share(100, 4096, 1024), (100, 764));
        assert_eq!(share(4096, 1024, 64), (16, 16));
        for available in [2, 3, 16, 255, 257, 600, 5000] {
            let (connections, requests) = share(4096, 1024, available);
            assert!(connections + requests <= available.max(2), "{available}");
        }
    }
}
