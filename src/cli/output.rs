//! The output of every command. Results go to stdout, all other output to stderr.

use std::{fmt, io::Write as _, process::ExitCode};

use serde::Serialize;

use super::{complaint, near_miss};
use crate::{
    config::{Config, ConfigErrors, LogFormat},
    telemetry,
};

pub(super) use complaint::write as complain;

/// The exit code for bad usage or a bad configuration. No listener has been opened then.
const USAGE: u8 = 2;

pub(super) fn refused(errors: &ConfigErrors) -> ExitCode {
    complaint::problems(errors.problems(), errors);
    for warning in near_miss::variables() {
        complaint::warning(&warning);
    }
    ExitCode::from(USAGE)
}

/// Reads an environment variable. A value that is not UTF-8 gets replacement characters, so that
/// parsing refuses it.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Sends log events to stderr from now on, and errors in their format. `has_banner` leaves out the
/// events that a banner replaces.
pub(super) fn logging(config: &Config, has_banner: bool) -> Result<(), ExitCode> {
    complaint::use_json(config.log.format == LogFormat::Json);
    telemetry::log::init(&config.log, has_banner).map_err(|error| {
        complaint::error(&error, None);
        ExitCode::from(USAGE)
    })
}

/// Prints an error of the command line, or the help or version that the user asked for.
pub(super) fn refused_arguments(error: &clap::Error, hint: Option<&str>) -> ExitCode {
    complaint::arguments(error, hint);
    if error.use_stderr() {
        ExitCode::from(USAGE)
    } else {
        ExitCode::SUCCESS
    }
}

/// Prints why a command failed.
pub(super) fn failed(error: &dyn fmt::Display) -> ExitCode {
    complaint::error(error, None);
    ExitCode::FAILURE
}

/// Prints why a command failed, and the remedy.
pub(super) fn failed_with(error: &str, remedy: &str) -> ExitCode {
    complaint::error(&error, Some(remedy));
    ExitCode::FAILURE
}

/// Prints why the arguments or the configuration of a command are wrong, and the remedy.
pub(super) fn misused(error: &dyn fmt::Display, remedy: &str) -> ExitCode {
    complaint::error(error, Some(remedy));
    ExitCode::from(USAGE)
}

/// Writes a result to stdout. It is not an error if the reader has left, as in `… | head -1`.
pub(super) fn print(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => failed(&format_args!("cannot write to stdout: {error}")),
    }
}

/// Writes a result to stdout as JSON, with the keys in the order of the type.
pub(super) fn print_json(result: &impl Serialize) -> ExitCode {
    print(&to_json(result))
}

pub(super) fn to_json(result: &impl Serialize) -> String {
    let json = serde_json::to_string_pretty(result);
    format!("{}\n", json.expect("text and numbers are JSON"))
}
