//! The result of a check, in the terms of `check --output json`.

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
    /// The route's name. `None` for a finding about all routes.
    pub route: Option<String>,
    /// The subject of the check.
    pub check: Check,
    /// The result.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The subjects of checks, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Check {
    /// The route's settings.
    Configuration,
    /// The addresses of the upstream's host.
    Dns,
    /// The connection, and the identity of the server.
    Tls,
    /// The token of the credential, and its holder.
    Token,
    /// The audience that Azure names for the service.
    Audience,
    /// A request without a token.
    Anonymous,
    /// A request with the token.
    #[serde(rename = "authorised")]
    Authorized,
}

impl Check {
    /// The name in JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Token => "token",
            Self::Audience => "audience",
            Self::Anonymous => "anonymous",
            Self::Authorized => "authorised",
        }
    }
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// The check found no problem.
    Ok,
    /// The check found a problem that has a remedy.
    Failed,
    /// The check could not be done, or does not apply.
    Skipped,
}

impl Status {
    /// The name in JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

/// A finding without its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Outcome {
    pub status: Status,
    /// The observation. It never contains a token or the body of a response, but may contain any
    /// character that the other side sent.
    pub detail: String,
    /// The remedy, if one is needed.
    pub remedy: Option<String>,
}

impl Outcome {
    pub(super) fn ok(detail: impl Into<String>) -> Self {
        Self {
            status: Status::Ok,
            detail: detail.into(),
            remedy: None,
        }
    }

    pub(crate) fn failed(detail: impl Into<String>, remedy: impl Into<String>) -> Self {
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
