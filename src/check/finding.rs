//! What a check found, in the words of `check --output json`.

use serde::Serialize;

use crate::credentials::CredentialError;

/// A message for the user while the checks run.
#[derive(Debug)]
pub(crate) enum Event {
    /// A check is done.
    Found(Finding),
    /// Somebody has to sign in before the checks go on.
    Waiting(CredentialError),
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// The route's name; `None` where it concerns them all.
    pub route: Option<String>,
    /// What was looked at.
    pub check: Check,
    /// What came of it.
    pub status: Status,
    /// What was seen. Never holds a token or an answer's body; it may hold any characters that the
    /// other side sent.
    pub detail: String,
    /// What to do, where something has to be done.
    pub remedy: Option<String>,
}

/// What is looked at, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Check {
    /// What the route amounts to.
    Configuration,
    /// Where the upstream's host is.
    Dns,
    /// Whether it can be connected to, and whether it is who it says.
    Tls,
    /// Whether the credential gives a token, and for whom.
    Token,
    /// A request without a token.
    Anonymous,
    /// A request with the token.
    #[serde(rename = "authorised")]
    Authorized,
}

impl Check {
    /// As in JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Token => "token",
            Self::Anonymous => "anonymous",
            Self::Authorized => "authorised",
        }
    }
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// As it should be.
    Ok,
    /// Something has to be done.
    Failed,
    /// It could not be done, or there is nothing to do.
    Skipped,
}

impl Status {
    /// As in JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A finding without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) status: Status,
    pub(super) detail: String,
    pub(super) remedy: Option<String>,
}

impl Outcome {
    pub(super) fn ok(detail: impl Into<String>) -> Self {
        Self {
            status: Status::Ok,
            detail: detail.into(),
            remedy: None,
        }
    }

    pub(super) fn failed(detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            status: Status::Failed,
            detail: detail.into(),
            remedy: Some(remedy.into()),
        }
    }

    pub(super) fn skipped(detail: impl Into<String>) -> Self {
        Self {
            status: Status::Skipped,
            detail: detail.into(),
            remedy: None,
        }
    }
}
