//! The life of the proxy as a process: it serves, reloads and drains as signals say.

use std::{fmt, time::Duration};

use tokio::time::timeout;

use super::{
    reading::{self, Reload},
    running::{Running, StartError, start},
    signals::{Action, Signals, TimeLeft},
};
use crate::{clock::Clock, config::Config, credentials};

/// The time in which signals to stop count as one. Ctrl-C reaches the process from the terminal, and
/// again from each launcher above it, such as npx, that forwards its own. `timeout` and systemd also
/// send their signal to every process of a group.
const SAME_STOP: Duration = Duration::from_millis(500);

/// Serves until a signal to stop, then drains. A later signal ends the drain at once. On SIGHUP, and
/// for `ahds-proxy reload`, `reload` reads the configuration again. Calls `started` once every
/// address is bound.
pub async fn run<E: fmt::Display>(
    config: &Config,
    reload: impl Reload<E>,
    started: impl FnOnce(&Running),
) -> Result<(), StartError> {
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    tokio::spawn(credentials::reap_orphans());
    let mut running = start(config, Clock::default()).await?;
    started(&running);
    let time_left = loop {
        let request = tokio::select! {
            action = signals.next() => match action {
                Action::Reload => None,
                Action::Stop(time_left) => break time_left,
            },
            Some(request) = running.reloads.recv() => Some(request),
        };
        // A file system that does not respond must not keep the process from its end.
        let result = tokio::select! {
            read = reading::read_again(reload.clone(), running.clock.now()) => {
                read.and_then(|(config, connections, warnings)| {
                    running.replace(&config, &connections, &warnings)
                })
            },
            time_left = signals.stop() => break time_left,
        };
        if let Err(reason) = &result {
            tracing::error!("the old configuration keeps serving: {reason}");
        }
        if let Some(request) = request {
            // The caller may have left.
            let _ = request.send(result);
        }
    };
    let proxy = running.proxy.clone();
    let drain = time_left.map_or(config.drain, |time_left| time_left.min(config.drain));
    say_what_is_awaited(proxy.in_flight(), drain);
    proxy.stop();
    let at_once = async {
        end_of_drain(&mut signals, time_left).await;
        proxy.cut_off();
    };
    tokio::select! {
        () = running.stop() => tracing::info!("stopped"),
        () = at_once => tracing::warn!("stopped at once"),
    }
    Ok(())
}

/// Waits for a second signal to stop, or until the system is about to end the process.
async fn end_of_drain(signals: &mut Signals, mut time_left: TimeLeft) {
    if time_left.is_none() {
        time_left = signals.ignore_stops(SAME_STOP).await;
    }
    tracing::debug!("the next stop signal ends the requests in flight");
    let second = signals.stop();
    match time_left {
        Some(time) => {
            // It does not matter which comes first.
            let _ = timeout(time, second).await;
        }
        None => {
            second.await;
        }
    }
}

/// The signals to stop that a person sends.
const STOP: &str = if cfg!(windows) {
    "Ctrl-C"
} else {
    "Ctrl-C or SIGTERM"
};

fn say_what_is_awaited(requests: usize, drain: Duration) {
    let drain_s = drain.as_secs_f32();
    if requests == 0 {
        tracing::info!(drain_s, "stopping");
        return;
    }
    tracing::info!(
        requests,
        drain_s,
        "stopping once the requests in flight have finished; a second {STOP} ends them"
    );
}
