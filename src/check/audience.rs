//! Compares a route's audience with the one that Azure Resource Manager names for the service.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::Outcome;
use crate::{
    config::{Audience, Route},
    credentials::Credentials,
    resource_manager::{Cloud, Resource, ResourceManager, Service},
    upstream::Connections,
};

/// The time for a token and all requests. The check is an extra, for which nobody waits long.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Resource Manager, as each credential of the configuration sees it.
pub(super) struct Directory<'a> {
    connections: &'a Connections,
    credentials: &'a Credentials,
    /// `None` for a credential that gets no token for it.
    signed_in: HashMap<(Arc<str>, Audience), Option<ResourceManager>>,
}

impl<'a> Directory<'a> {
    pub(super) fn new(connections: &'a Connections, credentials: &'a Credentials) -> Self {
        Self {
            connections,
            credentials,
            signed_in: HashMap::new(),
        }
    }

    /// `None` if Resource Manager cannot say: many identities may use a service and not see it there.
    /// The request with the token tests the audience as well.
    pub(super) async fn compare(&mut self, route: &Route) -> Option<Outcome> {
        let audience = route.audience.as_ref()?;
        let cloud = Cloud::of_domain(route.upstream.azure_domain()?)?;
        let resource = Resource::of(&route.upstream, route.kind)?;
        let look_up = self.look_up(route, cloud, &resource);
        let service = tokio::time::timeout(TIMEOUT, look_up).await.ok()??;
        Some(judge(route, audience, &service))
    }

    async fn look_up(
        &mut self,
        route: &Route,
        cloud: &'static Cloud,
        resource: &Resource,
    ) -> Option<Service> {
        let key = (route.credential.clone(), cloud.audience());
        if !self.signed_in.contains_key(&key) {
            let signed_in = self.sign_in(route, cloud).await;
            self.signed_in.insert(key.clone(), signed_in);
        }
        let manager = self.signed_in[&key].as_ref()?;
        manager.look_up(resource).await.ok()?
    }

    async fn sign_in(&self, route: &Route, cloud: &'static Cloud) -> Option<ResourceManager> {
        let credential = &self.credentials[&route.credential];
        if !credential.is_of_any_audience() {
            return None;
        }
        let token = credential.token(Some(&cloud.audience())).await.ok()?;
        ResourceManager::new(self.connections, credential, &token, cloud).ok()
    }
}

fn judge(route: &Route, audience: &Audience, service: &Service) -> Outcome {
    let is_accepted = |accepted: &String| accepted == audience.as_str();
    if service.audience == *audience || service.accepted.iter().any(is_accepted) {
        let name = &service.name;
        return Outcome::ok(format!(
            "Azure Resource Manager names this audience for {name}"
        ));
    }
    let right = &service.audience;
    Outcome::failed(
        format!(
            "Azure Resource Manager names the audience {right} for {}, not {audience}",
            service.name
        ),
        format!(
            "Write `audience = \"{right}\"` below [routes.{}].",
            route.name
        ),
    )
}
