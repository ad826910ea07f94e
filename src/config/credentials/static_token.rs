//! `static`: a token that the user provides, never renewed.

use super::{
    keys::Keys,
    kind::{Kind, SignIn},
};
use crate::config::SecretRef;

pub(in crate::config) const KIND: Kind = Kind {
    name: "static",
    required: Some("token"),
    needs_audience: false,
    harmless: &[],
    sign_in: SignIn::Elsewhere,
};

/// Keys of `static`.
#[derive(Debug, Clone)]
pub struct Static {
    /// The token, read at each use.
    pub token: SecretRef,
}

pub(super) fn read(keys: &mut Keys<'_, '_>) -> Option<Static> {
    let token = keys.need_secret("token")?;
    Some(Static { token })
}
