//! The reason why a credential gave no token, and the remedy.

use std::time::Duration;

use crate::config::SecretRefError;

/// Why a credential gave no token, and what its owner can do. Any caller of the proxy may read it: it holds no
/// secret, no token and no raw output of another program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}. {remedy}")]
pub struct CredentialError {
    /// The cause, without a full stop.
    pub message: String,
    /// The remedy, in one or more sentences.
    pub remedy: String,
    /// The kind of failure.
    pub reason: Reason,
    /// The wait that the issuer asks for before the next attempt.
    pub retry_after: Option<Duration>,
}

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// This source does not exist on this machine: no such program, no such variables.
    Absent,
    /// A person has to act: sign in, correct a secret, register an application.
    NeedsAction,
    /// A person is being asked to sign in: to ask again costs nothing, and works as soon as they have.
    Waiting,
    /// It may work the next time: a network failure, a busy issuer, a time-out.
    Transient,
}

impl CredentialError {
    pub(super) fn new(
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

    /// The same error where a caller knows better what to do.
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
