//! `check --online`: follows each route up to its service, from DNS to roles.
//!
//! After a check that fails, only the checks that depend on it are skipped. Response bodies are
//! never read, since they contain patient data.

mod audience;
mod caller;
mod challenge;
mod finding;
mod forbidden;
mod network;
mod probe;
mod response;
mod token;
mod unauthorized;

use std::sync::Arc;

use crate::{
    clock::Clock,
    config::{self, Config, Route, Word as _},
    credentials::Credentials,
    token::{Source, TokenCache},
    upstream::{Connections, Origin, StartError},
};

use self::{audience::Directory, caller::Caller, probe::Probe, response::Response};

pub(crate) use finding::{Check, Event, Finding, Outcome, Status};

/// Checks the routes one after the other. Fails if no connection can be made at all.
pub(crate) async fn run(
    config: &Config,
    clock: &Clock,
    tell: &mut dyn FnMut(Event),
) -> Result<(), StartError> {
    let connections = Connections::new(&config.network)?;
    let credentials = Credentials::new(
        &config.credentials,
        &config.secret_variables,
        &connections,
        clock,
    );
    // Routes that share a credential and an audience share the token.
    let mut tokens = TokenCache::new(clock.clone());
    let mut directory = Directory::new(&connections, &credentials);
    for route in &config.routes {
        let credential = &credentials[&route.credential];
        let upstream = &route.upstream;
        let walk = Walk {
            config,
            route,
            origin: Origin::new(upstream.scheme().clone(), upstream.authority().clone()),
            source: tokens.source(&route.credential, credential, route.audience.as_ref()),
            connections: &connections,
            clock,
        };
        walk.run(&mut directory, tell).await;
    }
    Ok(())
}

/// The checks of one route.
struct Walk<'a> {
    config: &'a Config,
    route: &'a Route,
    origin: Origin,
    source: Arc<Source>,
    connections: &'a Connections,
    clock: &'a Clock,
}

impl Walk<'_> {
    async fn run(&self, directory: &mut Directory<'_>, tell: &mut dyn FnMut(Event)) {
        let name = self.route.name.to_string();
        let found = |tell: &mut dyn FnMut(Event), check, outcome: Outcome| {
            let outcome = self.name_the_workspace(check, outcome);
            let is_ok = outcome.status == Status::Ok;
            tell(Event::Found(Finding {
                route: Some(name.clone()),
                check,
                outcome,
            }));
            is_ok
        };
        found(tell, Check::Configuration, self.configuration());
        let resolved = network::resolve(self.connections, &self.origin, self.route).await;
        let is_resolved = found(tell, Check::Dns, resolved);
        let connected = if is_resolved {
            network::connect(self.connections, &self.origin, self.route).await
        } else {
            Outcome::skipped("the host name does not resolve")
        };
        let is_connected = found(tell, Check::Tls, connected);

        let token = token::get(&self.source, tell).await;
        let got = match &token {
            Ok(token) => token::describe(token, &self.source, self.clock.now()),
            Err(outcome) => outcome.clone(),
        };
        found(tell, Check::Token, got);
        // Without a token, another one for Azure Resource Manager is out of reach as well.
        if token.is_ok()
            && let Some(compared) = directory.compare(self.route).await
        {
            found(tell, Check::Audience, compared);
        }

        if !is_connected {
            found(tell, Check::Anonymous, Outcome::skipped("no connection"));
            found(tell, Check::Authorized, Outcome::skipped("no connection"));
            return;
        }
        let probe = Probe::new(self.connections, &self.origin, self.route, self.config);
        let open = probe.anonymous().await;
        let judged = open.as_ref().map(|open| match open {
            Ok(response) => response.judge_anonymous(self.route),
            Err(outcome) => outcome.clone(),
        });
        let nothing = || Outcome::skipped("kind http has no known path that needs no token");
        found(tell, Check::Anonymous, judged.unwrap_or_else(nothing));

        let outcome = match &token {
            Err(_) => Outcome::skipped("no token"),
            Ok(token) => match probe.authorized(token).await {
                Err(outcome) => outcome,
                Ok(response) => response.judge_authorized(&Caller {
                    route: self.route,
                    kind: self.source.status().kind,
                    is_auto: matches!(self.credential(), config::Credential::Auto(_)),
                    claims: &token.claims,
                    is_closed: matches!(&open, Some(Ok(open)) if open.is_forbidden()),
                    now: self.clock.now(),
                }),
            },
        };
        found(tell, Check::Authorized, outcome);
    }

    /// Begins the remedy with the host of a workspace, if the route has one: no request to it reaches a
    /// service.
    fn name_the_workspace(&self, check: Check, outcome: Outcome) -> Outcome {
        let upstream = &self.route.upstream;
        let is_of_upstream = !matches!(check, Check::Token | Check::Audience);
        match (upstream.hosts_in_workspace(), outcome.remedy) {
            (Some(services), Some(remedy)) if is_of_upstream => Outcome {
                remedy: Some(format!(
                    "{} is the host of a workspace. Write the URL of a service in it: its host is {services}. \
                     {remedy}",
                    upstream.host()
                )),
                ..outcome
            },
            (_, remedy) => Outcome { remedy, ..outcome },
        }
    }

    fn credential(&self) -> &config::Credential {
        &self.config.credentials[&self.route.credential]
    }

    fn configuration(&self) -> Outcome {
        let Route {
            kind,
            upstream,
            audience,
            credential,
            ..
        } = self.route;
        let source = self.credential().kind().name;
        let audience = audience.as_ref().map_or_else(
            || "no audience".to_owned(),
            |audience| format!("audience {audience}"),
        );
        Outcome::ok(format!(
            "{}, {upstream}, {audience}, credential {credential} ({source})",
            kind.as_str()
        ))
    }
}
