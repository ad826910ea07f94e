//! The parts of the process that credentials use.

use super::{children::Children, http::IdentityEndpoints};
use crate::clock::Clock;

/// The parts from which every credential is made.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) endpoints: IdentityEndpoints,
    pub(super) clock: Clock,
    pub(super) children: Children,
}

#[cfg(test)]
impl Context {
    /// A context with the system's trust roots.
    pub(super) fn for_tests() -> Self {
        let flags = crate::config::Overrides {
            fhir: Some("https://a.fhir.azurehealthcareapis.com".to_owned()),
            ..Default::default()
        };
        let config = crate::config::load(&flags, &|_| None).expect("a configuration");
        let connections = crate::upstream::Connections::new(&config.network).expect("trust roots");
        Self {
            endpoints: IdentityEndpoints::new(&connections),
            clock: Clock::default(),
            children: Children::withholding([]),
        }
    }
}
