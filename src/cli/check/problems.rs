//! A bad configuration as JSON.

use serde::Serialize;

use crate::{
    check::{Check, Finding, Outcome},
    config::{ConfigErrors, Location, Problem},
};

#[derive(Serialize)]
pub(super) struct Refused<'a> {
    valid: bool,
    problems: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    message: &'a str,
    remedy: &'a str,
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    argument: Option<&'static str>,
}

/// The problems, in place of the summary of a valid configuration.
pub(super) fn as_summary(errors: &ConfigErrors) -> Refused<'_> {
    let problems = errors.problems().iter().map(|problem| {
        let (file, line, column, argument) = match &problem.location {
            Location::File {
                path, line, column, ..
            } => (
                Some(path.display().to_string()),
                Some(*line),
                Some(*column),
                None,
            ),
            Location::Argument(name) => (None, None, None, Some(*name)),
            Location::Nowhere => (None, None, None, None),
        };
        Entry {
            message: &problem.message,
            remedy: &problem.remedy,
            file,
            line,
            column,
            argument,
        }
    });
    Refused {
        valid: false,
        problems: problems.collect(),
    }
}

/// The problems in the format of `check --online`.
pub(super) fn as_findings(errors: &ConfigErrors) -> Vec<Finding> {
    let findings = errors.problems().iter().map(|problem| Finding {
        route: None,
        check: Check::Configuration,
        outcome: Outcome::failed(located(problem), &*problem.remedy),
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
