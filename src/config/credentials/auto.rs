//! `auto`: the first source that works.

use super::kind::{Kind, SignIn};
use crate::config::{AutoSource, ServiceUrl, Tenant, keys::Keys, report::Report, walk::Table};

pub(in crate::config) const KIND: Kind = Kind {
    name: "auto",
    required: None,
    needs_audience: true,
    harmless: &[],
    sign_in: SignIn::Elsewhere,
};

/// The sources that `auto` tries.
#[derive(Debug, Clone)]
pub struct Auto {
    /// The sources, in the order in which they are tried. Never empty.
    pub sources: &'static [AutoSource],
    /// The Entra authority; https, or http on loopback.
    pub authority: ServiceUrl,
    /// The tenant of the tools that a user signs in to. Without it, the tenant of the sign-in.
    pub tenant: Option<Tenant>,
}

/// A table without keys. `resolve` applies the environment.
impl Keys for Auto {
    fn read_from(_: &mut Table<'_>, _: &mut Report) -> Option<Self> {
        Some(Self {
            sources: AutoSource::ALL,
            authority: ServiceUrl::public_authority(),
            tenant: None,
        })
    }
}
