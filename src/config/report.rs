//! Collects problems while a configuration is read, so that the user sees them all at once.
//!
//! Values carry their [`Place`], and problems point to it. Secrets are masked when a problem becomes
//! text, whatever its subject.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Audience, SecretRef, ServiceUrl, ValueError,
    error::{ConfigErrors, Location, Problem, SourceLine},
};

/// The origin of a value. The order of the variants is the order in which problems are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Flag(&'static str),
    Variable(&'static str),
    /// Bytes of the file.
    Text {
        start: usize,
        end: usize,
    },
    /// A default, or something missing.
    Nowhere,
}

impl From<Range<usize>> for Place {
    fn from(span: Range<usize>) -> Self {
        Self::Text {
            start: span.start,
            end: span.end,
        }
    }
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// The result of reading a key. `Refused` keeps a bad value from being reported again as missing, or replaced by a
/// default that leads to further problems.
#[derive(Debug, Clone, Default)]
pub(super) enum Read<T> {
    #[default]
    Absent,
    Refused,
    Given(At<T>),
}

impl<T> Read<T> {
    /// The outcome of a reader, which reported why it returned `None`.
    pub(super) fn new(value: Option<T>, place: Place) -> Self {
        match value {
            Some(value) => Self::Given(At { value, place }),
            None => Self::Refused,
        }
    }

    pub(super) fn given_mut(&mut self) -> Option<&mut At<T>> {
        match self {
            Self::Given(at) => Some(at),
            Self::Absent | Self::Refused => None,
        }
    }

    pub(super) fn given(&self) -> Option<&At<T>> {
        match self {
            Self::Given(at) => Some(at),
            Self::Absent | Self::Refused => None,
        }
    }

    pub(super) fn into_value(self) -> Option<T> {
        match self {
            Self::Given(at) => Some(at.value),
            Self::Absent | Self::Refused => None,
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    pub(super) fn is_refused(&self) -> bool {
        matches!(self, Self::Refused)
    }

    /// The value, or the default if the key is absent. After a refusal the result does not matter,
    /// since the configuration is not used.
    pub(super) fn or(self, default: T) -> T {
        self.into_value().unwrap_or(default)
    }
}

impl<T: Default> Read<T> {
    /// The value, or the default if it is absent or refused.
    pub(super) fn get_or_insert_default(&mut self) -> &mut T {
        if self.given().is_none() {
            *self = Self::Given(At {
                value: T::default(),
                place: Place::Nowhere,
            });
        }
        match self {
            Self::Given(at) => &mut at.value,
            Self::Absent | Self::Refused => unreachable!("just given"),
        }
    }
}

/// A secret that must be readable at the start.
#[derive(Debug, Clone)]
pub(super) struct NeededSecret {
    /// The full name of its key.
    pub(super) key: String,
    pub(super) at: At<SecretRef>,
    /// Whether the secret may have several lines.
    pub(super) is_pem: bool,
}

/// The audience of a route's former upstream.
#[derive(Debug, Clone)]
pub(super) struct ReplacedAudience {
    pub(super) audience: Audience,
    /// The flag or variable that names the new upstream.
    pub(super) replaced_by: &'static str,
}

/// Shown instead of a secret.
const MASK: &str = "\"***\"";

/// The text of the file.
#[derive(Debug, Clone)]
struct Source {
    path: PathBuf,
    text: Arc<str>,
    masked: Vec<Range<usize>>,
}

/// One problem, not located yet.
#[derive(Debug)]
struct Finding {
    place: Place,
    message: String,
    remedy: String,
    /// Whether the line of the file may be shown.
    is_shown: bool,
}

/// The problems and secrets that were found so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    source: Option<Source>,
    findings: Vec<Finding>,
    /// Warnings about values that are valid, each with its remedy.
    pub(super) notes: Vec<String>,
    /// The audiences that belong to an upstream which a flag or variable has replaced, by route.
    pub(super) replaced_audiences: BTreeMap<String, ReplacedAudience>,
    /// The kinds of credentials, which may be shown wherever they stand.
    pub(super) kinds: Vec<&'static str>,
    /// Variables that contain secrets, in use or not.
    pub(super) secret_variables: BTreeSet<String>,
    /// Files that contain secrets, in use or not.
    pub(super) secret_files: BTreeSet<PathBuf>,
    /// The secrets of the credential that is being read.
    pub(super) needed_secrets: Vec<NeededSecret>,
    /// The URLs to which that credential sends secrets, by their keys.
    pub(super) endpoints: Vec<(String, ServiceUrl)>,
    /// Every key that was looked up, so that a test can demand each to be documented.
    #[cfg(test)]
    pub(super) asked: BTreeSet<String>,
}

impl Report {
    /// Sets the text that problems point into.
    pub(super) fn set_source(&mut self, path: &Path, text: Arc<str>) {
        self.source = Some(Source {
            path: path.to_owned(),
            text,
            masked: Vec::new(),
        });
    }

    /// Masks these bytes in every problem.
    pub(super) fn mask(&mut self, span: Range<usize>) {
        if let Some(source) = &mut self.source {
            source.masked.push(span);
        }
    }

