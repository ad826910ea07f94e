//! File descriptors. Each client connection takes one, and so does each connection to a service: a
//! process that accepts more clients than it has descriptors for can serve none of them.

use crate::{config::Limits, server};

/// Connections to the admin address, which has few callers.
pub(super) const ADMIN_CONNECTIONS: usize = 64;
/// For the admin address, connections that are closing there and elsewhere, and token fetches,
/// listeners, files and programs that print tokens.
const RESERVE: usize = ADMIN_CONNECTIONS + 2 * server::CLOSING + 64;

const REMEDY: &str = "Raise the hard limit for open files (LimitNOFILE= of a systemd unit, --ulimit nofile= of a \
                      container, ulimit -Hn of a shell), or lower limits.connections and limits.requests.";

/// The limits that there are descriptors for. Raises the soft limit of the process as far as they
/// need and the hard limit allows; tells in the log where that does not suffice.
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
        "the system allows too few open files for limits.connections and limits.requests; fewer are served"
    );
    Limits {
        connections,
        requests,
        ..wanted.clone()
    }
}

/// The numbers of connections and requests that so many descriptors suffice for. A request over its
/// own connection needs two, so that connections get at least half of what is left to share.
fn share(connections: usize, requests: usize, available: usize) -> (usize, usize) {
    let shared = available - RESERVE.min(available / 2);
    let connections = connections.min((shared / 2).max(shared.saturating_sub(requests)));
    let requests = requests.min(shared - connections);
    (connections.max(1), requests.max(1))
}

/// The number of descriptors that the process may have, if it is less than needed.
#[cfg(unix)]
fn raise(needed: usize) -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let needed = needed as u64;
    let limit = getrlimit(Resource::Nofile);
    let is_enough = |limit: Option<u64>| limit.is_none_or(|limit| needed <= limit);
    if is_enough(limit.current) {
        return None;
    }
    // Not further than needed: programs that print tokens inherit it, and some of them walk through
    // every descriptor that they may have.
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
