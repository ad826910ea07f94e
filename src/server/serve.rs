//! Accepts connections, and drains them when the server stops.

use std::{io::ErrorKind, time::Duration};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    connection, connections::Connections, handler::Handler, limits::Limits, listener::Listener,
    stop::stopped,
};
use crate::telemetry::LogLimit;

/// The pause after `accept` failed for lack of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TOO_MANY: &str = if cfg!(unix) {
    "Allow the process more file descriptors (ulimit -n, LimitNOFILE=), or lower limits.connections."
} else {
    "End other programs, or lower limits.connections."
};

/// Accepts connections until `stop` turns true. Requests in flight then have `drain` to finish, and
/// those that remain are cut off.
pub async fn serve<H: Handler>(
    listener: Listener,
    handler: H,
    limits: Limits,
    connections: Connections,
    mut stop: watch::Receiver<bool>,
    drain: Duration,
) {
    let mut tasks = JoinSet::new();
    let log_limit = LogLimit::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
        };
        match accepted {
            Ok(accepted) => {
                // Taken only after `accept`, so that a listener without clients takes no place from
                // another listener.
                let member = tokio::select! {
                    biased;
                    () = stopped(&mut stop) => break,
                    member = connections.admit() => member,
                };
                let handler = handler.clone();
                tasks.spawn(connection::run(
                    accepted,
                    member,
                    handler,
                    limits,
                    stop.clone(),
                ));
            }
            // The client left before it was accepted.
            Err(error) if is_of_the_client(error.kind()) => {}
            Err(error) => {
                if let Some(suppressed) = log_limit.allow() {
                    tracing::warn!(
                        remedy = TOO_MANY,
                        more_since_last = (suppressed > 0).then_some(suppressed),
                        "cannot accept a connection: {error}"
                    );
                }
                // Frees a file descriptor, in case one was missing.
                connections.evict();
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if timeout(drain, async { while tasks.join_next().await.is_some() {} })
        .await
        .is_err()
    {
        handler.cut_off();
        tracing::warn!(
            cut_off = tasks.len(),
            "the drain time is over, so the remaining connections are closed"
        );
    }
    tasks.shutdown().await;
}

fn is_of_the_client(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}
