//! `run`: serve until told to stop.

use std::process::ExitCode;

use crate::{
    app,
    config::Config,
    telemetry,
};

use super::{complain, runtime};

pub(super) fn run(config: &Config) -> ExitCode {
    if let Err(error) = telemetry::log::init(&config.log) {
        complain(&error);
        return ExitCode::from(2);
    }
    match runtime::block_on(app::run(config)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            complain(&error);
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}
