//! Checks a client's assertion as a SMART server does
//! (hl7.org/fhir/smart-app-launch/client-confidential-asymmetric.html).

use super::{
    super::{clock, form, jwt::Unverified},
    OAuth, Refusal,
    token::INVALID_CLIENT,
};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Seconds.
const LONGEST_LIFE: i64 = 300;

impl OAuth {
    pub(super) fn check_assertion(
        &self,
        token_url: &str,
        form: &[(String, String)],
    ) -> Result<(), Refusal> {
        let assertion = form::get(form, "client_assertion")
            .and_then(Unverified::parse)
            .filter(|_| form::get(form, "client_assertion_type") == Some(ASSERTION_TYPE))
            .ok_or(INVALID_CLIENT)?;
        let claim = |name: &str| assertion.claims[name].as_str().unwrap_or_default();
        let client_id = claim("iss");
        let expires = assertion.claims["exp"].as_i64().unwrap_or_default();
        let is_timely = (1..=LONGEST_LIFE).contains(&(expires - clock::unix()));

        let mut state = self.state();
        let is_signed = state
            .client_keys
            .get(client_id)
            .is_some_and(|key| assertion.verify(key));
        let is_whole = is_signed
            && assertion.header["typ"] == "JWT"
            && matches!(assertion.header["alg"].as_str(), Some("RS384" | "ES384"))
            && claim("sub") == client_id
            && claim("aud") == token_url
            && is_timely;
        // Last, so that a bad assertion uses up no `jti`.
        if is_whole && !claim("jti").is_empty() && state.assertions.insert(claim("jti").to_owned())
        {
            Ok(())
        } else {
            Err(INVALID_CLIENT)
        }
    }
}
