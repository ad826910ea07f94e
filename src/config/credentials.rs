//! The ways to get tokens, as `[credentials.NAME.KIND]` describes them.

use std::{path::PathBuf, time::Duration};

use http::{HeaderName, HeaderValue};

use super::{AutoSource, EndpointUrl, SecretRef, ServiceUrl, Tenant};

/// One way to get tokens: `[credentials.NAME.KIND]`.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The first of its sources that works.
    Auto(Auto),
    /// `az account get-access-token`.
    AzureCli(AzureCli),
    /// `Get-AzAccessToken` of Az.Accounts.
    AzurePowerShell(Tool),
    /// `azd auth token`.
    AzureDeveloperCli(Tool),
    /// A code that a person types into a browser (RFC 8628).
    DeviceCode(DeviceCode),
    /// Entra's client credentials grant with a secret.
    ClientSecret(ClientSecret),
    /// Entra's client credentials grant with a certificate.
    ClientCertificate(ClientCertificate),
    /// Entra's client credentials grant with a token that Kubernetes issued.
    WorkloadIdentity(WorkloadIdentity),
    /// The identity of this machine or app.
    ManagedIdentity(ManagedIdentity),
    /// The client credentials grant of any OAuth 2.0 server (RFC 6749, section 4.4).
    OAuth2(Box<OAuth2>),
    /// SMART Backend Services (hl7.org/fhir/smart-app-launch/backend-services.html).
    SmartBackendServices(SmartBackendServices),
    /// A token given by the user, never renewed.
    Static {
        /// Where the token is read from, at each use.
        token: SecretRef,
    },
    /// What another program prints.
    Command(Command),
}

impl Credential {
    /// As written in the configuration, for example `azure-cli`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Auto(_) => "auto",
            Self::AzureCli(_) => "azure-cli",
            Self::AzurePowerShell(_) => "azure-powershell",
            Self::AzureDeveloperCli(_) => "azure-developer-cli",
            Self::DeviceCode(_) => "device-code",
            Self::ClientSecret(_) => "client-secret",
            Self::ClientCertificate(_) => "client-certificate",
            Self::WorkloadIdentity(_) => "workload-identity",
            Self::ManagedIdentity(_) => "managed-identity",
            Self::OAuth2(_) => "oauth2-client-credentials",
            Self::SmartBackendServices(_) => "smart-backend-services",
            Self::Static { .. } => "static",
            Self::Command(_) => "command",
        }
    }
}

/// What `auto` tries, as the environment says.
#[derive(Debug, Clone)]
pub struct Auto {
    /// In the order in which they are tried. Never empty.
    pub sources: &'static [AutoSource],
    /// The Entra authority; https, or http on loopback.
    pub authority: ServiceUrl,
}

/// Keys of `azure-cli`.
#[derive(Debug, Clone)]
pub struct AzureCli {
    /// Passed as `--tenant`.
    pub tenant: Option<Tenant>,
    /// Passed as `--subscription` (name or id).
    pub subscription: Option<String>,
    /// The `az` program; looked up on PATH when absent.
    pub path: Option<PathBuf>,
    /// How long one call may take. Default 60 s.
    pub timeout: Duration,
}

/// Keys of `azure-powershell` and `azure-developer-cli`.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The tenant to ask; the one signed in to when absent.
    pub tenant: Option<Tenant>,
    /// The program; looked up on PATH when absent.
    pub path: Option<PathBuf>,
    /// How long one call may take. Default 60 s.
    pub timeout: Duration,
}

/// Keys of `device-code`.
#[derive(Debug, Clone)]
pub struct DeviceCode {
    /// Tenant id or domain.
    pub tenant: Tenant,
    /// The public client to sign in with. Default: Azure CLI's.
    pub client_id: String,
    /// The Entra authority; https, or http on loopback.
    pub authority: ServiceUrl,
}

/// Keys of `client-secret`.
#[derive(Debug, Clone)]
pub struct ClientSecret {
    /// Tenant id or domain.
    pub tenant: Tenant,
    /// The application's id.
    pub client_id: String,
    /// The application's secret, read at each token request.
    pub secret: SecretRef,
    /// The Entra authority; https, or http on loopback.
    pub authority: ServiceUrl,
}

/// Keys of `client-certificate`.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    /// Tenant id or domain.
    pub tenant: Tenant,
    /// The application's id.
    pub client_id: String,
    /// PEM: the certificate, with its chain and its key where they are kept together. Read at each
    /// token request.
    pub certificate: SecretRef,
    /// PEM: the private key, where `certificate` does not hold it.
    pub key: Option<SecretRef>,
    /// Send the chain too, for applications that trust a subject name and issuer. `None`: as
    /// `AZURE_CLIENT_SEND_CERTIFICATE_CHAIN` says.
    pub send_chain: Option<bool>,
    /// The Entra authority; https, or http on loopback.
    pub authority: ServiceUrl,
}

