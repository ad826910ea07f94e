//! The signals that stop the process, and SIGHUP, which reloads the configuration.

use std::{io, pin::pin, time::Duration};

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM, SIGINT and SIGHUP; on Windows, Ctrl-C.
#[derive(Debug)]
pub(super) struct Signals {
    #[cfg(unix)]
    terminate: Signal,
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    hangup: Signal,
}

/// The meaning of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Stop,
    #[cfg_attr(not(unix), expect(dead_code, reason = "Windows has no SIGHUP"))]
    Reload,
}

impl Signals {
    /// Waits for a signal to stop.
    pub(super) async fn stop(&mut self) {
        while self.next().await != Action::Stop {}
    }

    /// Waits for `time`, and drops the signals to stop that arrive in it.
    pub(super) async fn ignore_stops(&mut self, time: Duration) {
        let mut end = pin!(tokio::time::sleep(time));
        loop {
            tokio::select! {
                // First, since signals without a pause would keep the other branch ready.
                biased;
                () = &mut end => return,
                () = self.stop() => {}
            }
        }
    }
}

#[cfg(unix)]
impl Signals {
    /// Starts to listen. From now on, these signals no longer end the process by themselves.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Action {
        tokio::select! {
            _ = self.terminate.recv() => Action::Stop,
            _ = self.interrupt.recv() => Action::Stop,
            _ = self.hangup.recv() => Action::Reload,
        }
    }
}

#[cfg(not(unix))]
impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    pub(super) async fn next(&mut self) -> Action {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Action::Stop
    }
}
