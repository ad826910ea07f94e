//! `ahds-proxy run`: serves until a signal stops it.

use std::process::ExitCode;

use super::{
    output::{complain, environment, logging},
    runtime,
};
use crate::{
    app,
    config::{self, Config, Overrides},
};

pub(super) fn run(config: &Config, flags: &Overrides) -> Result<ExitCode, ExitCode> {
    logging(config)?;
    let flags = flags.clone();
    let reload =
        move || config::reload(&flags, &environment).map_err(|errors| errors.in_one_line());
    match runtime::block_on(app::run(config, reload))? {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            complain(&format_args!("error: {error}"));
            Err(ExitCode::FAILURE)
        }
    }
}
