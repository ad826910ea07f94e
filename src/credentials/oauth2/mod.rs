//! `oauth2-client-credentials`: the client credentials grant of any server (RFC 6749, section 4.4).
//!
//! Only parameters that the configuration names are sent. Without the key `scope` the request has
//! no scope, whatever the route's audience. `clients.rs` chooses the client, `registration.rs`
//! registers one.

mod clients;
mod registration;

use std::time::SystemTime;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use form_urlencoded::byte_serialize;
use http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};

use self::clients::{Client, Clients, read};
use super::{
    AccessToken, CredentialError,
    context::Context,
    http::Response,
    refusal::{self, Refusal, Remedies},
};
use crate::config::{self, ClientAuth, HeaderText, SecretRef, Text};

const REMEDIES: Remedies = Remedies {
    endpoint: "token_url",
    invalid_request: "Check `scope`, `resource`, `auth`, `headers` and `parameters` against what the server asks for.",
    invalid_client: "Check `client_id` and `client_secret`, and whether the server expects auth = \
                     \"basic\" or \"body\".",
    invalid_grant: "Check `client_id` and `parameters`, and ask the server's owner whether the client was revoked.",
    invalid_target: "Set `resource` to one that the server knows.",
};

const REGISTERED_REMEDIES: Remedies = Remedies {
    invalid_client: "A new registration did not help. Check that `token_url` and `registration.url` \
                     belong to one server, and whether it expects auth = \"basic\" or \"body\".",
    ..REMEDIES
};

/// A client of an OAuth 2.0 server.
#[derive(Debug)]
pub(super) struct OAuth2 {
    keys: Box<config::OAuth2>,
    clients: Clients,
    context: Context,
}

impl OAuth2 {
    pub(super) fn new(keys: Box<config::OAuth2>, context: &Context) -> Self {
        Self {
            clients: Clients::new(&keys),
            keys,
            context: context.clone(),
        }
    }

    pub(super) async fn token(&self) -> Result<AccessToken, CredentialError> {
        let host = self.keys.token_url.host();
        let generation = self.clients.generation();
        let mut client = self.clients.get(generation, || self.register()).await?;
        let (mut response, mut start) = self.ask(&client).await?;
        let mut remedies = &REMEDIES;
        let refusal = Refusal::of(&response);
        if self.keys.registration.is_some() && refusal == Some(Refusal::InvalidClient) {
            remedies = &REGISTERED_REMEDIES;
            let replaced = self
                .clients
                .replace(generation, &client, || self.register());
            if let Some(next) = replaced.await? {
                client = next;
                (response, start) = self.ask(&client).await?;
            }
        }
        let token = refusal::read_token(&response, host, remedies, start);
        if token.is_ok() {
            client.set_worked();
        }
        token
    }

    /// Sends the request. Returns the response and the time of the request, since the life of a
    /// token starts before its response arrives.
    async fn ask(&self, client: &Client) -> Result<(Response, SystemTime), CredentialError> {
        let secret = client.secret.expose_secret();
        let mut form = vec![("grant_type", "client_credentials")];
        if self.keys.auth == ClientAuth::Body {
            form.push(("client_id", &client.id));
            form.push(("client_secret", secret));
        }
        form.extend(self.keys.scope.as_deref().map(|scope| ("scope", scope)));
        form.extend(
            self.keys
                .resource
                .as_deref()
                .map(|resource| ("resource", resource)),
        );
        let mut parameters = Vec::new();
        for (name, text) in &self.keys.parameters {
            parameters.push((name.as_str(), value(text).await?));
        }
        form.extend(
            parameters
                .iter()
                .map(|(name, value)| (*name, value.expose_secret())),
        );

        let mut headers = self.headers().await?;
        if self.keys.auth == ClientAuth::Basic {
            headers.insert(header::AUTHORIZATION, basic(&client.id, secret));
        }
        let url = self.keys.token_url.uri();
        let start = self.context.clock.now();
        let response = self
            .context
            .endpoints
            .post_form_with(url, &form, headers)
            .await?;
        Ok((response, start))
    }

    /// The configured headers.
    async fn headers(&self) -> Result<HeaderMap, CredentialError> {
        let mut headers = HeaderMap::new();
        for (name, text) in &self.keys.headers {
            let value = match text {
                HeaderText::Plain(value) => value.clone(),
                HeaderText::Secret(reference) => header_value(reference).await?,
            };
            headers.insert(name.clone(), value);
        }
        Ok(headers)
    }
}

/// The header of HTTP Basic authentication. Id and secret are form-encoded before they are joined
/// (RFC 6749, section 2.3.1), since a colon would end the id.
fn basic(id: &str, secret: &str) -> HeaderValue {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let both = STANDARD.encode(format!("{}:{}", encode(id), encode(secret)));
    let mut value = HeaderValue::try_from(format!("Basic {both}"))
        .expect("Base64 holds only characters that a header may hold");
    value.set_sensitive(true);
    value
}

async fn value(text: &Text) -> Result<SecretString, CredentialError> {
    match text {
        Text::Plain(text) => Ok(text.clone().into()),
        Text::Secret(reference) => read(reference).await,
    }
}

async fn header_value(reference: &SecretRef) -> Result<HeaderValue, CredentialError> {
    let secret = read(reference).await?;
    let mut value = HeaderValue::try_from(secret.expose_secret()).map_err(|_| {
        CredentialError::needs_action(
            format!("the secret in {reference} contains characters that a header cannot have"),
            "Store a secret of visible ASCII characters.",
        )
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_encodes_what_would_split_it() {
        let value = basic("a:b c", "p%+\u{e4}");
        let encoded = value.to_str().expect("ASCII").trim_start_matches("Basic ");
        let decoded = STANDARD.decode(encoded).expect("Base64");
        assert_eq!(decoded, b"a%3Ab+c:p%25%2B%C3%A4");
        assert!(value.is_sensitive());
    }
}
