//! `ahds-proxy run`.

use std::process::ExitCode;

use super::complain;
use crate::config::{Config, Overrides};

pub(super) fn run(_config: Config, _flags: &Overrides) -> ExitCode {
    complain(&"error: `ahds-proxy run` is not available yet");
    ExitCode::FAILURE
}
