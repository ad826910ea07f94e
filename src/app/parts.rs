//! The parts that are built from a configuration. A reload builds new parts.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    clock::Clock,
    config::{Config, HttpVersion},
    credentials::Credentials,
    proxy::{BaseUrls, Ports, Route},
    token::{Source, TokenCache},
    upstream::{Connections, Origin, Pool},
};

/// The routes, and the sources of their tokens.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) routes: Vec<Arc<Route>>,
    pub(super) sources: Vec<Arc<Source>>,
}

impl Parts {
    /// Builds one credential for each name, one token source for each credential and audience, and
    /// one pool for each upstream and HTTP version. Routes share them.
    pub(super) fn new(
        config: &Config,
        connections: &Connections,
        ports: &Ports,
        clock: &Clock,
    ) -> Self {
        let credentials = Credentials::new(
            &config.credentials,
            &config.secret_variables,
            connections,
            clock,
        );
        let mut tokens = TokenCache::new(clock.clone());
        let mut pools: BTreeMap<(String, HttpVersion), Pool> = BTreeMap::new();
        let routes = config
            .routes
            .iter()
            .zip(BaseUrls::of_routes(config, ports))
            .map(|(route, names)| {
                let credential = &credentials[&route.credential];
                let source = tokens.source(&route.credential, credential, route.audience.as_ref());
                let upstream = &route.upstream;
                let pool = pools
                    .entry((upstream.origin(), route.http))
                    .or_insert_with(|| {
                        let origin =
                            Origin::new(upstream.scheme().clone(), upstream.authority().clone());
                        connections.pool(origin, route.http)
                    });
                Arc::new(Route::new(route, names, source, pool.clone()))
            })
            .collect();
        let sources = tokens.sources().cloned().collect();
        Self { routes, sources }
    }
}
