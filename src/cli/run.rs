//! `ahds-proxy run`: serve until told to stop.

use std::process::ExitCode;

use super::{complain, logging, runtime};
use crate::{app, config::Config};

pub(super) fn run(config: &Config) -> Result<ExitCode, ExitCode> {
    logging(config)?;
    match runtime::block_on(app::run(config))? {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            complain(&format_args!("error: {error}"));
            Err(ExitCode::FAILURE)
        }
    }
}
