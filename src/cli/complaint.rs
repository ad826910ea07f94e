//! Errors and warnings on stderr: text, or a line of JSON each where the log is JSON, too. A program
//! that collects the log can then read why the process ended.

use std::{
    ffi::OsString,
    fmt,
    io::Write as _,
    sync::atomic::{AtomicBool, Ordering},
    time::SystemTime,
};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    config::{Location, Problem},
    telemetry,
};

static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Writes JSON from now on, or text.
pub(super) fn use_json(is_json: bool) {
    IS_JSON.store(is_json, Ordering::Relaxed);
}

/// Whether the arguments, or else the environment, ask for a log in JSON. They may not parse.
pub(super) fn asks_for_json(
    arguments: impl Iterator<Item = OsString>,
    variable: Option<&str>,
) -> bool {
    const FLAG: &str = "--log-format";
    let arguments: Vec<String> = arguments
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let separate = arguments
        .windows(2)
        .filter(|pair| pair[0] == FLAG)
        .map(|pair| &*pair[1]);
    let joined = arguments
        .iter()
        .filter_map(|argument| argument.strip_prefix(FLAG)?.strip_prefix('='));
    separate.chain(joined).last().or(variable) == Some("json")
}

pub(super) fn error(message: &dyn fmt::Display, remedy: Option<&str>) {
    if IS_JSON.load(Ordering::Relaxed) {
        return write(&Line::new("ERROR", &message.to_string(), remedy).to_json());
    }
    match remedy {
        Some(remedy) => write(&format_args!("error: {message}\n  = help: {remedy}")),
        None => write(&format_args!("error: {message}")),
    }
}

pub(super) fn warning(message: &str) {
    if IS_JSON.load(Ordering::Relaxed) {
        write(&Line::new("WARN", message, None).to_json());
    } else {
        write(&format_args!("warning: {message}"));
    }
}

/// The problems of a configuration. `summary` is their text.
pub(super) fn problems(problems: &[Problem], summary: &dyn fmt::Display) {
    if !IS_JSON.load(Ordering::Relaxed) {
        return write(summary);
    }
    for problem in problems {
        let mut line = Line::new("ERROR", &problem.message, Some(&problem.remedy));
        match &problem.location {
            Location::File {
                path,
                line: number,
                column,
                ..
            } => {
                line.file = Some(path.display().to_string());
                line.row = Some(*number);
                line.column = Some(*column);
            }
            Location::Argument(name) => line.argument = Some(name),
            Location::Nowhere => {}
        }
        write(&line.to_json());
    }
}

/// An error of the command line, with a hint.
pub(super) fn arguments(error: &clap::Error, hint: Option<&str>) {
    if IS_JSON.load(Ordering::Relaxed) && error.use_stderr() {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default();
        let message = message.trim_start_matches("error: ");
        let remedy = hint.unwrap_or("`ahds-proxy --help` lists the commands and flags");
        return write(&Line::new("ERROR", message, Some(remedy)).to_json());
    }
    // A closed stream is ignored.
    let _ = error.print();
    if let Some(hint) = hint {
        write(&format_args!("  = help: {hint}"));
    }
}

/// Writes a line to stderr, after the lines of the log. A closed stderr is ignored.
pub(super) fn write(text: &dyn fmt::Display) {
    telemetry::lines::finish();
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// A line with the keys of a log line.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: Option<String>,
    level: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(rename = "line", skip_serializing_if = "Option::is_none")]
    row: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    argument: Option<&'static str>,
}

impl<'a> Line<'a> {
    fn new(level: &'static str, message: &'a str, remedy: Option<&'a str>) -> Self {
        let now = Timestamp::try_from(SystemTime::now()).ok();
        Self {
            timestamp: now.map(|now| format!("{now:.6}")),
            level,
            message,
            remedy,
            file: None,
            row: None,
            column: None,
            argument: None,
        }
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text and numbers are JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_whether_json_is_asked_for() {
        for (line, variable, expected) in [
            ("x --log-format json", None, true),
            ("x --log-format=json --nonsense", None, true),
            ("x --log-format text", Some("json"), false),
            ("x check", Some("json"), true),
            ("x --log-format", Some("text"), false),
            ("x json", None, false),
        ] {
            let arguments = line.split(' ').map(OsString::from);
            assert_eq!(asks_for_json(arguments, variable), expected, "{line}");
        }
    }
}