    pub(super) fn refuse(
        &mut self,
        place: Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.findings.push(Finding {
            place,
            message: message.into(),
            remedy: remedy.into(),
            is_shown: true,
        });
    }

    /// Reports a problem of a file that does not parse, without the line. Nobody knows which part of
    /// it is a secret.
    pub(super) fn refuse_unshown(
        &mut self,
        place: Place,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.refuse(place, message, remedy);
        if let Some(finding) = self.findings.last_mut() {
            finding.is_shown = false;
        }
    }

    /// The number of problems so far.
    pub(super) fn problems(&self) -> usize {
        self.findings.len()
    }

    /// Passes a value on, or reports why `key` was refused.
    pub(super) fn accept<T>(
        &mut self,
        place: Place,
        key: &str,
        result: Result<T, ValueError>,
    ) -> Option<T> {
        result
            .map_err(|error| {
                self.refuse(place, format!("`{key}`: {}", error.message), error.remedy);
            })
            .ok()
    }

    /// Resolves a relative path against the folder of the configuration file, so that a configuration
    /// works in every working directory.
    pub(super) fn resolve_path(&self, path: &str) -> PathBuf {
        match self.source.as_ref().and_then(|s| s.path.parent()) {
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        }
    }

    /// The problems, sorted and located; `None` when there are none.
    pub(super) fn into_errors(mut self) -> Option<ConfigErrors> {
        if self.findings.is_empty() {
            return None;
        }
        self.findings.sort_by_key(|finding| finding.place);
        let source = self.source;
        let locate = |finding: Finding| Problem {
            message: finding.message,
            remedy: finding.remedy,
            location: match (finding.place, &source) {
                (Place::Flag(name) | Place::Variable(name), _) => Location::Argument(name),
                (Place::Text { start, end }, Some(source)) => {
                    source.locate(start..end, finding.is_shown)
                }
                (Place::Text { .. }, None) | (Place::Nowhere, _) => Location::Nowhere,
            },
        };
        Some(ConfigErrors::new(
            self.findings.into_iter().map(locate).collect(),
        ))
    }
}

impl Source {
    fn locate(&self, span: Range<usize>, is_shown: bool) -> Location {
        let before = &self.text[..span.start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[line_start..].lines().next().unwrap_or("");
        Location::File {
            path: self.path.clone(),
            line: before.matches('\n').count() + 1,
            column: self.text[line_start..span.start].chars().count() + 1,
            source: is_shown.then(|| self.show(line, line_start, &span)),
        }
    }

    fn show(&self, line: &str, line_start: usize, span: &Range<usize>) -> SourceLine {
        let mut text = String::new();
        let mut shown: usize = 0;
        let (mut first, mut last) = (None::<usize>, 0_usize);
        let mut in_mask = false;
        for (offset, c) in line.char_indices() {
            let at = line_start + offset;
            let from = shown;
            let masked = self.masked.iter().any(|mask| mask.contains(&at));
            if !masked {
                // A tab would shift the carets, and an escape sequence could rewrite the terminal.
                text.push(match c {
                    '\t' => ' ',
                    c if c.is_control() => char::REPLACEMENT_CHARACTER,
                    c => c,
                });
                shown += 1;
            } else if !in_mask {
                text.push_str(MASK);
                shown += MASK.len();
            }
            in_mask = masked;
            // An empty span points to the next character.
            if span.contains(&at) || at >= span.start && first.is_none() {
                // A problem inside a mask underlines the mask from its beginning.
                first.get_or_insert(if shown > from {
                    from
                } else {
                    shown.saturating_sub(MASK.len())
                });
                last = shown;
            }
        }
        let start = first.unwrap_or(shown);
        SourceLine {
            text,
            start,
            width: last.saturating_sub(start).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, span: Range<usize>, masks: &[Range<usize>]) -> String {
        let mut report = Report::default();
        report.set_source(Path::new("f.toml"), text.into());
        for mask in masks {
            report.mask(mask.clone());
        }
        report.refuse(span.into(), "m", "r");
        report.into_errors().expect("a problem").to_string()
    }

    #[test]
    fn masks_the_secret_and_underlines_the_mask() {
        let text = "a = 1\nsecret = \"hunter2\" # x\n";
        let out = shown(text, 15..24, &[15..24, 0..1]);
        assert!(
            out.contains("2 | secret = \"***\" # x\n  |          ^^^^^\n"),
            "{out}"
        );
        assert!(out.contains("f.toml:2:10"), "{out}");
    }

    #[test]
    fn shows_no_control_characters() {
        let out = shown("\tk\u{1b}[2J = 1\r\n", 1..2, &[]);
        assert!(out.contains("1 |  k\u{fffd}[2J = 1\n  |  ^\n"), "{out}");
    }

    #[test]
    fn points_past_the_end_of_the_text() {
        let out = shown("k = ", 4..4, &[]);
        assert!(out.contains("1 | k = \n  |     ^\n"), "{out}");
        let out = shown("", 0..0, &[]);
        assert!(out.contains("f.toml:1:1"), "{out}");
    }

    #[test]
    fn underlines_the_first_of_several_lines() {
        let out = shown("k = [\n1,\n2]\n", 4..12, &[]);
        assert!(out.contains("1 | k = [\n  |     ^\n"), "{out}");
    }
}
