//! The reason why a credential gave no token, and the remedy.

use std::time::Duration;

use crate::config::SecretRefError;

/// The reason why a credential gave no token, and the remedy. Any caller of the proxy may read it,
/// so it contains no secret, no token and no raw output of another program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}. {remedy}")]
pub struct CredentialError {
    /// The cause, without a full stop.
    pub message: String,
    /// The remedy, in one or more sentences.
    pub remedy: String,
    /// The kind of failure.
    pub reason: Reason,
    /// The wait before the next attempt, if the issuer names one.
    pub retry_after: Option<Duration>,
}

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// This source does not exist on this machine, for example since a program is not installed.
    Absent,
    /// A person has to act: sign in, correct a secret, register an application.
    NeedsAction,
    /// A person has a prompt to sign in. A retry costs nothing, and works once the person has
    /// signed in.
    Waiting,
    /// The next attempt may work, for example after a network failure, a 429 or a timeout.
    Transient,
}

impl CredentialError {
    pub(crate) fn new(
        reason: Reason,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            message: message.into(),
            remedy: remedy.into(),
            reason,
            retry_after: None,
        }
    }

    /// Replaces the remedy, where the caller knows a better one.
    pub(super) fn with_remedy(self, remedy: &str) -> Self {
        Self {
            remedy: remedy.to_owned(),
            ..self
        }
    }

    pub(super) fn absent(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Reason::Absent, message, remedy)
    }

    pub(super) fn needs_action(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Reason::NeedsAction, message, remedy)
    }

    pub(super) fn transient(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Reason::Transient, message, remedy)
    }
}

/// The error for a secret that cannot be read where the configuration says.
pub(super) fn unread(remedy: &'static str) -> impl FnOnce(SecretRefError) -> CredentialError {
    move |error| CredentialError::needs_action(error.to_string(), remedy)
}
