//! `ahds-proxy demo`.

use std::process::ExitCode;

use super::complain;
use crate::config::Overrides;

pub(super) fn demo(_flags: &Overrides) -> ExitCode {
    complain(&"error: `ahds-proxy demo` is not available yet");
    ExitCode::FAILURE
}
