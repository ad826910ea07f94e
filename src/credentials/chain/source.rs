//! One source of `auto`: how to ask it, and what its failure means for those behind it.

use std::{env, time::Duration};

use super::{
    super::{
        AccessToken, CredentialError, Reason, azure_cli::AzureCli,
        azure_developer_cli::AzureDeveloperCli, azure_powershell::AzurePowerShell,
        context::Context, workload_identity::WorkloadIdentity,
    },
    environment::{self, Environment},
    failure::{Failure, Standing},
    machine::Machine,
};
use crate::config::{self, Audience, AutoSource, ServiceUrl};

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
    pub(super) fn new(kind: AutoSource, authority: &ServiceUrl, context: &Context) -> Self {
        let variables = |name: &str| env::var(name).ok();
        let tool = config::Tool {
            tenant: None,
            path: None,
            timeout: TOOL_TIMEOUT,
        };
        match kind {
            AutoSource::Environment => {
                Self::Environment(Environment::new(&variables, authority, context))
            }
            AutoSource::WorkloadIdentity => {
                let keys = config::WorkloadIdentity {
                    tenant: None,
                    client_id: None,
                    token_file: None,
                    authority: authority.clone(),
                };
                Self::WorkloadIdentity(WorkloadIdentity::new(keys, context))
            }
            AutoSource::ManagedIdentity => Self::ManagedIdentity(Machine::new(&variables, context)),
            AutoSource::AzureCli => {
                let keys = config::AzureCli {
                    tenant: None,
                    subscription: None,
                    path: None,
                    timeout: TOOL_TIMEOUT,
                };
                Self::AzureCli(AzureCli::new(keys, context))
            }
            AutoSource::AzurePowerShell => {
                Self::AzurePowerShell(AzurePowerShell::new(tool, context))
            }
            AutoSource::AzureDeveloperCli => {
                Self::AzureDeveloperCli(AzureDeveloperCli::new(tool, context))
            }
        }
    }

    /// The name of the kind that it is configured by, or `environment`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Environment(_) => environment::NAME,
            Self::WorkloadIdentity(_) => "workload-identity",
            Self::ManagedIdentity(_) => "managed-identity",
            Self::AzureCli(_) => "azure-cli",
            Self::AzurePowerShell(_) => "azure-powershell",
            Self::AzureDeveloperCli(_) => "azure-developer-cli",
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
        if let (Self::ManagedIdentity(machine), false) = (self, is_last)
            && let Err(error) = machine.probe().await
        {
            return Err(Failure {
                name: self.name(),
                standing: Standing::of(&error),
                error,
            });
        }
        self.token(audience).await.map_err(|error| Failure {
            name: self.name(),
            standing: self.standing(&error),
            error,
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