/// Keys of `workload-identity`. Each is taken from its variable when absent.
#[derive(Debug, Clone)]
pub struct WorkloadIdentity {
    /// Tenant id or domain; `AZURE_TENANT_ID`.
    pub tenant: Option<Tenant>,
    /// The application's id; `AZURE_CLIENT_ID`.
    pub client_id: Option<String>,
    /// The projected service account token; `AZURE_FEDERATED_TOKEN_FILE`.
    pub token_file: Option<PathBuf>,
    /// The Entra authority; https, or http on loopback.
    pub authority: ServiceUrl,
}

/// Keys of `managed-identity`.
#[derive(Debug, Clone, Default)]
pub struct ManagedIdentity {
    /// The user-assigned identity; the system-assigned one when absent.
    pub identity: Option<UserAssigned>,
    /// The base of IMDS, which is then asked whatever the variables of other platforms say. Default:
    /// `AZURE_POD_IDENTITY_AUTHORITY_HOST`, else `http://169.254.169.254`.
    pub endpoint: Option<ServiceUrl>,
}

/// How a user-assigned managed identity is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserAssigned {
    /// By its application's id.
    ClientId(String),
    /// By its service principal's id.
    ObjectId(String),
    /// By its id in Azure Resource Manager.
    ResourceId(String),
}

/// Keys of `oauth2-client-credentials`.
#[derive(Debug, Clone)]
pub struct OAuth2 {
    /// The token endpoint; https, or http on loopback.
    pub token_url: EndpointUrl,
    /// Who asks; `None` where only a registration can tell.
    pub client: Option<OAuth2Client>,
    /// Where to get a client id and secret when there are none, or when they are refused.
    pub registration: Option<Registration>,
    /// The form's `scope`.
    pub scope: Option<String>,
    /// The form's `resource` (RFC 8707).
    pub resource: Option<String>,
    /// Where the client's id and secret go.
    pub auth: ClientAuth,
    /// Set on every request to the token endpoint and to the registration endpoint.
    pub headers: Vec<(HeaderName, HeaderText)>,
    /// Added to the form.
    pub parameters: Vec<(String, Text)>,
}

/// A client that an OAuth 2.0 server knows.
#[derive(Debug, Clone)]
pub struct OAuth2Client {
    /// The client's id.
    pub id: String,
    /// The client's secret, read at each token request.
    pub secret: SecretRef,
}

/// How a client registers itself (RFC 7591).
#[derive(Debug, Clone)]
pub struct Registration {
    /// The registration endpoint; https, or http on loopback.
    pub url: EndpointUrl,
    /// What the server's owner gave out, read at each registration.
    pub software_statement: SecretRef,
}

/// Where a client's id and secret go (RFC 6749, section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Into the form.
    Body,
    /// Into an `Authorization: Basic` header.
    Basic,
}

/// A form field: plain text, or a secret by reference.
#[derive(Debug, Clone)]
pub enum Text {
    /// As written.
    Plain(String),
    /// Read at each use.
    Secret(SecretRef),
}

/// A header: plain text, or a secret by reference.
#[derive(Debug, Clone)]
pub enum HeaderText {
    /// As written.
    Plain(HeaderValue),
    /// Read at each use.
    Secret(SecretRef),
}

/// Keys of `smart-backend-services`.
#[derive(Debug, Clone)]
pub struct SmartBackendServices {
    /// The client's id.
    pub client_id: String,
    /// PEM: the private key, read at each token request.
    pub key: SecretRef,
    /// How assertions are signed.
    pub algorithm: SmartAlgorithm,
    /// For example `system/*.rs`.
    pub scope: String,
    /// Where tokens come from.
    pub endpoint: SmartEndpoint,
    /// The `kid` of the assertion.
    pub key_id: Option<String>,
}

/// How a SMART client signs its assertions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmartAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// ECDSA on P-384 with SHA-384.
    Es384,
}

/// Where a SMART client finds its token endpoint.
#[derive(Debug, Clone)]
pub enum SmartEndpoint {
    /// It is known.
    TokenUrl(EndpointUrl),
    /// It is in `{issuer}/.well-known/smart-configuration`.
    Issuer(ServiceUrl),
}

/// Keys of `command`.
#[derive(Debug, Clone)]
pub struct Command {
    /// The program; looked up on PATH when it is a bare name.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How long one call may take. Default 60 s.
    pub timeout: Duration,
}
