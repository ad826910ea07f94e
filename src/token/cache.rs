//! The cache of all tokens. Each credential and audience has at most one fetch at a time.
//!
//! moka keeps the tokens, shares one fetch among all waiting callers (`try_get_with`) and drops
//! expired tokens. The key is the credential, the audience and a generation that rises with each
//! new token.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use moka::{Expiry, future::Cache};

use super::{
    Token,
    key::{Key, Name, Tokens},
    source::Source,
};
use crate::{clock::Clock, config::Audience, credentials::Credential};

/// The cache of all tokens of the process.
#[derive(Debug)]
pub(crate) struct TokenCache {
    tokens: Tokens,
    clock: Clock,
    sources: BTreeMap<(Arc<str>, Option<String>), Arc<Source>>,
}

/// Gives moka the lifetime of a token. The wall clock decides the lifetime when the token is
/// stored. moka's monotonic clock then counts it down.
struct Remaining {
    clock: Clock,
}

impl Expiry<Key, Arc<Token>> for Remaining {
    fn expire_after_create(&self, _: &Key, token: &Arc<Token>, _: Instant) -> Option<Duration> {
        Some(token.remaining(self.clock.now()))
    }
}

impl TokenCache {
    /// Creates an empty cache.
    pub(crate) fn new(clock: Clock) -> Self {
        let expiry = Remaining {
            clock: clock.clone(),
        };
        Self {
            tokens: Cache::builder().expire_after(expiry).build(),
            clock,
            sources: BTreeMap::new(),
        }
    }

    /// Returns the source for a credential and an audience. Repeated calls return the one created
    /// first.
    pub(crate) fn source(
        &mut self,
        name: &Arc<str>,
        credential: &Arc<Credential>,
        audience: Option<&Audience>,
    ) -> Arc<Source> {
        let key = (name.clone(), audience.map(ToString::to_string));
        let source = self.sources.entry(key).or_insert_with(|| {
            let name = Name::new(name.clone(), audience.cloned());
            let (tokens, clock) = (self.tokens.clone(), self.clock.clone());
            Arc::new(Source::new(name, credential.clone(), tokens, clock))
        });
        source.clone()
    }

    /// Returns all sources, in the order of credential and audience.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.sources.values()
    }
}
