//! Finds services through Azure Resource Manager, for `init` and `--workspace`.

use std::{process::ExitCode, sync::Arc};

use secrecy::ExposeSecret as _;

use super::{
    output::{environment, failed, failed_with, misused, refused},
    runtime, sign_in,
};
use crate::{
    clock::Clock,
    config::{self, FoundService, Overrides, RouteKind, TokenConfig, Word as _},
    credentials::{Claims, Credentials},
    resource_manager::{Cloud, Failure, Found, ResourceManager, Search, Service},
    upstream::Connections,
};

/// The services that were found, and the identity that can see them.
pub(super) struct Discovery {
    pub(super) found: Found,
    pub(super) claims: Claims,
    /// The kind of credential that gave the token.
    pub(super) kind: &'static str,
}

/// Searches with the default credential, or the only one of the configuration.
pub(super) fn search(flags: &Overrides, search: &Search) -> Result<Discovery, ExitCode> {
    let config = config::load_token_config(flags, &environment).map_err(|e| refused(&e))?;
    let name = credential_name(&config)?;
    runtime::run_to_end(find(&config, &name, search))?
}

fn credential_name(config: &TokenConfig) -> Result<Arc<str>, ExitCode> {
    let mut names = config.credentials.keys();
    let default = names.clone().find(|name| &***name == "default");
    match (default, names.next(), names.next()) {
        (Some(name), _, _) | (None, Some(name), None) => Ok(name.clone()),
        _ => Err(misused(
            &"the configuration file has no credential `default`",
            "choose a kind with --credential, or name one credential `default`",
        )),
    }
}

async fn find(
    config: &TokenConfig,
    name: &Arc<str>,
    search: &Search,
) -> Result<Discovery, ExitCode> {
    let clock = Clock::default();
    let connections = Connections::new(&config.network).map_err(|error| failed(&error))?;
    let credentials = Credentials::new(
        &config.credentials,
        &config.secret_variables,
        &connections,
        &clock,
    );
    let credential = &credentials[name];
    let cloud = Cloud::of_authority(environment("AZURE_AUTHORITY_HOST").as_deref());
    let token = sign_in::token(credential, Some(&cloud.audience())).await;
    let token = token.map_err(|error| failed_with(&error.message, &error.remedy))?;
    let explained = |failure: Failure| failed_with(&failure.message, &failure.remedy);
    let manager =
        ResourceManager::new(&connections, credential, &token, cloud).map_err(explained)?;
    let found = manager.find(search).await.map_err(explained)?;
    Ok(Discovery {
        found,
        claims: Claims::of(token.secret.expose_secret()),
        kind: credential.kind(),
    })
}

impl Discovery {
    /// The identity and its tenant, for messages.
    pub(super) fn identity(&self) -> String {
        let who = self
            .claims
            .identity
            .as_deref()
            .unwrap_or("the signed-in identity");
        match &self.claims.tenant {
            Some(tenant) => format!("{who} in tenant {tenant}"),
            None => who.to_owned(),
        }
    }

    /// Prints why there is nothing to choose from.
    pub(super) fn explain_nothing(&self, search: &Search) -> ExitCode {
        let who = self.identity();
        let without = "If you know the service's URL, run instead: ahds-proxy \
                       https://WS-FHIR.fhir.azurehealthcareapis.com";
        if let Some((subscription, failure)) = self.found.failures.first() {
            let message = format!("in the subscription {subscription}: {}", failure.message);
            return failed_with(&message, &failure.remedy);
        }
        if self.found.subscriptions.is_empty() {
            return failed_with(
                &format!("{who} sees no Azure subscription"),
                &format!(
                    "Sign in to the tenant of your subscription with `az login --tenant TENANT`. \
                     {without}"
                ),
            );
        }
        let subscriptions = self.found.subscriptions.join(", ");
        if let Some(workspace) = &search.workspace {
            return failed_with(
                &format!(
                    "{who} sees no FHIR or DICOM service in a workspace `{}`; searched: {subscriptions}",
                    workspace.escape_debug()
                ),
                "Check the name. To list all services, run: ahds-proxy init --output -",
            );
        }
        failed_with(
            &format!("{who} sees no FHIR or DICOM service; searched: {subscriptions}"),
            &format!(
                "Ask the service's owner for the role \"Reader\" on it, or sign in to its tenant with \
                 `az login --tenant TENANT`. {without}"
            ),
        )
    }
}

/// The services of `--workspace`, which become the routes `fhir` and `dicom`.
pub(super) fn of_workspace(
    flags: &Overrides,
    workspace: &str,
) -> Result<Vec<FoundService>, ExitCode> {
    let wanted = Search {
        workspace: Some(workspace.to_owned()),
        ..Search::default()
    };
    let discovery = search(flags, &wanted)?;
    if discovery.found.services.is_empty() {
        return Err(discovery.explain_nothing(&wanted));
    }
    let services = &discovery.found.services;
    let mut chosen = Vec::new();
    for kind in [RouteKind::Fhir, RouteKind::Dicom] {
        let of_kind: Vec<&Service> = services.iter().filter(|s| s.kind == kind).collect();
        match of_kind[..] {
            [] => {}
            [service] => chosen.push(FoundService {
                route: kind.as_str(),
                url: service.url.to_string(),
                audience: service.audience.clone(),
            }),
            _ => {
                let urls: Vec<String> = of_kind.iter().map(|s| s.url.to_string()).collect();
                return Err(misused(
                    &format_args!(
                        "the workspace {workspace} has {} {} services: {}",
                        urls.len(),
                        kind.title(),
                        urls.join(", ")
                    ),
                    &format!(
                        "choose with `ahds-proxy init --workspace {workspace}`, or write the URL of \
                         one service instead of --workspace"
                    ),
                ));
            }
        }
    }
    Ok(chosen)
}
