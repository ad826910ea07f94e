//! `static`: a token that the user provides.

use super::kind::{Kind, SignIn};
use crate::config::{SecretRef, keys::keys};

pub(in crate::config) const KIND: Kind = Kind {
    name: "static",
    required: Some("token"),
    needs_audience: false,
    harmless: &[],
    sign_in: SignIn::Elsewhere,
};

keys! {
    /// Keys of `static`.
    #[derive(Debug, Clone)]
    pub struct Static {
        /// The token, read at each use.
        pub token: SecretRef,
    }
}
