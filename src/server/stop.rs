//! The signal to stop serving.

use tokio::sync::watch;

/// Completes once `stop` turns true, or once its sender is dropped.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
