//! Registers a client (RFC 7591) by a software statement that the server's owner has issued.

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::{
    OAuth2,
    clients::{Client, read},
};
use crate::{
    config::Registration,
    credentials::{CredentialError, http::Response},
};

#[derive(Deserialize)]
struct Registered {
    client_id: String,
    client_secret: SecretString,
}

/// The errors of RFC 7591, section 3.2.2, and those of RFC 6749 that servers use here, too.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Refusal {
    InvalidRequest,
    InvalidRedirectUri,
    InvalidClientMetadata,
    InvalidSoftwareStatement,
    UnapprovedSoftwareStatement,
}

#[derive(Deserialize)]
struct Denied {
    error: Refusal,
}

impl OAuth2 {
    /// Requests a client id and secret.
    pub(super) async fn register(&self) -> Result<Client, CredentialError> {
        let registration = self.keys.registration.as_ref().ok_or_else(|| {
            CredentialError::needs_action(
                "the credential names no client",
                "Set `client_id` and `client_secret`, or `registration`.",
            )
        })?;
        let statement = read(&registration.software_statement).await?;
        let body = json!({ "software_statement": statement.expose_secret() });
        let json = "application/json;charset=utf-8";
        let headers = self.headers().await?;
        let url = registration.url.uri();
        let response = self
            .context
            .endpoints
            .post(url, json, body.to_string(), headers)
            .await?;
        let client = read_client(&response, registration)?;
        tracing::info!(host = registration.url.host(), "client registered");
        Ok(client)
    }
}

fn read_client(
    response: &Response,
    registration: &Registration,
) -> Result<Client, CredentialError> {
    let registered = response
        .status
        .is_success()
        .then(|| serde_json::from_slice::<Registered>(&response.body).ok())
        .flatten()
        .filter(|registered| !registered.client_id.is_empty());
    match registered {
        Some(registered) => Ok(Client::new(registered.client_id, registered.client_secret)),
        None => Err(refused(response, registration)),
    }
}

fn refused(response: &Response, registration: &Registration) -> CredentialError {
    let host = registration.url.host();
    let denied: Option<Denied> = serde_json::from_slice(&response.body).ok();
    let Some(Denied { error }) = denied.filter(|_| !response.is_transient()) else {
        return response.unexpected(host, "registration.url");
    };
    let statement = &registration.software_statement;
    let refuse = |what: &str, remedy: &str| {
        response.with_wait(CredentialError::needs_action(
            format!("{host} {what}"),
            remedy,
        ))
    };
    match error {
        Refusal::InvalidRequest => refuse(
            "cannot use the registration (invalid_request)",
            "Check `registration.url`, and that `headers` has all that the server requires.",
        ),
        Refusal::InvalidRedirectUri => refuse(
            "requires a redirect URI (invalid_redirect_uri)",
            "Ask the server's owner for a software statement without a redirect URI, since no person \
             signs in here.",
        ),
        Refusal::InvalidClientMetadata => refuse(
            "requires more data about the client (invalid_client_metadata)",
            "Ask the server's owner for a software statement with that data.",
        ),
        Refusal::InvalidSoftwareStatement => refuse(
            "does not accept the software statement (invalid_software_statement)",
            &format!("Ask the server's owner for a new one, and put it into {statement}."),
        ),
        Refusal::UnapprovedSoftwareStatement => refuse(
            "has not approved the software statement (unapproved_software_statement)",
            &format!("Ask the server's owner to approve the one in {statement}."),
        ),
    }
}
