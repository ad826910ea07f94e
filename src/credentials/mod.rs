//! The ways to get an access token: one file for each kind of the configuration.
//!
//! The token cache is the only caller. It makes one request at a time for each audience, keeps the
//! tokens, and decides when to renew them. Nothing here caches a token.

mod aadsts;
mod access_token;
mod assertion;
mod az_json;
mod azure_cli;
mod azure_developer_cli;
mod azure_powershell;
mod chain;
mod children;
mod claims;
mod client_certificate;
mod client_secret;
mod command;
mod context;
mod device_code;
mod entra;
mod error;
mod http;
mod managed_identity;
mod oauth2;
mod process_tree;
mod refusal;
mod requester;
mod search_path;
mod smart;
mod static_token;
mod token_response;
mod tool;
mod workload_identity;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Index,
    path::PathBuf,
    sync::Arc,
};

use crate::{
    clock::Clock,
    config::{self, Audience, Kind},
    upstream::Connections,
};
use children::Children;
use context::Context;
use http::IdentityEndpoints;

pub use access_token::{AccessToken, Renewal};
pub use claims::Claims;
pub use error::{CredentialError, Reason};
pub use process_tree::reap_orphans;

macro_rules! sources {
    ($audience:ident: $($variant:ident($source:ty).token($($argument:expr)?);)*) => {
        /// The implementation of each kind of the configuration.
        #[derive(Debug)]
        enum Source {
            $($variant(Box<$source>),)*
        }

        impl Source {
            fn new(config: &config::Credential, context: &Context) -> Self {
                match config.clone() {
                    $(config::Credential::$variant(keys) => {
                        Self::$variant(Box::new(<$source>::new(keys, context)))
                    })*
                }
            }

            async fn token(
                &self,
                $audience: Option<&Audience>,
            ) -> Result<AccessToken, CredentialError> {
                match self {
                    $(Self::$variant(source) => source.token($($argument)?).await,)*
                }
            }
        }
    };
}

sources! { audience:
    Auto(chain::Chain).token(required(audience)?);
    AzureCli(azure_cli::AzureCli).token(required(audience)?);
    AzureDeveloperCli(azure_developer_cli::AzureDeveloperCli).token(required(audience)?);
    AzurePowerShell(azure_powershell::AzurePowerShell).token(required(audience)?);
    ClientCertificate(client_certificate::ClientCertificate).token(required(audience)?);
    ClientSecret(client_secret::ClientSecret).token(required(audience)?);
    Command(command::Command).token(audience);
    DeviceCode(device_code::DeviceCode).token(required(audience)?);
    ManagedIdentity(managed_identity::ManagedIdentity).token(required(audience)?);
    OAuth2(oauth2::OAuth2).token();
    SmartBackendServices(smart::SmartBackendServices).token();
    Static(static_token::StaticToken).token();
    WorkloadIdentity(workload_identity::WorkloadIdentity).token(required(audience)?);
}

/// A way to get tokens, ready to use.
#[derive(Debug)]
pub struct Credential {
    source: Source,
    kind: &'static Kind,
}

impl Credential {
    /// Requests a new token. `audience` is `None` for routes whose service has none.
    pub async fn token(&self, audience: Option<&Audience>) -> Result<AccessToken, CredentialError> {
        self.source.token(audience).await
    }

    /// Whether its tokens are for the audience that is asked for. Other kinds have tokens for one
    /// service, which no other may see.
    pub fn is_of_any_audience(&self) -> bool {
        self.kind.needs_audience
    }

    /// The name of the kind. For `auto`, the name of the source that has worked, once there is one.
    pub fn kind(&self) -> &'static str {
        let settled = match &self.source {
            Source::Auto(chain) => chain.settled_on(),
            _ => None,
        };
        settled.unwrap_or(self.kind.name)
    }
}

/// The credentials of a configuration, by name.
#[derive(Debug)]
pub struct Credentials(BTreeMap<Arc<str>, Arc<Credential>>);

impl Credentials {
    /// Makes every credential of a configuration. The variables with its secrets are withheld from
    /// other programs from now on.
    pub fn new(
        credentials: &BTreeMap<Arc<str>, config::Credential>,
        secret_variables: &BTreeSet<String>,
        connections: &Connections,
        clock: &Clock,
    ) -> Self {
        let endpoints = IdentityEndpoints::new(connections);
        let children = Children::withholding(secret_variables.iter().cloned());
        let credentials = credentials.iter().map(|(name, keys)| {
            let context = Context {
                name: name.clone(),
                is_auto: false,
                endpoints: endpoints.clone(),
                clock: clock.clone(),
                children: children.clone(),
            };
            let credential = Credential {
                source: Source::new(keys, &context),
                kind: keys.kind(),
            };
            (name.clone(), Arc::new(credential))
        });
        Self(credentials.collect())
    }
}

impl Index<&Arc<str>> for Credentials {
    type Output = Arc<Credential>;

    /// The credential that a route names. A valid configuration has it.
    fn index(&self, name: &Arc<str>) -> &Arc<Credential> {
        &self.0[name]
    }
}

/// Checks the key or the token of a credential without a request. A key has to be readable and fit
/// its certificate and algorithm, and the certificate must not have expired. A static token has to be
/// a token.
pub async fn check_key(config: &config::Credential, clock: &Clock) -> Result<(), CredentialError> {
    match config {
        config::Credential::ClientCertificate(keys) => client_certificate::check(keys, clock).await,
        config::Credential::SmartBackendServices(keys) => smart::signing_key(keys).await.map(drop),
        config::Credential::Static(keys) => static_token::check(keys).await,
        _ => Ok(()),
    }
}

/// The programs that a credential would run for a token now. Blocks on the file system.
pub fn programs(config: &config::Credential) -> Vec<PathBuf> {
    use config::Credential::{Auto, AzureCli, AzureDeveloperCli, AzurePowerShell, Command};
    let (az, azd, pwsh) = (
        &azure_cli::AZ,
        &azure_developer_cli::AZD,
        &azure_powershell::POWERSHELL,
    );
    let found = match config {
        Auto(_) => vec![az.find_now(None), azd.find_now(None), pwsh.find_now(None)],
        AzureCli(keys) => vec![az.find_now(keys.path.as_deref())],
        AzureDeveloperCli(keys) => vec![azd.find_now(keys.path.as_deref())],
        AzurePowerShell(keys) => vec![pwsh.find_now(keys.path.as_deref())],
        Command(keys) => vec![search_path::find_now(&keys.program)],
        _ => Vec::new(),
    };
    found.into_iter().flatten().collect()
}

fn required(audience: Option<&Audience>) -> Result<&Audience, CredentialError> {
    audience.ok_or_else(|| {
        CredentialError::needs_action(
            "the route has no audience to ask a token for",
            "Set `audience` on the route.",
        )
    })
}
