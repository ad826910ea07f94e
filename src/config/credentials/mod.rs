//! The kinds of credentials. Each has one file here and one line in the table below. `file/` reads
//! `[credentials.NAME.KIND]`, and `resolve/` completes it from the environment.

mod auto;
mod azure_cli;
mod azure_developer_cli;
mod azure_powershell;
mod client_certificate;
mod client_secret;
mod command;
mod device_code;
mod kind;
mod managed_identity;
mod oauth2;
mod smart_backend_services;
mod static_token;
mod tool;
mod workload_identity;

use super::{
    ServiceUrl, Tenant,
    keys::Keys,
    report::{NeededSecret, Report},
    walk::Table,
};

pub use auto::Auto;
pub use azure_cli::AzureCli;
pub use client_certificate::ClientCertificate;
pub use client_secret::ClientSecret;
pub use command::Command;
pub use device_code::DeviceCode;
pub use kind::{Kind, SignIn};
pub use managed_identity::{ManagedIdentity, UserAssigned};
pub use oauth2::{ClientAuth, HeaderText, OAuth2, OAuth2Client, Registration, Text};
pub use smart_backend_services::{SmartAlgorithm, SmartBackendServices, SmartEndpoint};
pub use static_token::Static;
pub use tool::Tool;
pub use workload_identity::WorkloadIdentity;

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident($keys:ty) = $module:ident;)*) => {
        /// The keys of one credential, by its kind.
        #[derive(Debug, Clone)]
        pub enum Credential {
            $($(#[$doc])* $variant($keys),)*
        }

        /// All kinds, by name.
        pub(super) const KINDS: &[&Kind] = &[$(&$module::KIND),*];

        impl Credential {
            /// The description of its kind.
            pub fn kind(&self) -> &'static Kind {
                match self {
                    $(Self::$variant(_) => &$module::KIND,)*
                }
            }

            fn read(kind: &Kind, table: &mut Table<'_>, report: &mut Report) -> Option<Self> {
                $(if kind.name == $module::KIND.name {
                    return <$keys as Keys>::read_from(table, report).map(Self::$variant);
                })*
                None
            }
        }
    };
}

kinds! {
    /// The first of its sources that works.
    Auto(Auto) = auto;
    /// `az account get-access-token`.
    AzureCli(AzureCli) = azure_cli;
    /// `azd auth token`.
    AzureDeveloperCli(Tool) = azure_developer_cli;
    /// `Get-AzAccessToken` of Az.Accounts.
    AzurePowerShell(Tool) = azure_powershell;
    /// Entra's client credentials grant with a certificate.
    ClientCertificate(ClientCertificate) = client_certificate;
    /// Entra's client credentials grant with a secret.
    ClientSecret(ClientSecret) = client_secret;
    /// The output of another program.
    Command(Command) = command;
    /// A code that a person types into a browser (RFC 8628).
    DeviceCode(DeviceCode) = device_code;
    /// The identity of this machine or app.
    ManagedIdentity(ManagedIdentity) = managed_identity;
    /// The client credentials grant of any OAuth 2.0 server (RFC 6749, section 4.4).
    OAuth2(Box<OAuth2>) = oauth2;
    /// SMART Backend Services (hl7.org/fhir/smart-app-launch/backend-services.html).
    SmartBackendServices(SmartBackendServices) = smart_backend_services;
    /// A token that the user provides.
    Static(Static) = static_token;
    /// Entra's client credentials grant with a token that Kubernetes issued.
    WorkloadIdentity(WorkloadIdentity) = workload_identity;
}

/// The kind with this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

/// The names of all kinds.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.name)
}

/// One credential as written; defaults and the environment are left to `resolve`.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) kind: &'static Kind,
    /// `None` if a key was refused. The references in the other keys are checked nevertheless.
    pub(super) credential: Option<Credential>,
    /// Whether no `authority` was written. The one in `credential` is then the public cloud's.
    pub(super) wants_authority: bool,
    /// The secrets that must be readable.
    pub(super) secrets: Vec<NeededSecret>,
    /// The URLs that secrets are sent to, by their keys.
    pub(super) endpoints: Vec<(String, ServiceUrl)>,
}

impl Draft {
    /// Reads the keys of one kind.
    pub(super) fn read(kind: &'static Kind, mut table: Table<'_>, report: &mut Report) -> Self {
        let problems = report.problems();
        let credential = Credential::read(kind, &mut table, report);
        let wants_authority = !table.has("authority");
        table.finish(report);
        Self {
            kind,
            credential: credential.filter(|_| report.problems() == problems),
            wants_authority,
            secrets: std::mem::take(&mut report.needed_secrets),
            endpoints: std::mem::take(&mut report.endpoints),
        }
    }

    /// A credential without keys. `None` for a kind that needs some.
    pub(super) fn bare(kind: &'static Kind) -> Option<Self> {
        let empty = toml::de::DeTable::new();
        let read = Self::read(kind, Table::root(&empty), &mut Report::default());
        kind.required.is_none().then_some(read)
    }

    /// A credential that needs no key but a tenant. `None` for a kind that needs others.
    pub(super) fn of_tenant(kind: &'static Kind, tenant: &Tenant) -> Option<Self> {
        // A tenant contains no character that TOML would escape.
        let text = format!("tenant = \"{tenant}\"");
        let table = toml::de::DeTable::parse(&text).ok()?;
        let table = Table::root(table.get_ref());
        let read = Self::read(kind, table, &mut Report::default());
        (kind.required == Some("tenant")).then_some(read)
    }

    pub(super) fn auto() -> Self {
        Self::bare(&auto::KIND).expect("no key is required")
    }
}

impl Credential {
    /// Sets the tenant. Returns false for kinds without one.
    pub(super) fn set_tenant(&mut self, tenant: Tenant) -> bool {
        match self {
            Self::Auto(keys) => keys.tenant = Some(tenant),
            Self::AzureCli(keys) => keys.tenant = Some(tenant),
            Self::AzureDeveloperCli(keys) | Self::AzurePowerShell(keys) => {
                keys.tenant = Some(tenant);
            }
            Self::ClientCertificate(keys) => keys.tenant = tenant,
            Self::ClientSecret(keys) => keys.tenant = tenant,
            Self::DeviceCode(keys) => keys.tenant = tenant,
            Self::WorkloadIdentity(keys) => keys.tenant = Some(tenant),
            _ => return false,
        }
        true
    }

    /// The Entra authority, of kinds that have one.
    pub(super) fn authority_mut(&mut self) -> Option<&mut ServiceUrl> {
        match self {
            Self::Auto(keys) => Some(&mut keys.authority),
            Self::ClientCertificate(keys) => Some(&mut keys.authority),
            Self::ClientSecret(keys) => Some(&mut keys.authority),
            Self::DeviceCode(keys) => Some(&mut keys.authority),
            Self::WorkloadIdentity(keys) => Some(&mut keys.authority),
            _ => None,
        }
    }
}
