//! Ends a connection on the server's initiative, in an orderly way and without losing a request
//! that arrives at that moment.

use std::{pin::pin, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, timeout},
};

use super::{active::Active, connections::Member, io::LINGER, stop::stopped};

/// The time for an orderly end without a request in flight: for GOAWAY and its acknowledgement, or
/// for the rest of a request.
const ORDERLY_END: Duration = Duration::from_secs(1);

/// The reason why the server ends a connection.
pub(super) enum Closing {
    /// The server stops.
    Stopped,
    /// Another connection takes its place.
    Evicted {
        /// `None` if too many others are closing already.
        permit: Option<OwnedSemaphorePermit>,
    },
}

pub(super) async fn close_requested(
    stopping: &mut watch::Receiver<bool>,
    member: &mut Member,
) -> Closing {
    tokio::select! {
        () = stopped(stopping) => Closing::Stopped,
        () = member.evicted() => Closing::Evicted {
            permit: member.closing(),
        },
    }
}

impl Closing {
    /// Whether there is time for an orderly end. A request that arrived at the same moment gets its
    /// response in any case.
    pub(super) fn is_orderly(&self, active: &Active) -> bool {
        !matches!(self, Self::Evicted { permit: None }) || active.any()
    }

    /// Drives a connection to its end. Returns `None` if the end does not come in time. A request
    /// in flight has no time limit here. A client that is still sending after its response has
    /// [`LINGER`].
    pub(super) async fn end<T>(
        &self,
        connection: impl Future<Output = T>,
        active: &Active,
    ) -> Option<T> {
        let mut connection = pin!(connection);
        let begun = Instant::now();
        let mut last_busy = None;
        loop {
            if let Ok(result) = timeout(ORDERLY_END, &mut connection).await {
                return Some(result);
            }
            if self.waits_for(active) {
                last_busy = Some(Instant::now());
                continue;
            }
            let last_end = Some(active.idle_since()).filter(|end| *end > begun);
            let is_over = |end: Instant| end.elapsed() > LINGER + ORDERLY_END;
            if last_busy.max(last_end).is_none_or(is_over) {
                return None;
            }
        }
    }

    /// Whether the client still receives something. An evicted connection does not wait for a
    /// client that reads slowly, since others wait for its place.
    fn waits_for(&self, active: &Active) -> bool {
        active.any() || matches!(self, Self::Stopped) && !active.all_sent()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        sync::Arc,
    };

    use tokio::time::sleep;

    use super::*;
    use crate::server::idleness::Idleness;

    fn active() -> Active {
        Active::new(Arc::<Idleness>::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_ends_soon() {
        for closing in [Closing::Stopped, Closing::Evicted { permit: None }] {
            let (start, active) = (Instant::now(), active());
            let end = closing.end(pending::<()>(), &active);
            let end = timeout(Duration::from_secs(20), end).await;
            assert_eq!(end, Ok(None));
            assert!(start.elapsed() < ORDERLY_END * 2);
            assert_eq!(closing.end(ready(()), &active).await, Some(()));
        }
    }

    /// The client has time to read the response, however long the request takes.
    #[tokio::test(start_paused = true)]
    async fn a_request_that_comes_at_the_last_moment_keeps_its_connection() {
        for duration in [ORDERLY_END / 2, ORDERLY_END * 60] {
            let active = active();
            let connection = async {
                sleep(ORDERLY_END / 3).await;
                let request = active.begin();
                sleep(duration).await;
                drop(request);
                active.flushed();
                sleep(LINGER).await;
            };
            assert_eq!(Closing::Stopped.end(connection, &active).await, Some(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_that_is_still_being_sent_keeps_its_connection() {
        let active = active();
        drop(active.begin());
        let connection = sleep(ORDERLY_END * 60);
        assert_eq!(Closing::Stopped.end(connection, &active).await, Some(()));
    }
}
