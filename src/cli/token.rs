//! `ahds-proxy token`.

use std::process::ExitCode;

use super::args::TokenOutput;
use super::complain;
use crate::config::Config;

pub(super) fn token(_config: &Config, _route: &str, _output: TokenOutput) -> ExitCode {
    complain(&"error: `ahds-proxy token` is not available yet");
    ExitCode::FAILURE
}
