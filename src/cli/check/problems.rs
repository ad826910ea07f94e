//! A bad configuration as JSON.

use serde_json::{Value, json};

use crate::config::{ConfigErrors, Location, Problem};

/// In place of the summary of a valid one.
pub(super) fn as_summary(errors: &ConfigErrors) -> Value {
    let problems = errors.problems().iter().map(|problem| {
        let (file, line, column) = match &problem.location {
            Location::File {
                path, line, column, ..
            } => (Some(path.display().to_string()), Some(line), Some(column)),
            _ => (None, None, None),
        };
        let argument = match problem.location {
            Location::Argument(name) => Some(name),
            _ => None,
        };
        json!({
            "message": problem.message,
            "remedy": problem.remedy,
            "file": file,
            "line": line,
            "column": column,
            "argument": argument,
        })
    });
    json!({ "valid": false, "problems": problems.collect::<Vec<_>>() })
}

/// In the shape of `check --online`.
pub(super) fn as_findings(errors: &ConfigErrors) -> Value {
    let findings = errors.problems().iter().map(|problem| {
        json!({
            "route": null,
            "check": "configuration",
            "status": "failed",
            "detail": located(problem),
            "remedy": problem.remedy,
        })
    });
    findings.collect()
}

fn located(problem: &Problem) -> String {
    let message = &problem.message;
    match &problem.location {
        Location::File {
            path, line, column, ..
        } => format!("{}:{line}:{column}: {message}", path.display()),
        Location::Argument(name) => format!("{name}: {message}"),
        Location::Nowhere => message.clone(),
    }
}
