//! `client-certificate`: the client credentials grant of Microsoft Entra ID with a JWT that the key
//! of an application's certificate signs (learn.microsoft.com/entra/identity-platform/certificate-credentials).

use std::{
    env,
    time::{Duration, SystemTime},
};

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use super::{
    AccessToken, CredentialError,
    assertion::{self, ASSERTION_TYPE, Algorithm, SigningKey},
    context::Context,
    entra::{self, Application},
    error::unread,
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
    context: Context,
}

impl ClientCertificate {
    pub(super) fn new(keys: config::ClientCertificate, context: &Context) -> Self {
        Self {
            keys,
            context: context.clone(),
        }
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        let now = self.context.clock.now();
        let identity = Identity::read(&self.keys, now).await?;
        let application = Application {
            tenant: &self.keys.tenant,
            client_id: &self.keys.client_id,
            authority: &self.keys.authority,
        };
        let url = entra::token_url(application.authority, application.tenant).to_string();
        let claims = assertion::claims(application.client_id, &url, now, LIFETIME);
        let header = identity.header(self.sends_chain());
        let proof = [
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &identity.key.sign(header, &claims)),
        ];
        application.token(audience, &proof, &self.context).await
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
            None if !pem.contains("PRIVATE KEY-----") => Err(CredentialError::needs_action(
                format!("{} contains no private key", keys.certificate),
                "Store the certificate and its private key in one file. The kind client-certificate \
                 can also have the private key in another file, `key`.",
            )),
            None => SigningKey::from_pem(pem, &keys.certificate, Algorithm::Ps256),
        }?;
        let mut chain = Certificate::all_from_pem(pem)
            .filter(|all| !all.is_empty())
            .ok_or_else(|| {
                CredentialError::needs_action(
                    format!("{} contains no certificate in PEM", keys.certificate),
                    "Convert a .pfx or .p12 file with `openssl pkcs12 -in app.pfx -nodes -out \
                     app.pem`, and a certificate in DER with `openssl x509 -inform DER -in app.cer \
                     -out app.pem`.",
                )
            })?;
        // The certificates may be in any order. The application's is the one for the key.
        let Some(index) = chain
            .iter()
            .position(|certificate| certificate.is_for(key.public_key()))
        else {
            let key = keys.key.as_ref().unwrap_or(&keys.certificate);
            return Err(CredentialError::needs_action(
                format!(
                    "the private key in {key} does not belong to the certificate in {}",
                    keys.certificate
                ),
                "Use the key that the certificate was made with. For a pair, `openssl x509 -noout \
                 -pubkey -in certificate.pem` and `openssl pkey -pubout -in key.pem` print the same \
                 text.",
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
        Err(CredentialError::needs_action(
            format!("the certificate in {} expired on {end}", keys.certificate),
            format!(
                "Make a new certificate and register it. Run: az ad app credential reset --id {} \
                 --append --cert @certificate.pem",
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
    place.read_text().await.map_err(unread(
        "Store a PEM file there. `openssl pkcs12 -in app.pfx -nodes -out app.pem` converts a .pfx or \
         .p12 file.",
    ))
}
