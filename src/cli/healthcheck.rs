//! `ahds-proxy healthcheck`.

use std::process::ExitCode;

use super::complain;
use crate::config::Config;

pub(super) fn healthcheck(_config: &Config) -> ExitCode {
    complain(&"error: `ahds-proxy healthcheck` is not available yet");
    ExitCode::FAILURE
}
