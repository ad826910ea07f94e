//! The failures of the sources of `auto`, and the one message that summarizes them.

use super::super::{CredentialError, Reason};

/// A source that gave no token.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) name: &'static str,
    pub(super) error: CredentialError,
    pub(super) standing: Standing,
}

/// The effect of a failure on the sources that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Absent: try the next source.
    Absent,
    /// Present, but perhaps not meant for this proxy: try the next source.
    Found,
    /// Explicitly configured: report its error instead of falling back.
    Final,
}

impl Standing {
    /// The standing of a source that is perhaps not meant for this proxy.
    pub(super) fn of(error: &CredentialError) -> Self {
        match error.reason {
            Reason::Absent => Self::Absent,
            _ => Self::Found,
        }
    }
}

/// One error that lists the sources in their order, each with its reason, and the remedy of the
/// source that came closest to a token.
pub(super) fn summary(mut failures: Vec<Failure>) -> CredentialError {
    let list: Vec<String> = failures
        .iter()
        .map(|failure| format!("{}: {}", failure.name, failure.error.message))
        .collect();
    let message = format!("no credential gave a token ({})", list.join("; "));
    match closest(&failures) {
        Some(index) => {
            let error = failures.swap_remove(index).error;
            CredentialError {
                message,
                reason: match error.reason {
                    Reason::Absent => Reason::NeedsAction,
                    reason => reason,
                },
                ..error
            }
        }
        None => CredentialError::needs_action(message, where_to_begin(&failures)),
    }
}

/// The source that came closest to a token. A source that is final is always the last. Of the
/// sources that are present, those that a person can sign in to take precedence over those that
/// only lack an identity.
fn closest(failures: &[Failure]) -> Option<usize> {
    let last = failures.len().checked_sub(1)?;
    if failures[last].standing == Standing::Final {
        return Some(last);
    }
    (0..failures.len())
        .filter(|index| failures[*index].standing == Standing::Found)
        .min_by_key(|index| failures[*index].error.reason == Reason::Absent)
}

/// The remedy on a machine that has none of the sources.
fn where_to_begin(failures: &[Failure]) -> String {
    if failures.iter().any(|failure| failure.name == "azure-cli") {
        return "Install the Azure CLI (https://aka.ms/azure-cli) and run: az login".to_owned();
    }
    failures
        .first()
        .map(|failure| failure.error.remedy.clone())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(name: &'static str, reason: Reason, standing: Standing) -> Failure {
        Failure {
            name,
            error: CredentialError::new(reason, format!("{name} said no"), format!("Fix {name}.")),
            standing,
        }
    }

    fn remedy(failures: impl IntoIterator<Item = Failure>) -> String {
        summary(failures.into_iter().collect()).remedy
    }

    #[test]
    fn the_remedy_is_that_of_the_source_that_came_closest() {
        use Reason::{Absent, NeedsAction, Transient};
        let absent = || failure("environment", Absent, Standing::Absent);
        let machine = || failure("managed-identity", Absent, Standing::Found);
        let az = |reason| failure("azure-cli", reason, Standing::Found);
        let azd = || failure("azure-developer-cli", NeedsAction, Standing::Found);
        let refused = failure("workload-identity", NeedsAction, Standing::Final);
        assert_eq!(remedy([absent(), refused]), "Fix workload-identity.");
        assert_eq!(remedy([absent(), az(NeedsAction), azd()]), "Fix azure-cli.");
        assert_eq!(remedy([absent(), az(Transient), azd()]), "Fix azure-cli.");
        assert_eq!(remedy([machine(), az(NeedsAction)]), "Fix azure-cli.");
        assert_eq!(remedy([absent(), machine()]), "Fix managed-identity.");
        assert_eq!(remedy([absent()]), "Fix environment.");
        let no_az = failure("azure-cli", Absent, Standing::Absent);
        assert!(remedy([absent(), no_az]).ends_with("az login"));
    }

    #[test]
    fn every_source_is_listed_in_its_order() {
        let error = summary(vec![
            failure("environment", Reason::Absent, Standing::Absent),
            failure("azure-cli", Reason::Transient, Standing::Found),
            failure("azure-developer-cli", Reason::Absent, Standing::Absent),
        ]);
        assert_eq!(
            error.message,
            "no credential gave a token (environment: environment said no; azure-cli: azure-cli said \
             no; azure-developer-cli: azure-developer-cli said no)"
        );
        assert_eq!(error.reason, Reason::Transient);
    }
}
