//! Reads the configuration for a reload, on a thread of its own, since a file system may not
//! respond.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::Semaphore,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use super::warnings::{RELOAD, warnings};
use crate::{config::Config, upstream::Connections};

const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The number of reads at a time. It is small, since each read that does not return keeps a thread.
static READING: Semaphore = Semaphore::const_new(4);

/// The function that reads the configuration.
pub trait Reload<E>: Fn() -> Result<Config, E> + Clone + Send + 'static {}

impl<E, F: Fn() -> Result<Config, E> + Clone + Send + 'static> Reload<E> for F {}

/// Reads the configuration, its trust roots, and its warnings. An error is one line of text.
pub(super) async fn read_again<E: fmt::Display>(
    reload: impl Reload<E>,
    now: SystemTime,
) -> Result<(Config, Connections, Vec<String>), String> {
    let deadline = Instant::now() + TIME_LIMIT;
    let read = async {
        let turn = READING.acquire().await;
        let read = spawn_blocking(move || {
            let _turn = turn;
            let config = reload().map_err(|error| error.to_string())?;
            let connections =
                Connections::new(&config.network).map_err(|error| error.to_string())?;
            let warnings = warnings(&config, now);
            Ok((config, connections, warnings))
        });
        read.await.map_err(|error| error.to_string())?
    };
    let late = |_| {
        format!(
            "its files could not be read within {} s; check that their file system responds, then \
             {RELOAD}",
            TIME_LIMIT.as_secs()
        )
    };
    timeout_at(deadline, read).await.map_err(late)?
}
