//! One source of `auto`: how to ask it, and what its failure means for those behind it.

use std::{env, time::Duration};

use super::{
    super::{
        AccessToken, CredentialError, Reason,
        azure_cli::{self, AzureCli},
        azure_developer_cli::{self, AzureDeveloperCli},
        azure_powershell::{self, AzurePowerShell},
        http::IdentityEndpoints,
        managed_identity,
        workload_identity::{self, WorkloadIdentity},
    },
    environment::{self, Environment},
    failure::{Failure, Standing},
    machine::Machine,
};
use crate::{
    clock::Clock,
    config::{self, Audience, AutoSource, ServiceUrl},
};

/// As long as they have by default on their own.
const TOOL_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) enum Source {
    Environment(Environment),
    WorkloadIdentity(WorkloadIdentity),
    ManagedIdentity(Machine),
    AzureCli(AzureCli),
    AzurePowerShell(AzurePowerShell),
    AzureDeveloperCli(AzureDeveloperCli),
}

impl Source {
    pub(super) fn new(
        kind: AutoSource,
        authority: &ServiceUrl,
        endpoints: &IdentityEndpoints,
        clock: &Clock,
    ) -> Self {
        let variables = |name: &str| env::var(name).ok();
        let (endpoints, clock) = (endpoints.clone(), clock.clone());
        let tool = config::Tool {
            tenant: None,
            path: None,
            timeout: TOOL_TIMEOUT,
        };
        match kind {
            AutoSource::Environment => {
                Self::Environment(Environment::new(&variables, authority, endpoints, clock))
            }
            AutoSource::WorkloadIdentity => {
                let keys = config::WorkloadIdentity {
                    tenant: None,
                    client_id: None,
                    token_file: None,
                    authority: authority.clone(),
                };
                Self::WorkloadIdentity(WorkloadIdentity::new(keys, endpoints, clock))
            }
            AutoSource::ManagedIdentity => {
                Self::ManagedIdentity(Machine::new(&variables, endpoints, clock))
            }
            AutoSource::AzureCli => Self::AzureCli(AzureCli::new(config::AzureCli {
                tenant: None,
                subscription: None,
                path: None,
                timeout: TOOL_TIMEOUT,
            })),
            AutoSource::AzurePowerShell => Self::AzurePowerShell(AzurePowerShell::new(tool)),
            AutoSource::AzureDeveloperCli => Self::AzureDeveloperCli(AzureDeveloperCli::new(tool)),
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Environment(_) => environment::NAME,
            Self::WorkloadIdentity(_) => workload_identity::KIND,
            Self::ManagedIdentity(_) => managed_identity::KIND,
            Self::AzureCli(_) => azure_cli::KIND,
            Self::AzurePowerShell(_) => azure_powershell::KIND,
            Self::AzureDeveloperCli(_) => azure_developer_cli::KIND,
        }
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        match self {
            Self::Environment(source) => source.token(audience).await,
            Self::WorkloadIdentity(source) => source.token(audience).await,
            Self::ManagedIdentity(source) => source.token(audience).await,
            Self::AzureCli(source) => source.token(audience).await,
            Self::AzurePowerShell(source) => source.token(audience).await,
            Self::AzureDeveloperCli(source) => source.token(audience).await,
        }
    }

    /// As [`Source::token`], while others may still serve in its place. With `is_last` there are
    /// none that it could hold up.
    pub(super) async fn attempt(
        &self,
        audience: &Audience,
        is_last: bool,
    ) -> Result<AccessToken, Failure> {
        let failed = |error, standing| Failure {
            name: self.name(),
            error,
            standing,
        };
        if let (Self::ManagedIdentity(machine), false) = (self, is_last) {
            let probed = machine.probe().await;
            probed.map_err(|error| {
                let standing = Standing::of(&error);
                failed(error, standing)
            })?;
        }
        self.token(audience).await.map_err(|error| {
            let standing = self.standing(&error);
            failed(error, standing)
        })
    }

    /// Another identity in the place of one that someone set up, or that Azure gave this machine,
    /// would be a surprise. Developers' tools are there for many reasons.
    fn standing(&self, error: &CredentialError) -> Standing {
        let is_absent = error.reason == Reason::Absent;
        match self {
            Self::Environment(environment) if environment.is_complete() => Standing::Final,
            Self::WorkloadIdentity(_) if !is_absent => Standing::Final,
            Self::ManagedIdentity(_) if is_absent => Standing::Found,
            Self::ManagedIdentity(_) => Standing::Final,
            _ => Standing::of(error),
        }
    }
}
