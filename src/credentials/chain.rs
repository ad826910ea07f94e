//! `auto`: the first source that works, in `DefaultAzureCredential`'s order, and that one from then on
//! (learn.microsoft.com/azure/developer/intro/authentication-overview).

use std::{
    env,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use super::{
    AccessToken, CredentialError, Reason, azure_cli::AzureCli, client_secret::ClientSecret,
    http::IdentityEndpoints,
};
use crate::{
    clock::Clock,
    config::{self, Audience, SecretRef, ServiceUrl, Tenant},
};

const PUBLIC_AUTHORITY: &str = "https://login.microsoftonline.com";
const UNSETTLED: usize = usize::MAX;

/// Several sources and the one of them that has worked.
#[derive(Debug)]
pub struct Chain {
    sources: Vec<(&'static str, Source)>,
    settled: AtomicUsize,
}

#[derive(Debug)]
enum Source {
    ClientSecret(ClientSecret),
    AzureCli(AzureCli),
    Missing(CredentialError),
}

impl Chain {
    pub(super) fn new(endpoints: &IdentityEndpoints, clock: &Clock) -> Self {
        Self {
            sources: vec![
                ("environment", environment(endpoints, clock)),
                (
                    super::azure_cli::KIND,
                    Source::AzureCli(AzureCli::new(config::AzureCli {
                        tenant: None,
                        subscription: None,
                        path: None,
                        timeout: Duration::from_secs(60),
                    })),
                ),
            ],
            settled: AtomicUsize::new(UNSETTLED),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        self.sources
            .get(self.settled.load(Ordering::Relaxed))
            .map_or("auto", |(name, _)| name)
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        if let Some((_, source)) = self.sources.get(self.settled.load(Ordering::Relaxed)) {
            return source.token(audience).await;
        }
        let mut failures = Vec::new();
        for (index, (name, source)) in self.sources.iter().enumerate() {
            match source.token(audience).await {
                Ok(token) => {
                    // Another audience may have settled it in the meantime.
                    let _ = self.settled.compare_exchange(
                        UNSETTLED,
                        index,
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    );
                    return Ok(token);
                }
                Err(error) => {
                    let is_final = source.is_meant() && error.reason != Reason::Absent;
                    failures.push((*name, error));
                    if is_final {
                        break;
                    }
                }
            }
        }
        Err(none_worked(failures))
    }
}

impl Source {
    /// Whether someone has set this source up on purpose, so that another identity in its place
    /// would be a surprise.
    fn is_meant(&self) -> bool {
        !matches!(self, Self::AzureCli(_))
    }

    async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        match self {
            Self::ClientSecret(secret) => secret.token(audience).await,
            Self::AzureCli(cli) => cli.token(audience).await,
            Self::Missing(error) => Err(error.clone()),
        }
    }
}

/// `EnvironmentCredential`: an application named by `AZURE_TENANT_ID`, `AZURE_CLIENT_ID` and
/// `AZURE_CLIENT_SECRET`.
fn environment(endpoints: &IdentityEndpoints, clock: &Clock) -> Source {
    const SECRET: &str = "AZURE_CLIENT_SECRET";
    let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(tenant), Some(client_id), Some(_)) =
        (set("AZURE_TENANT_ID"), set("AZURE_CLIENT_ID"), set(SECRET))
    else {
        return Source::Missing(CredentialError::new(
            Reason::Absent,
            format!("AZURE_TENANT_ID, AZURE_CLIENT_ID and {SECRET} are not all set"),
            "Set them to sign in as an application.",
        ));
    };
    let invalid = |message: String| {
        Source::Missing(CredentialError::new(
            Reason::NeedsAction,
            message,
            "Correct the variable and start ahds-proxy again.",
        ))
    };
    let tenant = match Tenant::parse(&tenant) {
        Ok(tenant) => tenant,
        Err(error) => return invalid(format!("AZURE_TENANT_ID: {error}")),
    };
    let authority = set("AZURE_AUTHORITY_HOST").unwrap_or_else(|| PUBLIC_AUTHORITY.to_owned());
    let authority = match ServiceUrl::parse(&authority) {
        Ok(authority) if authority.is_secure() => authority,
        Ok(_) => return invalid("AZURE_AUTHORITY_HOST is not https".to_owned()),
        Err(error) => return invalid(format!("AZURE_AUTHORITY_HOST: {error}")),
    };
    let keys = config::ClientSecret {
        tenant,
        client_id,
        secret: SecretRef::Env(SECRET.to_owned()),
        authority,
    };
    Source::ClientSecret(ClientSecret::new(keys, endpoints.clone(), clock.clone()))
}

/// One error that lists each source and why it did not serve. The remedy is that of the last source
/// that exists: it is the one its owner most likely meant.
fn none_worked(failures: Vec<(&'static str, CredentialError)>) -> CredentialError {
    let list = failures
        .iter()
        .map(|(name, error)| format!("{name}: {}", error.message))
        .collect::<Vec<_>>()
        .join("; ");
    let meant = failures
        .into_iter()
        .map(|(_, error)| error)
        .reduce(|best, next| {
            if next.reason == Reason::Absent {
                best
            } else {
                next
            }
        });
    match meant {
        Some(meant) if meant.reason != Reason::Absent => CredentialError {
            message: format!("no credential gave a token ({list})"),
            ..meant
        },
        _ => CredentialError::new(
            Reason::NeedsAction,
            format!("no credential gave a token ({list})"),
            "Install the Azure CLI and run: az login",
        ),
    }
}
