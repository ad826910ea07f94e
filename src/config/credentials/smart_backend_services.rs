//! `smart-backend-services`: a client that signs its assertions
//! (hl7.org/fhir/smart-app-launch/backend-services.html).

use super::kind::{Kind, SignIn};
use crate::config::{
    EndpointUrl, SecretRef, ServiceUrl,
    keys::{Keys, Value, argument, secure_url},
    report::Report,
    secrets::pem,
    values::Word,
    walk::Table,
};

pub(in crate::config) const KIND: Kind = Kind {
    name: "smart-backend-services",
    required: Some("client_id, key, algorithm, scope, and token_url or issuer"),
    needs_audience: false,
    harmless: &[
        "client_id",
        "algorithm",
        "scope",
        "token_url",
        "issuer",
        "key_id",
    ],
    sign_in: SignIn::Elsewhere,
};

/// Keys of `smart-backend-services`.
#[derive(Debug, Clone)]
pub struct SmartBackendServices {
    /// The client's id.
    pub client_id: String,
    /// PEM: the private key, read at each token request.
    pub key: SecretRef,
    /// The algorithm that signs assertions.
    pub algorithm: SmartAlgorithm,
    /// For example `system/*.rs`.
    pub scope: String,
    /// The token endpoint, or the issuer that names it.
    pub endpoint: SmartEndpoint,
    /// The `kid` of the assertion.
    pub key_id: Option<String>,
}

/// The algorithm with which a SMART client signs its assertions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmartAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// ECDSA on P-384 with SHA-384.
    Es384,
}

impl Word for SmartAlgorithm {
    const WORDS: &'static [(&'static str, Self)] =
        &[("RS384", Self::Rs384), ("ES384", Self::Es384)];
}

/// The source of a SMART client's token endpoint.
#[derive(Debug, Clone)]
pub enum SmartEndpoint {
    /// The configuration names the token endpoint.
    TokenUrl(EndpointUrl),
    /// `{issuer}/.well-known/smart-configuration` names it.
    Issuer(ServiceUrl),
}

impl Keys for SmartBackendServices {
    fn read_from(table: &mut Table<'_>, report: &mut Report) -> Option<Self> {
        let client_id = table.key(report, "client_id", argument);
        let key = table.key(report, "key", pem);
        let algorithm = table.key(report, "algorithm", Value::read);
        let scope = table.key(report, "scope", argument);
        let token_url: Option<EndpointUrl> = table.key(report, "token_url", Value::read)?;
        let issuer: Option<ServiceUrl> = table.key(report, "issuer", secure_url)?;
        let key_id = table.key(report, "key_id", argument)?;
        let either = ["token_url", "issuer"];
        table.only_one(report, &either);
        if !either.iter().any(|key| table.has(key)) {
            report.refuse(
                table.place,
                format!("`{}` needs either `token_url` or `issuer`", table.path),
                "write the token endpoint as `token_url`, or the base URL of the FHIR server as \
                 `issuer`",
            );
        }
        let endpoint = token_url.map(SmartEndpoint::TokenUrl);
        Some(Self {
            client_id: client_id?,
            key: key?,
            algorithm: algorithm?,
            scope: scope?,
            endpoint: endpoint.or(issuer.map(SmartEndpoint::Issuer))?,
            key_id,
        })
    }
}
