//! Finds the token endpoint of a SMART server (hl7.org/fhir/smart-app-launch/conformance.html).

use http::HeaderMap;
use parking_lot::Mutex;
use serde::Deserialize;

use crate::{
    config::{EndpointUrl, ServiceUrl},
    credentials::{CredentialError, assertion::Algorithm, http::IdentityEndpoints},
};

const METHOD: &str = "private_key_jwt";

/// The token endpoint of a server, once it is known.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    found: Mutex<Option<EndpointUrl>>,
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(rename = "token_endpoint")]
    url: Option<String>,
    #[serde(rename = "token_endpoint_auth_methods_supported")]
    methods: Option<Vec<String>>,
    #[serde(rename = "token_endpoint_auth_signing_alg_values_supported")]
    algorithms: Option<Vec<String>>,
}

impl Discovery {
    /// Returns the token endpoint, and requests the server's configuration if it is not known.
    pub(super) async fn token_url(
        &self,
        issuer: &ServiceUrl,
        algorithm: Algorithm,
        endpoints: &IdentityEndpoints,
    ) -> Result<EndpointUrl, CredentialError> {
        let found = self.found.lock().clone();
        if let Some(url) = found {
            return Ok(url);
        }
        let document = format!("{issuer}/.well-known/smart-configuration")
            .parse()
            .expect("a service's URL with a path of plain letters behind it is a URL");
        let response = endpoints.get(&document, HeaderMap::new()).await?;
        let host = issuer.host();
        let configuration: Configuration = response
            .status
            .is_success()
            .then(|| serde_json::from_slice(&response.body).ok())
            .flatten()
            .ok_or_else(|| response.unexpected(&host, "issuer"))?;
        let url = configuration.token_url(&host, algorithm)?;
        *self.found.lock() = Some(url.clone());
        Ok(url)
    }

    /// Forgets the token endpoint, so that the next call requests the configuration again.
    pub(super) fn forget(&self) {
        *self.found.lock() = None;
    }
}

impl Configuration {
    /// The token endpoint. Fails if the configuration shows that the server would refuse the
    /// client.
    fn token_url(&self, host: &str, algorithm: Algorithm) -> Result<EndpointUrl, CredentialError> {
        let refuse = |what: &str, remedy: &str| {
            let message = format!("the SMART configuration of {host} {what}");
            CredentialError::needs_action(message, remedy)
        };
        let url = self.url.as_deref().ok_or_else(|| {
            refuse(
                "names no token_endpoint",
                "Check that `issuer` is the base URL of the FHIR server. If it is, write the token \
                 endpoint as `token_url` instead of `issuer`.",
            )
        })?;
        let url = EndpointUrl::parse(url).map_err(|_| {
            refuse(
                "names a token_endpoint that is not an https URL without a query",
                "Ask the server's owner for the token endpoint, and write it as `token_url` instead of \
                 `issuer`.",
            )
        })?;
        let excludes = |supported: &Option<Vec<String>>, ours: &str| {
            supported
                .as_ref()
                .is_some_and(|supported| supported.iter().all(|name| name != ours))
        };
        if excludes(&self.methods, METHOD) {
            return Err(refuse(
                "offers no private_key_jwt",
                "Use oauth2-client-credentials with a secret. If the server accepts signed assertions \
                 nevertheless, write its token endpoint as `token_url` instead of `issuer`.",
            ));
        }
        if excludes(&self.algorithms, algorithm.name()) {
            let what = format!("does not list {}", algorithm.name());
            let other = [Algorithm::Rs384, Algorithm::Es384]
                .into_iter()
                .find(|other| !excludes(&self.algorithms, other.name()));
            let remedy = match other {
                Some(other) => format!(
                    "Set algorithm = \"{}\", with a key for it that is registered with the server.",
                    other.name()
                ),
                None => "Ask the server's owner to support RS384 or ES384, as SMART requires."
                    .to_owned(),
            };
            return Err(refuse(&what, &remedy));
        }
        Ok(url)
    }
}
