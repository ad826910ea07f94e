//! Accepts connections, and drains them at the end.

use std::{io::ErrorKind, time::Duration};

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    connection, connections::Connections, handler::Handler, limits::Limits, listener::Listener,
    seldom::Seldom, stop::stopped,
};

/// After `accept` failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until `stop` turns true, then lets running requests finish within `drain`.
/// Requests that still run then are cut off.
pub async fn serve<H: Handler>(
    listener: Listener,
    handler: H,
    limits: Limits,
    connections: Connections,
    mut stop: watch::Receiver<bool>,
    drain: Duration,
) {
    let mut tasks = JoinSet::new();
    let told = Seldom::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            accepted = listener.accept() => accepted,
            Some(_) = tasks.join_next() => continue,
        };
        match accepted {
            Ok(accepted) => {
                // Only now: a listener without clients must not keep a place from another.
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
            // It is gone before it was here.
            Err(error) if is_of_the_client(error.kind()) => {}
            Err(error) => {
                if let Some(untold) = told.take_turn() {
                    tracing::warn!(
                        remedy = "Allow the process more file descriptors (ulimit -n, LimitNOFILE=), or lower limits.connections.",
                        more_since_last = (untold > 0).then_some(untold),
                        "a connection could not be accepted: {error}"
                    );
                }
                // Its descriptor may be all that is missing.
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
        tracing::warn!(cut_off = tasks.len(), "the drain time is over");
    }
    tasks.shutdown().await;
}

fn is_of_the_client(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::Interrupted
    )
}
