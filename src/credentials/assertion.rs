//! Client assertions: JWTs with which a client authenticates by a private key instead of a secret
//! (RFC 7523, section 3; RFC 7515 for the signature).

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    rand::{self, SystemRandom},
    rsa,
    signature::{
        ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA384,
        RSA_PSS_SHA256, RsaEncoding,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde_json::{Map, Value, json};

use super::CredentialError;

/// The form's `client_assertion_type` (RFC 7523, section 2.2).
pub(super) const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

const DECRYPT: &str = if cfg!(unix) {
    "Decrypt it into a file that only this user may read. Run: (umask 077; openssl pkey -in \
     encrypted.pem -out key.pem)"
} else {
    "Decrypt it in a folder that only this user may read. Run: openssl pkey -in encrypted.pem -out \
     key.pem"
};

/// The algorithm that signs an assertion (RFC 7518, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// ECDSA on P-384 with SHA-384.
    Es384,
}

impl Algorithm {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ps256 => "PS256",
            Self::Rs384 => "RS384",
            Self::Es384 => "ES384",
        }
    }

    /// The kind of key that the algorithm needs, for messages, and the command that makes one.
    fn key(self) -> (&'static str, &'static str) {
        match self {
            Self::Ps256 | Self::Rs384 => (
                "an RSA key of 2048 to 8192 bits",
                "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out key.pem",
            ),
            Self::Es384 => (
                "an elliptic curve key on P-384",
                "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out key.pem",
            ),
        }
    }
}

/// A private key, and the one algorithm with which it signs.
#[derive(Debug)]
pub(super) struct SigningKey {
    algorithm: Algorithm,
    pair: Pair,
}

#[derive(Debug)]
enum Pair {
    Rsa(rsa::KeyPair, &'static dyn RsaEncoding),
    Ecdsa(EcdsaKeyPair),
}

impl SigningKey {
    /// Reads the first private key of a PEM text: PKCS#8, PKCS#1 or SEC 1. `place` names the source
    /// of the text in messages.
    pub(super) fn from_pem(
        pem: &str,
        place: &dyn fmt::Display,
        algorithm: Algorithm,
    ) -> Result<Self, CredentialError> {
        if pem.contains("BEGIN ENCRYPTED PRIVATE KEY") || pem.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(CredentialError::needs_action(
                format!("the private key in {place} is encrypted"),
                DECRYPT,
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
            CredentialError::needs_action(
                format!("{place} contains no private key in PEM"),
                "Convert a .pfx or .p12 file with `openssl pkcs12 -in app.pfx -nodes -out app.pem`, \
                 and a key in DER with `openssl pkey -inform DER -in key.der -out key.pem`.",
            )
        })?;
        let pair = match algorithm {
            Algorithm::Ps256 => rsa_pair(&key).map(|pair| Pair::Rsa(pair, &RSA_PSS_SHA256)),
            Algorithm::Rs384 => rsa_pair(&key).map(|pair| Pair::Rsa(pair, &RSA_PKCS1_SHA384)),
            Algorithm::Es384 => EcdsaKeyPair::from_private_key_der(
                &ECDSA_P384_SHA384_FIXED_SIGNING,
                key.secret_der(),
            )
            .ok()
            .map(Pair::Ecdsa),
        };
        let pair = pair.ok_or_else(|| {
            let (kind, command) = algorithm.key();
            CredentialError::needs_action(
                format!(
                    "the private key in {place} is not {kind}, which {} needs",
                    algorithm.name()
                ),
                format!(
                    "Use such a key, or make a new one and register its public half. Run: {command}"
                ),
            )
        })?;
        Ok(Self { algorithm, pair })
    }

    /// The public key in the form of a certificate: a PKCS#1 `RSAPublicKey`, or an uncompressed
    /// point.
    pub(super) fn public_key(&self) -> &[u8] {
        match &self.pair {
            Pair::Rsa(pair, _) => pair.public_key().as_ref(),
            Pair::Ecdsa(pair) => pair.public_key().as_ref(),
        }
    }

