//! The parts of the process that credentials use.

use std::sync::Arc;

use super::{children::Children, http::IdentityEndpoints, requester::Names};
use crate::clock::Clock;

/// The parts from which every credential is made.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// The credential's name.
    pub(super) name: Arc<str>,
    /// Whether `auto` has chosen the source. No table of the configuration has its keys then.
    pub(super) is_auto: bool,
    pub(super) endpoints: IdentityEndpoints,
    pub(super) clock: Clock,
    pub(super) children: Children,
}

impl Context {
    /// The name of the table for the keys of this credential, for remedies.
    pub(super) fn table(&self, kind: &str) -> String {
        let name = &self.name;
        if self.is_auto {
            format!("[credentials.{name}.{kind}], written instead of auto,")
        } else {
            format!("[credentials.{name}.{kind}]")
        }
    }

    /// The names by which a user sets tenant, client ID and authority. `auto` reads only variables.
    pub(super) fn names(&self) -> &'static Names {
        if self.is_auto {
            &Names::VARIABLES
        } else {
            &Names::KEYS
        }
    }
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
            name: "default".into(),
            is_auto: false,
            endpoints: IdentityEndpoints::new(&connections),
            clock: Clock::default(),
            children: Children::withholding([]),
        }
    }
}
