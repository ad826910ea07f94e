//! `client-certificate`: the client credentials grant of Microsoft Entra ID with a JWT that the key
//! of an application's certificate signs (learn.microsoft.com/entra/identity-platform/certificate-credentials).

use std::{
    env,
    time::{Duration, SystemTime},
};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use super::{
    AccessToken, CredentialError, Reason,
    assertion::{self, ASSERTION_TYPE, Algorithm, SigningKey},
    context::Context,
    entra,
    http::IdentityEndpoints,
    requester::Requester,
};
use crate::{
    clock::Clock,
    config::{self, Audience, SecretRef},
    x509::Certificate,
};

/// The variable for applications that trust a subject name and issuer, not one certificate.
const SEND_CHAIN_VARIABLE: &str = "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN";
/// The lifetime of an assertion. Entra accepts assertions that end within ten minutes.
const LIFETIME: Duration = Duration::from_secs(600);

/// An application that signs in with a certificate.
#[derive(Debug)]
pub(super) struct ClientCertificate {
    keys: config::ClientCertificate,
    endpoints: IdentityEndpoints,
    clock: Clock,
}

impl ClientCertificate {
    pub(super) fn new(keys: config::ClientCertificate, context: &Context) -> Self {
        Self {
            keys,
            endpoints: context.endpoints.clone(),
            clock: context.clock.clone(),
        }
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        // Taken before the request, since the life of a token starts before its response arrives.
        let start = self.clock.now();
        let identity = Identity::read(&self.keys, start).await?;

        let url = entra::token_url(&self.keys.authority, &self.keys.tenant);
        let claims = assertion::claims(&self.keys.client_id, &url.to_string(), start, LIFETIME);
        let assertion = identity
            .key
            .sign(identity.header(self.sends_chain()), &claims);
        let scope = entra::default_scope(audience);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", self.keys.client_id.as_str()),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &assertion),
            ("scope", scope.as_str()),
        ];
        let requester = Requester {
            tenant: Some(self.keys.tenant.as_str()),
            client_id: Some(&self.keys.client_id),
            audience,
        };
        let response = self.endpoints.post_form(&url, &form).await?;
        entra::read_token(&response, &requester, start)
    }

    fn sends_chain(&self) -> bool {
        self.keys.send_chain.unwrap_or_else(|| {
            env::var(SEND_CHAIN_VARIABLE)
                .is_ok_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
        })
    }
}

/// Checks that the files exist and contain a certificate and its key.
pub(super) async fn check(
    keys: &config::ClientCertificate,
    clock: &Clock,
) -> Result<(), CredentialError> {
    Identity::read(keys, clock.now()).await.map(drop)
}

/// A certificate, the other certificates in its file, and its key.
#[derive(Debug)]
struct Identity {
    certificate: Certificate,
    chain: Vec<Certificate>,
    key: SigningKey,
}

impl Identity {
    async fn read(
        keys: &config::ClientCertificate,
        now: SystemTime,
    ) -> Result<Self, CredentialError> {
        let text = read_text(&keys.certificate).await?;
        let pem = text.expose_secret();
        let key = match &keys.key {
            Some(place) => {
                let text = read_text(place).await?;
                SigningKey::from_pem(text.expose_secret(), place, Algorithm::Ps256)
            }
            None if !pem.contains("PRIVATE KEY-----") => Err(CredentialError::new(
                Reason::NeedsAction,
                format!("{} contains no private key", keys.certificate),
                "Store the certificate's private key in the same file, or set `key` below \
                 [credentials.NAME.client-certificate] to the key's own file.",
            )),
            None => SigningKey::from_pem(pem, &keys.certificate, Algorithm::Ps256),
        }?;
        let mut chain = Certificate::all_from_pem(pem)
            .filter(|all| !all.is_empty())
            .ok_or_else(|| {
                CredentialError::new(
                    Reason::NeedsAction,
                    format!("{} contains no certificate in PEM", keys.certificate),
                    "Convert it: openssl pkcs12 -in app.pfx -nodes -out app.pem for a .pfx or .p12 \
                     file, openssl x509 -inform DER -in app.cer -out app.pem for DER.",
                )
            })?;
        // The certificates may be in any order. The application's is the one for the key.
        let Some(index) = chain
            .iter()
            .position(|certificate| certificate.is_for(key.public_key()))
        else {
            let key = keys.key.as_ref().unwrap_or(&keys.certificate);
            return Err(CredentialError::new(
                Reason::NeedsAction,
                format!(
                    "the private key in {key} does not belong to the certificate in {}",
                    keys.certificate
                ),
                "Use the key that the certificate was made with: openssl x509 -noout -pubkey -in \
                 certificate.pem and openssl pkey -pubout -in key.pem print the same for a pair.",
            ));
        };
        let certificate = chain.remove(index);
        let identity = Self {
            certificate,
            chain,
            key,
        };
        identity.check_not_ended(keys, now)?;
        Ok(identity)
    }

    /// Refuses a certificate that has expired. Entra would refuse it, too, but without the reason.
    fn check_not_ended(
        &self,
        keys: &config::ClientCertificate,
        now: SystemTime,
    ) -> Result<(), CredentialError> {
        let Some(end) = self.certificate.ended(now) else {
            return Ok(());
        };
        Err(CredentialError::new(
            Reason::NeedsAction,
            format!("the certificate in {} ended on {end}", keys.certificate),
            format!(
                "Make a new one and register it: az ad app credential reset --id {} --append --cert @certificate.pem",
                keys.client_id
            ),
        ))
    }

    fn header(&self, with_chain: bool) -> Map<String, Value> {
        let mut header = Map::new();
        header.insert("x5t#S256".to_owned(), self.certificate.thumbprint().into());
        if with_chain {
            let chain = std::iter::once(&self.certificate).chain(&self.chain);
            let chain: Vec<String> = chain.map(Certificate::base64).collect();
            header.insert("x5c".to_owned(), chain.into());
        }
        header
    }
}

async fn read_text(place: &SecretRef) -> Result<SecretString, CredentialError> {
    place.read_text().await.map_err(|error| {
        CredentialError::new(
            Reason::NeedsAction,
            error.to_string(),
            "Provide PEM there; openssl pkcs12 -in app.pfx -nodes -out app.pem converts a .pfx or .p12 file.",
        )
    })
}
