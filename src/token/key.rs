//! The key of a cached token: credential, audience, and a generation that rises with each new token.

use std::{
    hash::{BuildHasher as _, Hash, Hasher, RandomState},
    sync::Arc,
};

use moka::future::Cache;

use super::Token;
use crate::config::Audience;

/// The moka cache with the tokens of the process.
pub(super) type Tokens = Cache<Key, Arc<Token>>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) name: Arc<Name>,
    pub(super) generation: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) credential: Arc<str>,
    pub(super) audience: Option<Audience>,
    /// The hash of credential and audience, which is computed once and used for each look-up.
    hash: u64,
}

impl Name {
    pub(super) fn new(credential: Arc<str>, audience: Option<Audience>) -> Self {
        let hash = RandomState::new().hash_one((&credential, &audience));
        Self {
            credential,
            audience,
            hash,
        }
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}
