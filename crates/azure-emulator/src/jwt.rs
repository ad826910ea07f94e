//! Access tokens: RS256 keys, signing, verification and the published key set.

use std::sync::OnceLock;

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{self, KeyPair as _, UnparsedPublicKey, VerificationAlgorithm},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// An RSA key that signs tokens.
#[derive(Debug)]
pub struct SigningKey {
    pair: KeyPair,
    id: String,
}

impl SigningKey {
    /// A new 2048-bit key.
    ///
    /// # Panics
    /// The system has no random numbers to give.
    pub fn generate() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("RSA keys of 2048 bits can be made");
        let thumbprint = digest(&SHA256, pair.public_key().as_ref());
        let id = URL_SAFE_NO_PAD.encode(&thumbprint.as_ref()[..20]);
        Self { pair, id }
    }

    /// The key of this process: making one takes longer than starting an emulator.
    pub fn shared() -> &'static Self {
        static KEY: OnceLock<SigningKey> = OnceLock::new();
        KEY.get_or_init(Self::generate)
    }

    /// Signs claims as a compact JWS with RS256.
    ///
    /// # Panics
    /// The system has no random numbers to give.
    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": self.id});
        let mut token = format!("{}.{}", encode_json(&header), encode_json(claims));
        let mut signed = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(
                &signature::RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                token.as_bytes(),
                &mut signed,
            )
            .expect("the buffer has the size of the modulus");
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signed));
        token
    }

    /// The public key as a PKCS#1 `RSAPublicKey`.
    pub fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The JSON Web Key Set (RFC 7517) with this key.
    pub(super) fn key_set(&self) -> Value {
        let (modulus, exponent) = components(self.public_key());
        json!({"keys": [{
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.id,
            "n": URL_SAFE_NO_PAD.encode(modulus),
            "e": URL_SAFE_NO_PAD.encode(exponent),
        }]})
    }
}

/// A JWT taken apart, its signature not checked yet.
pub(super) struct Unverified<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    pub(super) header: Value,
    pub(super) claims: Value,
}

impl<'a> Unverified<'a> {
    /// Takes a compact JWS apart; `None` when it is not one.
    pub(super) fn parse(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let part = |text: &str| -> Option<Value> {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
        };
        let (header, claims) = (part(header)?, part(claims)?);
        (header.is_object() && claims.is_object()).then_some(())?;
        Some(Self {
            signed,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
            header,
            claims,
        })
    }

    /// Whether the key signed it, by RS256, RS384, PS256 or ES384. The key is an X.509
    /// `SubjectPublicKeyInfo`, or a PKCS#1 `RSAPublicKey`.
    pub(super) fn verify(&self, public_key: &[u8]) -> bool {
        let algorithm: &dyn VerificationAlgorithm = match self.header["alg"].as_str() {
            Some("RS256") => &signature::RSA_PKCS1_2048_8192_SHA256,
            Some("RS384") => &signature::RSA_PKCS1_2048_8192_SHA384,
            Some("PS256") => &signature::RSA_PSS_2048_8192_SHA256,
            Some("ES384") => &signature::ECDSA_P384_SHA384_FIXED,
            _ => return false,
        };
        UnparsedPublicKey::new(algorithm, public_key)
            .verify(self.signed.as_bytes(), &self.signature)
            .is_ok()
    }
}

/// JSON, base64url.
pub(super) fn encode_json(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Modulus and exponent of a PKCS#1 `RSAPublicKey`: SEQUENCE { INTEGER, INTEGER }.
fn components(public_key: &[u8]) -> (&[u8], &[u8]) {
    let (sequence, _) = element(public_key);
    let (modulus, rest) = element(sequence);
    let (exponent, _) = element(rest);
    // DER pads positive integers whose first bit is set; JWK wants none of that.
    (
        modulus.strip_prefix(&[0]).unwrap_or(modulus),
        exponent.strip_prefix(&[0]).unwrap_or(exponent),
    )
}

/// The content of the first DER element, and the rest.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (header, length) = if der[1] < 0x80 {
        (2, usize::from(der[1]))
    } else {
        let octets = usize::from(der[1] & 0x7f);
        let length = der[2..2 + octets]
            .iter()
            .fold(0, |length, octet| length << 8 | usize::from(*octet));
        (2 + octets, length)
    };
    (&der[header..header + length], &der[header + length..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifies_its_own_tokens_and_no_others() {
        let key = SigningKey::shared();
        let token = key.sign(&json!({"aud": "x"}));
        let parsed = Unverified::parse(&token).expect("well-formed");
        assert_eq!(parsed.claims["aud"], "x");
        assert!(parsed.verify(key.public_key()));
        assert!(!parsed.verify(SigningKey::generate().public_key()));

        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let forged = format!(
            "{}.{}.{signature}",
            signed.split_once('.').expect("two parts").0,
            encode_json(&json!({"aud": "y"}))
        );
        assert!(
            !Unverified::parse(&forged)
                .expect("well-formed")
                .verify(key.public_key())
        );
    }

    #[test]
    fn rejects_what_is_not_a_jwt() {
        assert!(Unverified::parse("opaque").is_none());
        assert!(Unverified::parse("a.b.c").is_none());
        assert!(Unverified::parse("e30.W10.AA").is_none());
    }

    #[test]
    fn publishes_modulus_and_exponent() {
        let keys = SigningKey::shared().key_set();
        let decode = |name: &str| {
            URL_SAFE_NO_PAD
                .decode(keys["keys"][0][name].as_str().expect("a string"))
                .expect("base64url")
        };
        assert_eq!(decode("n").len(), 256);
        assert_eq!(decode("e"), [1, 0, 1]);
    }
}
