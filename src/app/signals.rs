//! The signals that stop the process, events of the console among them, and SIGHUP, which reloads the
//! configuration.

use std::{io, pin::pin, time::Duration};

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
#[cfg(windows)]
use tokio::signal::windows;

/// SIGTERM, SIGINT and SIGHUP.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// Ctrl-C, Ctrl-Break, and the end of the console, the session or the system.
#[cfg(windows)]
#[derive(Debug)]
pub(super) struct Signals {
    ctrl_c: windows::CtrlC,
    ctrl_break: windows::CtrlBreak,
    close: windows::CtrlClose,
    logoff: windows::CtrlLogoff,
    shutdown: windows::CtrlShutdown,
}

/// The meaning of a signal.
#[derive(Debug, Clone, Copy)]
pub(super) enum Action {
    Stop(TimeLeft),
    #[cfg_attr(windows, expect(dead_code, reason = "Windows has no SIGHUP"))]
    Reload,
}

/// The time after which the system ends the process; `None` if it does not.
pub(super) type TimeLeft = Option<Duration>;

impl Signals {
    /// Waits for a signal to stop.
    pub(super) async fn stop(&mut self) -> TimeLeft {
        loop {
            if let Action::Stop(time_left) = self.next().await {
                return time_left;
            }
        }
    }

    /// Waits for `time`, and drops the signals to stop that arrive in it. Returns early if the system
    /// is about to end the process.
    pub(super) async fn ignore_stops(&mut self, time: Duration) -> TimeLeft {
        let mut end = pin!(tokio::time::sleep(time));
        loop {
            tokio::select! {
                // First, since signals without a pause would keep the other branch ready.
                biased;
                () = &mut end => return None,
                time_left = self.stop() => if time_left.is_some() { return time_left },
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
            _ = self.terminate.recv() => Action::Stop(None),
            _ = self.interrupt.recv() => Action::Stop(None),
            _ = self.hangup.recv() => Action::Reload,
        }
    }
}

#[cfg(windows)]
impl Signals {
    /// Starts to listen. From now on, these signals no longer end the process by themselves.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            ctrl_c: windows::ctrl_c()?,
            ctrl_break: windows::ctrl_break()?,
            close: windows::ctrl_close()?,
            logoff: windows::ctrl_logoff()?,
            shutdown: windows::ctrl_shutdown()?,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> Action {
        /// Windows ends the process five seconds after `close`, `logoff` and `shutdown`
        /// (`HandlerRoutine`, Remarks: the table of timeouts). The rest is for the log.
        const BEFORE_THE_END: Duration = Duration::from_secs(4);

        tokio::select! {
            _ = self.ctrl_c.recv() => Action::Stop(None),
            _ = self.ctrl_break.recv() => Action::Stop(None),
            _ = self.close.recv() => Action::Stop(Some(BEFORE_THE_END)),
            _ = self.logoff.recv() => Action::Stop(Some(BEFORE_THE_END)),
            _ = self.shutdown.recv() => Action::Stop(Some(BEFORE_THE_END)),
        }
    }
}

/// Waits for a signal that would end the process. From now on, none of them does so by itself.
pub(crate) async fn stop_signal() {
    match Signals::listen() {
        // A command that does not serve has nothing to reload: SIGHUP tells it that its terminal is gone.
        Ok(mut signals) => {
            signals.next().await;
        }
        // The signals end the process, as they do without this call.
        Err(_) => std::future::pending().await,
    }
}
