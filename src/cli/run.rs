//! `ahds-proxy run`: serves until a signal stops it.

use std::process::ExitCode;

use super::{
    banner, near_miss,
    output::{environment, failed, logging},
    running, runtime,
};
use crate::{
    app,
    config::{self, Config, Overrides},
    telemetry::log::START,
};

pub(super) fn run(config: &Config, flags: &Overrides) -> Result<ExitCode, ExitCode> {
    let has_banner = banner::is_wanted(config);
    logging(config, has_banner)?;
    let file = config::config_file(flags, &environment);
    if let Some(file) = &file {
        tracing::info!(target: START, file = %file.display(), "configuration");
    }
    for warning in near_miss::variables() {
        tracing::warn!("{warning}");
    }
    let flags = flags.clone();
    let reload =
        move || config::reload(&flags, &environment).map_err(|errors| errors.in_one_line());
    // Kept while the proxy serves.
    let mut record = None;
    let started = |running: &app::Running| {
        if has_banner {
            banner::show(running, config, file.as_deref());
        }
        record = running::own_start().and_then(|start| running::leave_record(running, start));
    };
    let served = runtime::block_on(app::run(config, reload, started))?;
    drop(record);
    served
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| failed(&error))
}
