//! All tokens of the process, one fetch at a time for each credential and audience.
//!
//! They are held by moka under credential, audience and a generation that rises with each new token.

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

/// Holds all tokens of the process.
#[derive(Debug)]
pub(crate) struct TokenCache {
    tokens: Tokens,
    clock: Clock,
    sources: BTreeMap<(Arc<str>, Option<String>), Arc<Source>>,
}

/// A token's remaining life by the wall clock at the moment it is stored, counted down by moka's
/// monotonic clock.
struct Remaining {
    clock: Clock,
}

impl Expiry<Key, Arc<Token>> for Remaining {
    fn expire_after_create(&self, _: &Key, token: &Arc<Token>, _: Instant) -> Option<Duration> {
        Some(token.remaining(self.clock.now()))
    }
}

impl TokenCache {
    /// An empty cache.
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

    /// The source for a credential and an audience; the same one however often it is asked for.
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

    /// All sources, in the order of credential and audience.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.sources.values()
    }
}
