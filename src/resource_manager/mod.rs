//! Azure Resource Manager: the FHIR and DICOM services that a caller can see, the audience that
//! each accepts, and the data that the caller may use there.
//!
//! Source: Microsoft.HealthcareApis in github.com/Azure/azure-rest-api-specs, version 2024-03-31.

mod client;
mod cloud;
mod failure;
mod permissions;
mod resource;
mod service;

use std::sync::Arc;

use serde::Deserialize;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    credentials::{AccessToken, Credential},
    upstream::Connections,
};
use client::Client;
use permissions::Permission;
use service::{Entry, Type};

pub(crate) use cloud::Cloud;
pub(crate) use failure::Failure;
pub(crate) use permissions::{Access, roles};
pub(crate) use resource::Resource;
pub(crate) use service::Service;

const SUBSCRIPTIONS: &str = "2022-12-01";
const SERVICES: &str = "2024-03-31";
const PERMISSIONS: &str = "2022-04-01";
const PROVIDER: &str = "providers/Microsoft.HealthcareApis";

/// Subscriptions that are searched at the same time.
const AT_ONCE: usize = 8;

/// A signed-in client of Resource Manager.
#[derive(Debug, Clone)]
pub(crate) struct ResourceManager {
    client: Client,
    cloud: &'static Cloud,
}

/// The part of all subscriptions to search. Names are compared without regard to case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Search {
    /// The id or name of a subscription.
    pub(crate) subscription: Option<String>,
    /// The name of a workspace.
    pub(crate) workspace: Option<String>,
}

/// The result of a search.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The services, by subscription, name and kind.
    pub(crate) services: Vec<Service>,
    /// The names of the subscriptions that were searched.
    pub(crate) subscriptions: Vec<String>,
    /// The subscriptions that could not be searched, with the reason.
    pub(crate) failures: Vec<(String, Failure)>,
}

#[derive(Debug, Clone, Deserialize)]
struct Subscription {
    #[serde(rename = "subscriptionId")]
    id: String,
    #[serde(rename = "displayName", default)]
    name: String,
}

#[derive(Deserialize)]
struct Workspace {
    id: String,
}

#[derive(Deserialize)]
struct Permissions {
    value: Vec<Permission>,
}

impl ResourceManager {
    /// `token` is one of the credential for the cloud's audience.
    pub(crate) fn new(
        connections: &Connections,
        credential: &Credential,
        token: &AccessToken,
        cloud: &'static Cloud,
    ) -> Result<Self, Failure> {
        if !credential.is_of_any_audience() {
            return Err(Failure::no_token(credential.kind()));
        }
        let client = Client::new(connections, token, cloud)?;
        Ok(Self { client, cloud })
    }

    /// Finds all services in a part of the subscriptions.
    pub(crate) async fn find(&self, search: &Search) -> Result<Found, Failure> {
        let subscriptions = self.subscriptions(search.subscription.as_deref()).await?;
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut searching = JoinSet::new();
        for subscription in &subscriptions {
            let (manager, subscription) = (self.clone(), subscription.clone());
            let (workspace, places) = (search.workspace.clone(), places.clone());
            searching.spawn(async move {
                let _place = places.acquire().await;
                let services = manager.services(&subscription, workspace.as_deref()).await;
                (subscription.name, services)
            });
        }
        let mut found = Found {
            subscriptions: subscriptions.into_iter().map(|known| known.name).collect(),
            ..Found::default()
        };
        while let Some(searched) = searching.join_next().await {
            match searched {
                Ok((_, Ok(services))) => found.services.extend(services),
                Ok((name, Err(failure))) => found.failures.push((name, failure)),
                Err(_) => {}
            }
        }
        found.services.sort_by_key(|service| {
            (
                service.subscription.clone(),
                service.name.clone(),
                service.id.clone(),
            )
        });
        found.failures.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// The service behind the host of a URL. `None` if the caller cannot see it.
    pub(crate) async fn look_up(&self, resource: &Resource) -> Result<Option<Service>, Failure> {
        let search = Search {
            subscription: None,
            workspace: resource.workspace().map(str::to_owned),
        };
        let found = self.find(&search).await?;
        let mut services = found.services.into_iter();
        let service = services.find(|service| service.name.eq_ignore_ascii_case(resource.name()));
        match (service, found.failures.into_iter().next()) {
            (None, Some((_, failure))) => Err(failure),
            (service, _) => Ok(service),
        }
    }

    async fn subscriptions(&self, wanted: Option<&str>) -> Result<Vec<Subscription>, Failure> {
        let all: Vec<Subscription> = self.client.list("/subscriptions", SUBSCRIPTIONS).await?;
        let Some(wanted) = wanted else {
            return Ok(all);
        };
        let names: Vec<String> = all.iter().map(|known| known.name.clone()).collect();
        let is_wanted = |known: &Subscription| {
            known.id.eq_ignore_ascii_case(wanted) || known.name.eq_ignore_ascii_case(wanted)
        };
        let some: Vec<Subscription> = all.into_iter().filter(is_wanted).collect();
        if some.is_empty() {
            let remedy = match &names[..] {
                [] => "The signed-in identity sees no subscription at all.".to_owned(),
                names => format!("It sees: {}.", names.join(", ")),
            };
            let wanted = wanted.escape_debug();
            return Err(Failure::new(
                format!("the signed-in identity sees no subscription `{wanted}`"),
                remedy,
            ));
        }
        Ok(some)
    }

    async fn services(
        &self,
        subscription: &Subscription,
        workspace: Option<&str>,
    ) -> Result<Vec<Service>, Failure> {
        let base = format!("/subscriptions/{}/{PROVIDER}", subscription.id);
        let workspaces: Vec<Workspace> = self
            .client
            .list(&format!("{base}/workspaces"), SERVICES)
            .await?;
        let mut services = Vec::new();
        for Workspace { id } in workspaces {
            let name = id.rsplit('/').next().unwrap_or_default();
            if workspace.is_some_and(|wanted| !name.eq_ignore_ascii_case(wanted)) {
                continue;
            }
            for (list, kind) in [("fhirservices", Type::Fhir), ("dicomservices", Type::Dicom)] {
                let path = format!("{id}/{list}");
                services.extend(self.services_in(&path, kind, subscription).await?);
            }
        }
        if workspace.is_none() {
            let path = format!("{base}/services");
            services.extend(self.services_in(&path, Type::Account, subscription).await?);
        }
        Ok(services)
    }

    async fn services_in(
        &self,
        path: &str,
        kind: Type,
        subscription: &Subscription,
    ) -> Result<Vec<Service>, Failure> {
        let mut services = Vec::new();
        for entry in self.client.list::<Entry>(path, SERVICES).await? {
            let whole = if entry.is_whole() {
                Some(entry)
            } else {
                self.client.get(&entry.id, SERVICES).await?
            };
            let service =
                whole.and_then(|entry| entry.service(kind, &subscription.name, self.cloud));
            if let Some(service) = service {
                let access = self.access(&service.id, kind).await;
                services.push(Service { access, ..service });
            }
        }
        Ok(services)
    }

    async fn access(&self, id: &str, kind: Type) -> Access {
        let path = format!("{id}/providers/Microsoft.Authorization/permissions");
        match self.client.get::<Permissions>(&path, PERMISSIONS).await {
            Ok(Some(permissions)) => Access::of(&permissions.value, kind.data_actions()),
            // To read permissions takes a permission that a data role does not include.
            _ => Access::Unknown,
        }
    }
}
