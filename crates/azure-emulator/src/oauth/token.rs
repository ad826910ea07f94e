//! The token endpoints: the client credentials grant, and the authentication of clients.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, Response, StatusCode, header, request::Parts};
use serde_json::json;

use super::{
    super::{
        body::{self, Body},
        clock, form, random,
    },
    OAuth, Refusal,
};

pub(super) const INVALID_CLIENT: Refusal = (StatusCode::UNAUTHORIZED, "invalid_client");
const INVALID_REQUEST: Refusal = (StatusCode::BAD_REQUEST, "invalid_request");

impl OAuth {
    /// As RFC 6749 has it.
    pub(super) fn token(
        &self,
        base: &str,
        head: &Parts,
        content: &[u8],
    ) -> Result<Response<Body>, Refusal> {
        let form = read_form(head, content)?;
        let basic = basic(&head.headers);
        if form::get(&form, "client_assertion").is_some() {
            // A client must not authenticate in two ways (section 2.3).
            if basic.is_some() || form::get(&form, "client_id").is_some() {
                return Err(INVALID_REQUEST);
            }
            self.check_assertion(&format!("{base}/token"), &form)?;
        } else {
            match (basic, form::get(&form, "client_secret")) {
                (Some(_), Some(_)) => return Err(INVALID_REQUEST),
                (Some((id, secret)), None) => self.check_secret(&id, &secret)?,
                (None, _) => self.check_form(&form)?,
            }
        }
        let (token, lifetime) = self.issue();
        let mut answer = json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": lifetime,
        });
        if let Some(scope) = form::get(&form, "scope") {
            answer["scope"] = scope.into();
        }
        Ok(body::json(StatusCode::OK, &answer))
    }

    /// As Adobe Pass has it: every error is a 400, and a success is a 201.
    pub(super) fn device_token(
        &self,
        head: &Parts,
        content: &[u8],
    ) -> Result<Response<Body>, Refusal> {
        let form = read_form(head, content)?;
        self.check_form(&form)
            .map_err(|(_, error)| (StatusCode::BAD_REQUEST, error))?;
        let (token, lifetime) = self.issue();
        Ok(body::json(
            StatusCode::CREATED,
            &json!({
                "id": random::guid(),
                "access_token": token,
                "created_at": clock::unix() * 1000,
                "expires_in": lifetime,
                "token_type": "bearer",
            }),
        ))
    }

    fn check_form(&self, form: &[(String, String)]) -> Result<(), Refusal> {
        let id = form::get(form, "client_id").ok_or(INVALID_REQUEST)?;
        let secret = form::get(form, "client_secret").ok_or(INVALID_REQUEST)?;
        self.check_secret(id, secret)
    }

    fn check_secret(&self, id: &str, secret: &str) -> Result<(), Refusal> {
        match self.state().clients.get(id) {
            Some(known) if known == secret => Ok(()),
            _ => Err(INVALID_CLIENT),
        }
    }
}

/// A form that repeats no field and asks for the grant there is.
fn read_form(head: &Parts, content: &[u8]) -> Result<form::Fields, Refusal> {
    let is_form = head
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/x-www-form-urlencoded");
    let text = std::str::from_utf8(content).map_err(|_| INVALID_REQUEST)?;
    let form = form::parse(text);
    let repeats = form
        .iter()
        .enumerate()
        .any(|(at, (name, _))| form[..at].iter().any(|(earlier, _)| earlier == name));
    if !is_form || repeats || head.uri.query().is_some() {
        return Err(INVALID_REQUEST);
    }
    match form::get(&form, "grant_type") {
        Some("client_credentials") => Ok(form),
        Some(_) => Err((StatusCode::BAD_REQUEST, "unsupported_grant_type")),
        None => Err(INVALID_REQUEST),
    }
}

/// Id and secret are form-encoded (RFC 6749, section 2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((form::decode(id), form::decode(secret)))
}
