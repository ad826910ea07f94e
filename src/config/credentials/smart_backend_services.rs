//! `smart-backend-services`: a client that signs its assertions
//! (hl7.org/fhir/smart-app-launch/backend-services.html).

use super::{
    keys::{Keys, argument, endpoint, url},
    kind::{Kind, SignIn},
};
use crate::config::{EndpointUrl, SecretRef, ServiceUrl, grammar};

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

pub(super) fn read(keys: &mut Keys<'_, '_>) -> Option<SmartBackendServices> {
    let client_id = keys.need("client_id", argument);
    let key = keys.need_pem("key");
    let algorithm = keys.need("algorithm", |item, report| {
        item.parse(report, |text| {
            grammar::choice(
                text,
                &[
                    ("RS384", SmartAlgorithm::Rs384),
                    ("ES384", SmartAlgorithm::Es384),
                ],
            )
        })
    });
    let scope = keys.need("scope", argument);
    let token_url = keys.read("token_url", endpoint);
    let issuer = keys.read("issuer", url);
    let key_id = keys.read("key_id", argument);
    let either = ["token_url", "issuer"];
    keys.only_one(&either);
    if !either.iter().any(|key| keys.table.has(key)) {
        keys.refuse(
            keys.table.place,
            format!("`{}` needs either `token_url` or `issuer`", keys.table.path),
            "write the token endpoint as `token_url`, or as `issuer` where to discover it",
        );
    }
    let endpoint = token_url
        .map(SmartEndpoint::TokenUrl)
        .or(issuer.map(SmartEndpoint::Issuer));
    Some(SmartBackendServices {
        client_id: client_id?,
        key: key?,
        algorithm: algorithm?,
        scope: scope?,
        endpoint: endpoint?,
        key_id,
    })
}
