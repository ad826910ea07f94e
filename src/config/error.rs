//! The problems of a refused configuration: all at once, each with its place and a remedy.
//!
//! The command line prints [`ConfigErrors`] unchanged and exits with 2. Nothing here contains a
//! secret, since source lines were masked when the problems were collected.

use std::{fmt, path::PathBuf};

/// Every problem of a configuration, flags first, then variables, then the file from top to
/// bottom. Its `Display` is the text for the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Problem>);

impl ConfigErrors {
    /// `problems` must not be empty.
    pub fn new(problems: Vec<Problem>) -> Self {
        Self(problems)
    }

    /// The problems. Never empty.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        match self.0.len() {
            1 => write!(f, "1 problem; nothing was started"),
            n => write!(f, "{n} problems; nothing was started"),
        }
    }
}

impl ConfigErrors {
    /// All problems on one line, for the log of a process that continues to serve.
    pub fn in_one_line(&self) -> String {
        let problems = self.0.iter().map(|problem| {
            let place = match &problem.location {
                Location::File {
                    path, line, column, ..
                } => format!("{}:{line}:{column}: ", path.display()),
                Location::Argument(name) => format!("{name}: "),
                Location::Nowhere => String::new(),
            };
            format!("{place}{}; {}", problem.message, problem.remedy)
        });
        problems.collect::<Vec<_>>().join(" | ")
    }
}

/// One thing to correct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The problem, with the name of the key.
    pub message: String,
    /// The remedy.
    pub remedy: String,
    /// The place of the problem.
    pub location: Location,
}

/// The place of a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A place in the configuration file.
    File {
        /// The file as named on the command line.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// The line with its secrets masked, and the part to underline. `None` in a file that does not
        /// parse.
        source: Option<SourceLine>,
    },
    /// A flag such as `--fhir`, or an environment variable.
    Argument(&'static str),
    /// No place, since something is missing.
    Nowhere,
}

/// One line of the file in a form that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceLine {
    /// The line without control characters and secrets.
    pub text: String,
    /// The first character to underline, counted from 0.
    pub start: usize,
    /// The number of characters to underline, at least 1.
    pub width: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.message)?;
        let mut gutter = 1;
        match &self.location {
            Location::File {
                path,
                line,
                column,
                source,
            } => {
                let number = line.to_string();
                gutter = number.len();
                writeln!(f, "{:gutter$}--> {}:{line}:{column}", "", path.display())?;
                if let Some(source) = source {
                    writeln!(f, "{:gutter$} |", "")?;
                    writeln!(f, "{number} | {}", source.text)?;
                    let (start, carets) = (source.start, "^".repeat(source.width));
                    writeln!(f, "{:gutter$} | {:start$}{carets}", "", "")?;
                }
            }
            Location::Argument(name) => writeln!(f, "{:gutter$}--> {name}", "")?,
            Location::Nowhere => {}
        }
        writeln!(f, "{:gutter$} = help: {}", "", self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(location: Location) -> Problem {
        Problem {
            message: "unknown key `idle-timout`".into(),
            remedy: "did you mean `idle_timeout`?".into(),
            location,
        }
    }

    #[test]
    fn points_at_the_key() {
        let location = Location::File {
            path: "ahds-proxy.toml".into(),
            line: 12,
            column: 1,
            source: Some(SourceLine {
                text: "idle-timout = \"60s\"".into(),
                start: 0,
                width: 11,
            }),
        };
        let expected = "\
error: unknown key `idle-timout`
  --> ahds-proxy.toml:12:1
   |
12 | idle-timout = \"60s\"
   | ^^^^^^^^^^^
   = help: did you mean `idle_timeout`?
";
        assert_eq!(problem(location).to_string(), expected);
    }

    #[test]
    fn names_the_flag_and_counts() {
        let one = ConfigErrors::new(vec![problem(Location::Argument("--fhir"))]).to_string();
        assert!(one.contains(" --> --fhir\n"), "{one}");
        assert!(one.ends_with("\n1 problem; nothing was started"), "{one}");
        let two = ConfigErrors::new(vec![problem(Location::Nowhere); 2]).to_string();
        assert!(two.ends_with("\n2 problems; nothing was started"), "{two}");
    }
}
