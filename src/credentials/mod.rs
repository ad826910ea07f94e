//! One file for each way to get an access token, and what they share.
//!
//! [`crate::token`] is the only caller: it asks one at a time for each audience, keeps what it
//! gets, and decides when to ask again. Nothing here caches a token.

mod aadsts;
mod access_token;
mod assertion;
mod az_json;
mod azure_cli;
mod azure_developer_cli;
mod azure_powershell;
mod chain;
mod claims;
mod client_certificate;
mod client_secret;
mod command;
mod device_code;
mod entra;
mod error;
mod http;
mod managed_identity;
mod oauth2;
mod reaper;
mod refusal;
mod requester;
mod smart;
mod static_token;
mod subprocess;
mod token_response;
mod tool;
mod workload_identity;

use std::path::PathBuf;

use crate::{
    clock::Clock,
    config::{self, Audience},
};

pub use access_token::{AccessToken, Renewal};
pub use claims::Claims;
pub use error::{CredentialError, Reason};
pub use http::IdentityEndpoints;
pub use reaper::reap_orphans;
pub use subprocess::withhold;

/// A way to get tokens, ready to use.
#[derive(Debug)]
pub enum Credential {
    /// `auto`: the first source on this machine that works, in the order of `DefaultAzureCredential`.
    Auto(Box<chain::Chain>),
    /// `azure-cli`: who is signed in to az.
    AzureCli(azure_cli::AzureCli),
    /// `azure-developer-cli`: who is signed in to azd.
    AzureDeveloperCli(azure_developer_cli::AzureDeveloperCli),
    /// `azure-powershell`: who is signed in to Azure `PowerShell`.
    AzurePowerShell(azure_powershell::AzurePowerShell),
    /// `client-certificate`: an application that signs an assertion with its key.
    ClientCertificate(client_certificate::ClientCertificate),
    /// `client-secret`: an application with a secret.
    ClientSecret(client_secret::ClientSecret),
    /// `command`: what another program prints.
    Command(command::Command),
    /// `device-code`: a person who signs in on another device.
    DeviceCode(device_code::DeviceCode),
    /// `managed-identity`: the identity of the machine, from whichever service it has for that.
    ManagedIdentity(managed_identity::ManagedIdentity),
    /// `oauth2-client-credentials`: a client of any issuer's (RFC 6749, section 4.4).
    OAuth2(oauth2::OAuth2),
    /// `smart-backend-services`: a client that signs its assertions (HL7 SMART App Launch 2).
    SmartBackendServices(smart::SmartBackendServices),
    /// `static`: a token from a file or variable.
    Static(static_token::StaticToken),
    /// `workload-identity`: a pod's own token in exchange for one of Entra's.
    WorkloadIdentity(workload_identity::WorkloadIdentity),
}

impl Credential {
    /// Makes the credential that the configuration describes.
    pub fn new(config: &config::Credential, endpoints: &IdentityEndpoints, clock: &Clock) -> Self {
        use config::Credential as Keys;
        let endpoints = endpoints.clone();
        let clock = clock.clone();
        match config.clone() {
            Keys::Auto(keys) => Self::Auto(Box::new(chain::Chain::new(&keys, &endpoints, &clock))),
            Keys::AzureCli(keys) => Self::AzureCli(azure_cli::AzureCli::new(keys)),
            Keys::AzureDeveloperCli(keys) => {
                Self::AzureDeveloperCli(azure_developer_cli::AzureDeveloperCli::new(keys))
            }
            Keys::AzurePowerShell(keys) => {
                Self::AzurePowerShell(azure_powershell::AzurePowerShell::new(keys))
            }
            Keys::ClientCertificate(keys) => Self::ClientCertificate(
                client_certificate::ClientCertificate::new(keys, endpoints, clock),
            ),
            Keys::ClientSecret(keys) => {
                Self::ClientSecret(client_secret::ClientSecret::new(keys, endpoints, clock))
            }
            Keys::Command(keys) => Self::Command(command::Command::new(keys, clock)),
            Keys::DeviceCode(keys) => {
                Self::DeviceCode(device_code::DeviceCode::new(keys, endpoints, clock))
            }
            Keys::ManagedIdentity(keys) => Self::ManagedIdentity(
                managed_identity::ManagedIdentity::new(keys, endpoints, clock),
            ),
            Keys::OAuth2(keys) => Self::OAuth2(oauth2::OAuth2::new(keys, endpoints, clock)),
            Keys::SmartBackendServices(keys) => {
                Self::SmartBackendServices(smart::SmartBackendServices::new(keys, endpoints, clock))
            }
            Keys::Static { token } => Self::Static(static_token::StaticToken::new(token, clock)),
            Keys::WorkloadIdentity(keys) => Self::WorkloadIdentity(
                workload_identity::WorkloadIdentity::new(keys, endpoints, clock),
            ),
        }
    }

