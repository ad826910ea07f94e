//! Log lines on stderr, as text or JSON.
//!
//! Only this crate's own events are ever written. At low levels, libraries log URLs and header
//! blocks, which contain patient data and tokens. No filter can switch their events on.

use std::{
    io,
    panic::{self, PanicHookInfo},
};

use tracing::Metadata;
use tracing_subscriber::{
    Layer as _,
    filter::{FilterExt as _, ParseError, Targets, filter_fn},
    layer::SubscriberExt as _,
    util::{SubscriberInitExt as _, TryInitError},
};

use super::{
    color,
    lines::{self, Lines},
    text::Text,
};
use crate::config::{Log, LogFormat};

const MORE_THREADS: &str = if cfg!(unix) {
    "raise the limit on processes (ulimit -u)"
} else {
    "end other programs, and start ahds-proxy again"
};

/// The reason why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    /// The filter does not parse.
    #[error(
        "the log filter is not valid ({0}); write a level such as `info`, or `ahds_proxy=debug`"
    )]
    Filter(#[from] ParseError),
    /// Something else in this process has already set up logging.
    #[error("logging is already set up: {0}")]
    Twice(#[from] TryInitError),
    /// The thread that writes the lines could not be started.
    #[error("cannot start a thread for the log: {0}; {remedy}", remedy = MORE_THREADS)]
    Thread(io::Error),
}

/// The target of the events at a start, in place of which a person at a terminal sees a banner.
pub(crate) const START: &str = "ahds_proxy::start";

/// Sends this process's events to stderr from now on, without those at the start if there is a banner.
pub(crate) fn init(log: &Log, has_banner: bool) -> Result<(), LogError> {
    let wanted: Targets = log.level.parse()?;
    let is_shown = move |event: &Metadata<'_>| !(has_banner && event.target() == START);
    let filter = wanted.and(filter_fn(is_own)).and(filter_fn(is_shown));
    let lines = tracing_subscriber::fmt::layer().with_writer(Lines);
    let registry = tracing_subscriber::registry();
    match log.format {
        LogFormat::Text => {
            let text = Text {
                in_color: color::is_wanted(&io::stderr()),
            };
            let lines = lines.event_format(text).with_filter(filter);
            registry.with(lines).try_init()?;
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_target(false);
            registry.with(lines.with_filter(filter)).try_init()?;
        }
    }
    lines::start().map_err(LogError::Thread)?;
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Logs the place of a panic, which ends one request or connection. The message of the panic may
/// quote patient data, so it is not logged.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    tracing::error!(
        place,
        "a defect in ahds-proxy ended a request; please report the version and this place"
    );
}

fn is_own(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    target == "ahds_proxy" || target.starts_with("ahds_proxy::")
}
