//! `auto`: the first source that works, in `DefaultAzureCredential`'s order, and that one from then on
//! (learn.microsoft.com/azure/developer/intro/authentication-overview).

mod environment;
mod failure;
mod machine;
mod source;

use std::sync::OnceLock;

use super::{AccessToken, CredentialError, http::IdentityEndpoints};
use crate::{
    clock::Clock,
    config::{self, Audience},
};
use failure::Standing;
use source::Source;

/// Several sources and the one of them that has worked.
#[derive(Debug)]
pub struct Chain {
    sources: Vec<Source>,
    /// An index of `sources`.
    settled: OnceLock<usize>,
}

impl Chain {
    pub(super) fn new(keys: &config::Auto, endpoints: &IdentityEndpoints, clock: &Clock) -> Self {
        let source = |kind: &_| Source::new(*kind, &keys.authority, endpoints, clock);
        Self {
            sources: keys.sources.iter().map(source).collect(),
            settled: OnceLock::new(),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        self.settled().map_or("auto", Source::name)
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        let mut failures = Vec::new();
        for (index, source) in self.sources.iter().enumerate() {
            // Another audience may have settled it in the meantime.
            if let Some(settled) = self.settled() {
                return settled.token(audience).await;
            }
            let is_last = index + 1 == self.sources.len();
            match source.attempt(audience, is_last).await {
                Ok(token) => return self.settle(index, token, audience).await,
                Err(failure) => {
                    let is_final = failure.standing == Standing::Final;
                    failures.push(failure);
                    if is_final {
                        break;
                    }
                }
            }
        }
        Err(failure::summary(failures))
    }

    /// The source of this token is the one from now on, unless another audience's was faster: then
    /// that one's identity serves them all.
    async fn settle(
        &self,
        index: usize,
        token: AccessToken,
        audience: &Audience,
    ) -> Result<AccessToken, CredentialError> {
        let settled = *self.settled.get_or_init(|| index);
        if settled == index {
            return Ok(token);
        }
        self.sources[settled].token(audience).await
    }

    fn settled(&self) -> Option<&Source> {
        self.settled.get().map(|index| &self.sources[*index])
    }
}