    /// Asks for a new token. `audience` is `None` for routes whose service has none.
    pub async fn token(&self, audience: Option<&Audience>) -> Result<AccessToken, CredentialError> {
        match self {
            Self::Auto(source) => source.token(required(audience)?).await,
            Self::AzureCli(source) => source.token(required(audience)?).await,
            Self::AzureDeveloperCli(source) => source.token(required(audience)?).await,
            Self::AzurePowerShell(source) => source.token(required(audience)?).await,
            Self::ClientCertificate(source) => source.token(required(audience)?).await,
            Self::ClientSecret(source) => source.token(required(audience)?).await,
            Self::Command(source) => source.token(audience).await,
            Self::DeviceCode(source) => source.token(required(audience)?).await,
            Self::ManagedIdentity(source) => source.token(required(audience)?).await,
            Self::OAuth2(source) => source.token().await,
            Self::SmartBackendServices(source) => source.token().await,
            Self::Static(source) => source.token().await,
            Self::WorkloadIdentity(source) => source.token(required(audience)?).await,
        }
    }

    /// The kind that serves: of `auto`, the one that it settled on.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Auto(chain) => chain.kind(),
            Self::AzureCli(_) => azure_cli::KIND,
            Self::AzureDeveloperCli(_) => azure_developer_cli::KIND,
            Self::AzurePowerShell(_) => azure_powershell::KIND,
            Self::ClientCertificate(_) => client_certificate::KIND,
            Self::ClientSecret(_) => client_secret::KIND,
            Self::Command(_) => command::KIND,
            Self::DeviceCode(_) => device_code::KIND,
            Self::ManagedIdentity(_) => managed_identity::KIND,
            Self::OAuth2(_) => oauth2::KIND,
            Self::SmartBackendServices(_) => smart::KIND,
            Self::Static(_) => static_token::KIND,
            Self::WorkloadIdentity(_) => workload_identity::KIND,
        }
    }
}

/// What can be told of a credential without asking anybody for a token: whether the key that signs
/// is there, fits its certificate and algorithm, and whether that certificate has ended.
pub async fn check_key(config: &config::Credential, clock: &Clock) -> Result<(), CredentialError> {
    match config {
        config::Credential::ClientCertificate(keys) => client_certificate::check(keys, clock).await,
        config::Credential::SmartBackendServices(keys) => smart::signing_key(keys).await.map(drop),
        _ => Ok(()),
    }
}

/// The programs that a credential would run for a token now. It waits for the file system.
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
        Command(keys) => vec![subprocess::find_now(&keys.program)],
        _ => Vec::new(),
    };
    found.into_iter().flatten().collect()
}

fn required(audience: Option<&Audience>) -> Result<&Audience, CredentialError> {
    audience.ok_or_else(|| {
        CredentialError::new(
            Reason::NeedsAction,
            "the route has no audience to ask a token for",
            "Set `audience` on the route.",
        )
    })
}
