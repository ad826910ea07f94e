//! Dynamic client registration (RFC 7591, section 3) as Adobe Pass does it.

use http::{Response, StatusCode, header, request::Parts};
use serde_json::{Value, json};

use super::{
    super::{
        SOFTWARE_STATEMENT,
        body::{self, Body},
        clock, random,
    },
    OAuth, Refusal,
};

impl OAuth {
    pub(super) fn register(&self, head: &Parts, content: &[u8]) -> Result<Response<Body>, Refusal> {
        const INVALID: Refusal = (StatusCode::BAD_REQUEST, "invalid_request");
        let is_json = head
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
        let metadata: Value = is_json
            .then(|| serde_json::from_slice(content).ok())
            .flatten()
            .ok_or(INVALID)?;
        let statement = metadata["software_statement"].as_str().ok_or(INVALID)?;
        if statement != SOFTWARE_STATEMENT {
            return Err((StatusCode::BAD_REQUEST, "invalid_software_statement"));
        }
        let (client_id, secret) = (random::guid(), random::hex::<24>());
        self.add_client(&client_id, &secret);
        self.state().registrations += 1;
        Ok(body::json(
            StatusCode::CREATED,
            &json!({
                "client_id": client_id,
                "client_secret": secret,
                "client_id_issued_at": clock::unix(),
                "redirect_uris": [],
                "grant_types": ["client_credentials"],
                "scopes": ["api:client:v2"],
            }),
        ))
    }
}
