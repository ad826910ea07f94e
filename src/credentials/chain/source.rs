//! One source of `auto`, and the effect of its failure on the sources after it.

use std::env;

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
use crate::config::{self, Audience, AutoSource};

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
    pub(super) fn new(kind: AutoSource, keys: &config::Auto, context: &Context) -> Self {
        let variables = |name: &str| env::var(name).ok();
        let authority = &keys.authority;
        let tool = config::Tool {
            tenant: keys.tenant.clone(),
            ..config::Tool::default()
        };
        match kind {
            AutoSource::Environment => {
                Self::Environment(Environment::new(&variables, authority, context))
            }
            AutoSource::WorkloadIdentity => {
                let keys = config::WorkloadIdentity {
                    authority: authority.clone(),
                    ..config::WorkloadIdentity::default()
                };
                Self::WorkloadIdentity(WorkloadIdentity::new(keys, context))
            }
            AutoSource::ManagedIdentity => Self::ManagedIdentity(Machine::new(&variables, context)),
            AutoSource::AzureCli => {
                let keys = config::AzureCli {
                    tenant: keys.tenant.clone(),
                    ..config::AzureCli::default()
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

    /// The name of the kind that configures the source alone, or `environment`.
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

    /// Gets a token as [`Source::token`] does. Unless it is the last source, managed identity is
    /// probed first, so that a machine without one does not keep the other sources waiting.
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

    /// The effect of a failure. If the user configured an identity, or Azure gave one to this
    /// machine, another identity in its place would be a surprise, so `auto` stops. A developer's
    /// tool may be installed for other reasons, so `auto` goes on.
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
