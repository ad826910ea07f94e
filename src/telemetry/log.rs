//! Log lines on stderr, text or JSON.
//!
//! Only this crate's own events are ever written. Libraries log URLs and header blocks at their
//! lower levels, which here are patient data and tokens, so no filter can switch them on.

use std::io::{self, IsTerminal as _};

use tracing::Metadata;
use tracing_subscriber::{
    Layer as _,
    filter::{FilterExt as _, ParseError, Targets, filter_fn},
    layer::SubscriberExt as _,
    util::{SubscriberInitExt as _, TryInitError},
};

use super::{lines::Lines, text::Text};
use crate::config::{Log, LogFormat};

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter does not parse.
    #[error(
        "the log filter is not valid ({0}); write a level such as `info`, or `ahds_proxy=debug`"
    )]
    Filter(#[from] ParseError),
    /// Something else in this process has already set it up.
    #[error("logging is already set up: {0}")]
    Twice(#[from] TryInitError),
}

/// Sends this process's events to stderr from now on.
pub fn init(log: &Log) -> Result<(), LogError> {
    let wanted: Targets = log.filter.parse()?;
    let filter = wanted.and(filter_fn(is_own));
    let lines = tracing_subscriber::fmt::layer().with_writer(Lines);
    let registry = tracing_subscriber::registry();
    match log.format {
        LogFormat::Text => {
            let text = Text {
                in_colour: io::stderr().is_terminal(),
            };
            let lines = lines.event_format(text).with_filter(filter);
            registry.with(lines).try_init()?;
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_target(false);
            registry.with(lines.with_filter(filter)).try_init()?;
        }
    }
    Ok(())
}

fn is_own(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    target == "ahds_proxy" || target.starts_with("ahds_proxy::")
}
