//! `auto`: the first source that works.

use super::{
    keys::Keys,
    kind::{Kind, SignIn},
};
use crate::config::{AutoSource, ServiceUrl};

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
}

/// Reads no key. The environment is left to `resolve`.
pub(super) fn read(keys: &mut Keys<'_, '_>) -> Auto {
    keys.wants_authority = true;
    Auto {
        sources: AutoSource::ALL,
        authority: ServiceUrl::public_authority(),
    }
}
