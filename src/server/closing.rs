//! How the server ends a connection of its own accord: orderly, and without losing a request that
//! comes at the same moment.

use std::{pin::pin, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::timeout,
};

use super::{connections::Member, stopped, tracked::Active};

/// For an idle connection that has lost its place: time for GOAWAY and its acknowledgement, or for
/// the rest of a request.
const ORDERLY_END: Duration = Duration::from_secs(1);

/// Why the server ends a connection.
pub(super) enum Closing {
    /// It accepts no more.
    Stopped,
    /// Another connection takes the place.
    Evicted {
        /// `None` where too many others take their time already.
        leave: Option<OwnedSemaphorePermit>,
    },
}

pub(super) async fn asked_to_close(
    stopping: &mut watch::Receiver<bool>,
    member: &mut Member,
) -> Closing {
    tokio::select! {
        () = stopped(stopping) => Closing::Stopped,
        () = member.evicted() => Closing::Evicted {
            leave: member.closing(),
        },
    }
}

impl Closing {
    /// Whether there is time for an orderly end. A request that came at the same moment gets its
    /// answer in any case.
    pub(super) fn is_orderly(&self, active: &Active) -> bool {
        !matches!(self, Self::Evicted { leave: None }) || active.any()
    }

    /// Drives a connection to its end; `None` if that does not come soon enough.
    pub(super) async fn end<T>(
        &self,
        connection: impl Future<Output = T>,
        active: &Active,
    ) -> Option<T> {
        let mut connection = pin!(connection);
        if matches!(self, Self::Stopped) {
            return Some(connection.await);
        }
        loop {
            match timeout(ORDERLY_END, &mut connection).await {
                Ok(result) => return Some(result),
                Err(_) if active.any() => {}
                Err(_) => return None,
            }
        }
    }
}
