//! Plain http is for this machine, where nobody listens on the way. `network.resolve` may lead
//! elsewhere only what TLS protects.

use std::net::SocketAddr;

use http::uri::Scheme;

use crate::config::{
    Credential, EndpointUrl, Network, ResolveOverride, ServiceUrl, SmartEndpoint,
    report::{At, Report},
};

/// Where platforms put their metadata service when nothing else is said.
const METADATA: (&str, u16) = ("169.254.169.254", 80);

/// Sets the authority of credentials that have no key for it.
const AUTHORITY: &str = "AZURE_AUTHORITY_HOST";

/// A place where secrets go over plain http.
pub(super) struct Exposed {
    /// The key that names it, or the credential that knows it.
    key: String,
    is_written: bool,
    host: String,
    port: u16,
}

impl Exposed {
    /// `None` where TLS protects them.
    pub(super) fn service(key: String, url: &ServiceUrl) -> Option<Self> {
        (*url.scheme() == Scheme::HTTP).then(|| Self {
            key,
            is_written: true,
            host: url.host(),
            port: url.port(),
        })
    }

    fn endpoint(key: String, url: &EndpointUrl) -> Option<Self> {
        let url = ServiceUrl::parse(url.as_str()).ok()?;
        Self::service(key, &url)
    }

    fn metadata(key: String) -> Self {
        Self {
            key,
            is_written: false,
            host: METADATA.0.to_owned(),
            port: METADATA.1,
        }
    }

    /// The endpoints of a credential that are known before it is used.
    pub(super) fn of_credential(name: &str, credential: &Credential) -> Vec<Self> {
        let table = format!("credentials.{name}.{}", credential.kind().name);
        let key = |key: &str| format!("{table}.{key}");
        let authority = |url| Self::service(key("authority"), url);
        let authority_of_the_environment = |url| Self::service(AUTHORITY.to_owned(), url);
        let found = match credential {
            Credential::Auto(keys) => {
                vec![
                    authority_of_the_environment(&keys.authority),
                    Some(Self::metadata(table)),
                ]
            }
            Credential::DeviceCode(keys) => vec![authority_of_the_environment(&keys.authority)],
            Credential::ClientSecret(keys) => vec![authority(&keys.authority)],
            Credential::ClientCertificate(keys) => vec![authority(&keys.authority)],
            Credential::WorkloadIdentity(keys) => vec![authority(&keys.authority)],
            Credential::ManagedIdentity(keys) => vec![match &keys.endpoint {
                Some(url) => Self::service(key("endpoint"), url),
                None => Some(Self::metadata(table)),
            }],
            Credential::OAuth2(keys) => {
                let registration = keys.registration.as_ref();
                vec![
                    Self::endpoint(key("token_url"), &keys.token_url),
                    registration.and_then(|registration| {
                        Self::endpoint(key("registration.url"), &registration.url)
                    }),
                ]
            }
            Credential::SmartBackendServices(keys) => vec![match &keys.endpoint {
                SmartEndpoint::TokenUrl(url) => Self::endpoint(key("token_url"), url),
                SmartEndpoint::Issuer(url) => Self::service(key("issuer"), url),
            }],
            Credential::AzureCli(_)
            | Credential::AzurePowerShell(_)
            | Credential::AzureDeveloperCli(_)
            | Credential::Static { .. }
            | Credential::Command(_) => Vec::new(),
        };
        found.into_iter().flatten().collect()
    }
}

/// Reports the overrides that lead one of `exposed` to another machine.
pub(super) fn check(overrides: &[At<ResolveOverride>], exposed: &[Exposed], report: &mut Report) {
    for At { value, place } in overrides {
        if Network::is_near(value.address) {
            continue;
        }
        let led = exposed
            .iter()
            .find(|exposed| (&exposed.host, exposed.port) == (&value.host, value.port));
        if let Some(Exposed {
            key, is_written, ..
        }) = led
        {
            let near = SocketAddr::from(([127, 0, 0, 1], value.address.port()));
            let https = if *is_written {
                format!(", or an https URL in `{key}`")
            } else {
                String::new()
            };
            report.refuse(
                *place,
                format!(
                    "`network.resolve` leads `{key}` to another machine over plain http, which would \
                     show tokens and secrets to everyone on the way"
                ),
                format!("write a loopback address here, such as {near}{https}"),
            );
        }
    }
}
