//! `smart-backend-services`: the client credentials grant with an assertion that the client's
//! private key signs (hl7.org/fhir/smart-app-launch/backend-services.html). `discovery.rs` finds
//! the token endpoint.

mod discovery;

use std::time::{Duration, SystemTime};

use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};

use self::discovery::Discovery;
use super::{
    AccessToken, CredentialError,
    assertion::{self, ASSERTION_TYPE, Algorithm, SigningKey},
    context::Context,
    error::unread,
    refusal::{self, Remedies},
};
use crate::config::{self, EndpointUrl, SmartAlgorithm, SmartEndpoint};

/// An assertion may end no more than five minutes ahead. Half of that lets the server's clock be as
/// far behind ours as ahead of it.
const LIFETIME: Duration = Duration::from_secs(150);

const REMEDIES: Remedies = Remedies {
    endpoint: "token_url",
    invalid_request: "Check `scope`, and that the server offers SMART Backend Services.",
    invalid_client: "Check `client_id`, `algorithm` and `key_id`, that the public half of `key` is registered with the server, and this machine's clock.",
    invalid_grant: "Check `client_id` and this machine's clock, and ask the server's owner whether the client was revoked.",
    invalid_target: "Ask the server's owner which resource the server expects. A SMART request has no \
                     parameter for one.",
};

const DISCOVERED_REMEDIES: Remedies = Remedies {
    endpoint: "issuer",
    ..REMEDIES
};

/// A client of a SMART server.
#[derive(Debug)]
pub(super) struct SmartBackendServices {
    keys: config::SmartBackendServices,
    discovery: Discovery,
    context: Context,
}

impl SmartBackendServices {
    pub(super) fn new(keys: config::SmartBackendServices, context: &Context) -> Self {
        Self {
            keys,
            discovery: Discovery::default(),
            context: context.clone(),
        }
    }

    pub(super) async fn token(&self) -> Result<AccessToken, CredentialError> {
        match &self.keys.endpoint {
            SmartEndpoint::TokenUrl(url) => self.ask(url, &REMEDIES).await,
            SmartEndpoint::Issuer(issuer) => {
                let algorithm = algorithm(self.keys.algorithm);
                let url = self
                    .discovery
                    .token_url(issuer, algorithm, &self.context.endpoints)
                    .await?;
                let token = self.ask(&url, &DISCOVERED_REMEDIES).await;
                if token.is_err() {
                    // The server may have moved its endpoint.
                    self.discovery.forget();
                }
                token
            }
        }
    }

    async fn ask(
        &self,
        url: &EndpointUrl,
        remedies: &Remedies,
    ) -> Result<AccessToken, CredentialError> {
        // Taken before the request, since the life of a token starts before its response arrives.
        let start = self.context.clock.now();
        let assertion = self.assertion(url, start).await?;
        // The form has no `client_id`, since the assertion names the client.
        let form = [
            ("grant_type", "client_credentials"),
            ("scope", self.keys.scope.as_str()),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &assertion),
        ];
        let response = self.context.endpoints.post_form(url.uri(), &form).await?;
        refusal::read_token(&response, url.host(), remedies, start)
    }

    async fn assertion(
        &self,
        url: &EndpointUrl,
        now: SystemTime,
    ) -> Result<String, CredentialError> {
        let key = signing_key(&self.keys).await?;
        let mut claims = assertion::claims(&self.keys.client_id, url.as_str(), now, LIFETIME);
        if let Some(claims) = claims.as_object_mut() {
            // SMART requires neither claim, and a server whose clock is a second behind refuses an
            // assertion with either.
            claims.retain(|name, _| name != "nbf" && name != "iat");
        }
        let mut header = Map::new();
        if let Some(key_id) = &self.keys.key_id {
            header.insert("kid".to_owned(), Value::from(key_id.as_str()));
        }
        Ok(key.sign(header, &claims))
    }
}

/// The private key, if the algorithm can sign with it.
pub(super) async fn signing_key(
    keys: &config::SmartBackendServices,
) -> Result<SigningKey, CredentialError> {
    let place = &keys.key;
    let pem = place.read_text().await;
    let pem = pem.map_err(unread("Store the private key (PEM) there."))?;
    SigningKey::from_pem(pem.expose_secret(), place, algorithm(keys.algorithm))
}

fn algorithm(algorithm: SmartAlgorithm) -> Algorithm {
    match algorithm {
        SmartAlgorithm::Rs384 => Algorithm::Rs384,
        SmartAlgorithm::Es384 => Algorithm::Es384,
    }
}
