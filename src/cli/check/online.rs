//! `ahds-proxy check --online`: prints the checks of each route, from DNS to roles.

use std::process::ExitCode;

use super::{
    super::{
        output::{complain, print, print_json},
        runtime,
    },
    table::Table,
};
use crate::{
    check::{self, Check, Event, Finding, Outcome, Status},
    cli::args::CheckOutput,
    clock::Clock,
    config::Config,
};

/// Runs the checks. Text is printed line by line, since a check may take long. JSON is printed as a
/// whole.
pub(super) fn check(config: &Config, output: CheckOutput) -> Result<ExitCode, ExitCode> {
    let table = (output == CheckOutput::Text).then(|| Table::new(config));
    let mut findings = Vec::new();
    let mut note = |finding: Finding| {
        if let Some(table) = &table {
            print(&table.row(&finding));
        }
        findings.push(finding);
    };
    if let Some(table) = &table {
        print(&table.head());
    }
    let mut tell = |event| match event {
        Event::Found(finding) => note(finding),
        Event::Waiting(error) => complain(&error),
    };
    if let Err(error) = runtime::run_to_end(check::run(config, &Clock::default(), &mut tell))? {
        note(Finding {
            route: None,
            check: Check::Configuration,
            outcome: Outcome::failed(
                error.to_string(),
                "Correct [network], or this machine's CA certificates.",
            ),
        });
    }
    let printed = if output == CheckOutput::Text {
        print(&summary(&findings))
    } else {
        print_json(&findings)
    };
    let has_failed = findings
        .iter()
        .any(|one| one.outcome.status == Status::Failed);
    Ok(if has_failed {
        ExitCode::FAILURE
    } else {
        printed
    })
}

fn summary(findings: &[Finding]) -> String {
    let count = |status| {
        findings
            .iter()
            .filter(|one| one.outcome.status == status)
            .count()
    };
    format!(
        "{} checks: {} ok, {} failed, {} skipped\n",
        findings.len(),
        count(Status::Ok),
        count(Status::Failed),
        count(Status::Skipped)
    )
}