    /// A compact JWS of these claims. `header` identifies the key. `alg` and `typ` are added to it.
    pub(super) fn sign(&self, mut header: Map<String, Value>, claims: &Value) -> String {
        header.insert("alg".to_owned(), self.algorithm.name().into());
        header.insert("typ".to_owned(), "JWT".into());
        let mut token = URL_SAFE_NO_PAD.encode(Value::Object(header).to_string());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        let signature = self.signature(token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        token
    }

    fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)
                    .expect("the buffer is as long as the modulus, and the modulus as the digest");
                signature
            }
            Pair::Ecdsa(pair) => pair
                .sign(&random, message)
                .expect("a key on P-384 signs any message")
                .as_ref()
                .to_vec(),
        }
    }
}

fn rsa_pair(key: &PrivateKeyDer<'_>) -> Option<rsa::KeyPair> {
    match key {
        PrivateKeyDer::Pkcs8(key) => rsa::KeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
        PrivateKeyDer::Pkcs1(key) => rsa::KeyPair::from_der(key.secret_pkcs1_der()).ok(),
        _ => None,
    }
}

/// The claims of an assertion by which `client_id` authenticates at the token endpoint `audience`.
/// It is valid once, and from `now` on for `lifetime`.
pub(super) fn claims(
    client_id: &str,
    audience: &str,
    now: SystemTime,
    lifetime: Duration,
) -> Value {
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    json!({
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": token_id(),
        "iat": now,
        "nbf": now,
        "exp": now + lifetime.as_secs(),
    })
}

