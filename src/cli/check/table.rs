//! Prints findings for people: one aligned line for each, with its remedy below it.

use std::{fmt::Write as _, io::stdout};

use crate::{
    check::{Check, Finding, Status},
    config::Config,
    telemetry::color,
};

const NO_ROUTE: &str = "-";
const ROUTE: &str = "ROUTE";
/// The width of the longest check.
const CHECK_WIDTH: usize = Check::Configuration.as_str().len();
/// The width of the longest status.
const STATUS_WIDTH: usize = Status::Skipped.as_str().len();

/// The format of all lines.
#[derive(Debug)]
pub(super) struct Table {
    route_width: usize,
    in_color: bool,
}

impl Table {
    pub(super) fn new(config: &Config) -> Self {
        let names = config.routes.iter().map(|route| route.name.len());
        Self {
            route_width: names.chain([ROUTE.len()]).max().unwrap_or_default(),
            in_color: color::is_wanted(&stdout()),
        }
    }

    pub(super) fn head(&self) -> String {
        let width = self.route_width;
        format!(
            "{ROUTE:width$}  {:CHECK_WIDTH$}  {:STATUS_WIDTH$}  DETAIL\n",
            "CHECK", "STATUS"
        )
    }

    pub(super) fn row(&self, finding: &Finding) -> String {
        let width = self.route_width;
        let route = finding.route.as_deref().unwrap_or(NO_ROUTE);
        let status = finding.outcome.status.as_str();
        let mut row = format!("{route:width$}  {:CHECK_WIDTH$}  ", finding.check.as_str());
        // Writing into a String cannot fail.
        let _ = if self.in_color {
            let color = color_of(finding.outcome.status);
            write!(row, "\u{1b}[{color}m{status:STATUS_WIDTH$}\u{1b}[0m")
        } else {
            write!(row, "{status:STATUS_WIDTH$}")
        };
        let _ = writeln!(row, "  {}", printable(&finding.outcome.detail));
        if let Some(remedy) = &finding.outcome.remedy {
            let indent = width + CHECK_WIDTH + STATUS_WIDTH + 3 * "  ".len();
            let _ = writeln!(row, "{:indent$}= help: {}", "", printable(remedy));
        }
        row
    }
}

fn color_of(status: Status) -> u8 {
    match status {
        Status::Ok => 32,
        Status::Failed => 31,
        Status::Skipped => 33,
    }
}

/// Escapes control characters, since a certificate or a token may contain sequences that control
/// the terminal.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Outcome;

    fn finding(status: Status, remedy: Option<&str>) -> Finding {
        Finding {
            route: Some("fhir".to_owned()),
            check: Check::Dns,
            outcome: Outcome {
                status,
                detail: "a\u{1b}[31m\nb".to_owned(),
                remedy: remedy.map(str::to_owned),
            },
        }
    }

    #[test]
    fn columns_stand_below_each_other() {
        let mut table = Table {
            route_width: 5,
            in_color: false,
        };
        let row = table.row(&finding(Status::Failed, Some("Do.")));
        let expected = "\
ROUTE  CHECK          STATUS   DETAIL
fhir   dns            failed   a\\u{1b}[31m\\nb
                               = help: Do.
";
        assert_eq!(table.head() + &row, expected);
        table.in_color = true;
        let colored = table.row(&finding(Status::Ok, None));
        assert!(
            colored.contains("\u{1b}[32mok     \u{1b}[0m  a\\u{1b}"),
            "{colored:?}"
        );
    }
}
