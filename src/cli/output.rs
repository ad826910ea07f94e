//! The output of every command: stdout carries the result, stderr everything else.

use std::{fmt, io::Write as _, process::ExitCode};

use serde::Serialize;

use crate::{
    config::{Config, ConfigErrors},
    telemetry,
};

/// The exit code for bad usage or a bad configuration; nothing was started.
const USAGE: u8 = 2;

pub(super) fn refused(errors: &ConfigErrors) -> ExitCode {
    complain(errors);
    ExitCode::from(USAGE)
}

/// A variable of the environment. One that is not UTF-8 stays recognizably wrong, and is refused where it is
/// parsed.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Sends log events to stderr from now on.
pub(super) fn logging(config: &Config) -> Result<(), ExitCode> {
    telemetry::log::init(&config.log).map_err(|error| {
        complain(&format_args!("error: {error}"));
        ExitCode::from(USAGE)
    })
}

/// Tells why a command failed.
pub(super) fn failed(error: &dyn fmt::Display) -> ExitCode {
    complain(&format_args!("error: {error}"));
    ExitCode::FAILURE
}

/// Tells why a command cannot be done as it was given, and what to do.
pub(super) fn misused(error: &dyn fmt::Display, remedy: &str) -> ExitCode {
    complain(&format_args!("error: {error}\n  = help: {remedy}"));
    ExitCode::from(USAGE)
}

/// Writes a result to stdout. A reader that has left, as in `… | head -1`, has seen enough.
pub(super) fn print(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => failed(&format_args!("cannot write to stdout: {error}")),
    }
}

/// Writes a result to stdout as JSON. The order of its keys is that of the type.
pub(super) fn print_json(result: &impl Serialize) -> ExitCode {
    print(&to_json(result))
}

pub(super) fn to_json(result: &impl Serialize) -> String {
    let json = serde_json::to_string_pretty(result);
    format!("{}\n", json.expect("text and numbers are JSON"))
}

/// Writes a line to stderr, behind those of the log. A closed stderr is ignored.
pub(super) fn complain(text: &dyn fmt::Display) {
    telemetry::lines::finish();
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