/// A `jti` that nobody can guess. Servers refuse a `jti` that they have seen before.
fn token_id() -> String {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).expect("the system has random numbers, which TLS needs as well");
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use aws_lc_rs::{
        encoding::{AsDer as _, EcPrivateKeyRfc5915Der, Pkcs8V1Der},
        signature::{
            ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA384,
            RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
        },
    };
    use base64::engine::general_purpose::STANDARD;

    use super::*;
    use crate::credentials::Reason;

    fn pem(label: &str, der: &[u8]) -> String {
        let body = STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    }

    fn rsa_pkcs8() -> &'static [u8] {
        static KEY: OnceLock<Vec<u8>> = OnceLock::new();
        KEY.get_or_init(|| {
            let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("a key");
            let der: Pkcs8V1Der<'_> = pair.as_der().expect("DER");
            der.as_ref().to_vec()
        })
    }

    /// PKCS#8 wraps PKCS#1 in an OCTET STRING, behind 26 bytes at this size.
    fn rsa_pkcs1() -> &'static [u8] {
        &rsa_pkcs8()[26..]
    }

    fn ec_pkcs8() -> Vec<u8> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
        pair.to_pkcs8v1().expect("DER").as_ref().to_vec()
    }

    fn ec_sec1() -> Vec<u8> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
        let der: EcPrivateKeyRfc5915Der<'_> = pair.private_key().as_der().expect("DER");
        der.as_ref().to_vec()
    }

    fn read(pem: &str, algorithm: Algorithm) -> Result<SigningKey, CredentialError> {
        SigningKey::from_pem(pem, &"the file k.pem", algorithm)
    }

    #[test]
    fn signs_by_every_algorithm_with_keys_in_every_form() {
        let table: [(&str, Vec<u8>, Algorithm, &'static dyn VerificationAlgorithm); 6] = [
            (
                "PRIVATE KEY",
                rsa_pkcs8().to_vec(),
                Algorithm::Ps256,
                &RSA_PSS_2048_8192_SHA256,
            ),
            (
                "RSA PRIVATE KEY",
                rsa_pkcs1().to_vec(),
                Algorithm::Ps256,
                &RSA_PSS_2048_8192_SHA256,
            ),
            (
                "PRIVATE KEY",
                rsa_pkcs8().to_vec(),
                Algorithm::Rs384,
                &RSA_PKCS1_2048_8192_SHA384,
            ),
            (
                "RSA PRIVATE KEY",
                rsa_pkcs1().to_vec(),
                Algorithm::Rs384,
                &RSA_PKCS1_2048_8192_SHA384,
            ),
            (
                "PRIVATE KEY",
                ec_pkcs8(),
                Algorithm::Es384,
                &ECDSA_P384_SHA384_FIXED,
            ),
            (
                "EC PRIVATE KEY",
                ec_sec1(),
                Algorithm::Es384,
                &ECDSA_P384_SHA384_FIXED,
            ),
        ];
        for (label, der, algorithm, verifier) in table {
            let key = read(&pem(label, &der), algorithm).expect(label);
            let header = Map::from_iter([("kid".to_owned(), "k1".into())]);
            let token = key.sign(header, &json!({"iss": "me"}));

            let (signed, signature) = token.rsplit_once('.').expect("three parts");
            let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
            UnparsedPublicKey::new(verifier, key.public_key())
                .verify(signed.as_bytes(), &signature)
                .unwrap_or_else(|_| panic!("{label} {algorithm:?}"));
            if algorithm == Algorithm::Es384 {
                assert_eq!(signature.len(), 96);
            }

            let (header, claims) = signed.split_once('.').expect("two parts");
            let part = |text| -> Value {
                let json = URL_SAFE_NO_PAD.decode(text).expect("base64url");
                serde_json::from_slice(&json).expect("JSON")
            };
            assert_eq!(
                part(header),
                json!({"alg": algorithm.name(), "typ": "JWT", "kid": "k1"})
            );
            assert_eq!(part(claims), json!({"iss": "me"}));
        }
    }

    #[test]
    fn finds_the_key_between_other_blocks() {
        let file = format!(
            "subject=CN = app\n{}{}",
            pem("CERTIFICATE", b"not looked at"),
            pem("PRIVATE KEY", rsa_pkcs8())
        );
        read(&file, Algorithm::Ps256).expect("a key");
    }

    #[test]
    fn says_what_is_wrong_with_a_key_and_what_to_do() {
        let p256 = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let p256 = pem("PRIVATE KEY", p256.to_pkcs8v1().expect("DER").as_ref());
        let rsa = pem("PRIVATE KEY", rsa_pkcs8());
        let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
                      DEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        let encrypted = pem("ENCRYPTED PRIVATE KEY", b"x");
        let cut = &rsa[..rsa.len() / 2];
        let table: [(&str, Algorithm, &str, &str); 9] = [
            ("", Algorithm::Ps256, "no private key", "openssl pkcs12"),
            ("hunter2", Algorithm::Es384, "no private key", "-inform DER"),
            (cut, Algorithm::Ps256, "no private key", "openssl pkcs12"),
            (
                &pem("CERTIFICATE", b"x"),
                Algorithm::Ps256,
                "no private key",
                "openssl",
            ),
            (&encrypted, Algorithm::Ps256, "is encrypted", "openssl pkey"),
            (legacy, Algorithm::Rs384, "is encrypted", "openssl pkey"),
            (
                &p256,
                Algorithm::Es384,
                "not an elliptic curve key on P-384",
                "P-384",
            ),
            (&p256, Algorithm::Ps256, "not an RSA key", "rsa_keygen_bits"),
            (
                &rsa,
                Algorithm::Es384,
                "not an elliptic curve key on P-384",
                "P-384",
            ),
        ];
        for (text, algorithm, message, remedy) in table {
            let error = read(text, algorithm).expect_err(message);
            assert!(error.message.contains(message), "{}", error.message);
            assert!(
                error.message.contains("the file k.pem"),
                "{}",
                error.message
            );
            assert!(error.remedy.contains(remedy), "{}", error.remedy);
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert_eq!(error.reason, Reason::NeedsAction);
        }
    }

    #[test]
    fn an_assertion_is_about_its_sender_and_never_the_same() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let make = || claims("app", "https://login/token", now, Duration::from_secs(300));
        let first = make();
        for (claim, value) in [
            ("iss", json!("app")),
            ("sub", json!("app")),
            ("aud", json!("https://login/token")),
            ("iat", json!(1_000_000)),
            ("nbf", json!(1_000_000)),
            ("exp", json!(1_000_300)),
        ] {
            assert_eq!(first[claim], value, "{claim}");
        }
        assert_ne!(first["jti"], make()["jti"]);
    }
}
