//! `oauth2-client-credentials`: a client of any OAuth 2.0 server (RFC 6749, section 4.4).

use http::{HeaderName, HeaderValue};

use super::{
    keys::{Keys, argument, endpoint},
    kind::{Kind, SignIn},
};
use crate::config::{
    EndpointUrl, SecretRef, grammar,
    report::{At, Report},
    secrets::secret,
    walk::Item,
};

pub(in crate::config) const KIND: Kind = Kind {
    name: "oauth2-client-credentials",
    required: Some("token_url, and either client_id and client_secret or registration"),
    needs_audience: false,
    harmless: &["token_url", "client_id", "scope", "resource", "auth", "url"],
    sign_in: SignIn::Elsewhere,
};

/// Keys of `oauth2-client-credentials`.
#[derive(Debug, Clone)]
pub struct OAuth2 {
    /// The token endpoint; https, or http on loopback.
    pub token_url: EndpointUrl,
    /// The client. `None` where only a registration can give one.
    pub client: Option<OAuth2Client>,
    /// The registration that gives a client id and secret when there are none, or when they are refused.
    pub registration: Option<Registration>,
    /// The form's `scope`.
    pub scope: Option<String>,
    /// The form's `resource` (RFC 8707).
    pub resource: Option<String>,
    /// Where the client's id and secret go.
    pub auth: ClientAuth,
    /// Set on every request to the token endpoint and to the registration endpoint.
    pub headers: Vec<(HeaderName, HeaderText)>,
    /// Added to the form.
    pub parameters: Vec<(String, Text)>,
}

/// A client that an OAuth 2.0 server knows.
#[derive(Debug, Clone)]
pub struct OAuth2Client {
    /// The client's id.
    pub id: String,
    /// The client's secret, read at each token request.
    pub secret: SecretRef,
}

/// How a client registers itself (RFC 7591).
#[derive(Debug, Clone)]
pub struct Registration {
    /// The registration endpoint; https, or http on loopback.
    pub url: EndpointUrl,
    /// The statement that the server's owner issued, read at each registration.
    pub software_statement: SecretRef,
}

/// Where a client's id and secret go (RFC 6749, section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Into the form.
    Body,
    /// Into an `Authorization: Basic` header.
    Basic,
}

/// A form field: plain text, or a secret by reference.
#[derive(Debug, Clone)]
pub enum Text {
    /// As written.
    Plain(String),
    /// Read at each use.
    Secret(SecretRef),
}

/// A header: plain text, or a secret by reference.
#[derive(Debug, Clone)]
pub enum HeaderText {
    /// As written.
    Plain(HeaderValue),
    /// Read at each use.
    Secret(SecretRef),
}

/// Fields the credential itself writes: none may come twice (RFC 6749, section 3.2).
const OWN_PARAMETERS: [(&str, &str); 5] = [
    ("client_id", "write it as the credential's `client_id`"),
    (
        "client_secret",
        "write it as the credential's `client_secret`",
    ),
    ("grant_type", "leave it out: it is client_credentials"),
    ("resource", "write it as the credential's `resource`"),
    ("scope", "write it as the credential's `scope`"),
];

pub(super) fn read(keys: &mut Keys<'_, '_>) -> Option<Box<OAuth2>> {
    let token_url = keys.need("token_url", endpoint);
    let registration = registration(keys);
    let is_registered = ["client_id", "client_secret"]
        .iter()
        .any(|key| keys.table.has(key));
    // `None` where a key is missing; `Some(None)` where only a registration can tell.
    let client = if is_registered || !keys.table.has("registration") {
        let id = keys.need("client_id", argument);
        let secret = keys.need_secret("client_secret");
        id.zip(secret)
            .map(|(id, secret)| Some(OAuth2Client { id, secret }))
    } else {
        Some(None)
    };
    let scope = keys.read("scope", argument);
    let resource = keys.read("resource", argument);
    let auth = keys.read("auth", |item, report| {
        item.parse(report, |text| {
            grammar::choice(
                text,
                &[("body", ClientAuth::Body), ("basic", ClientAuth::Basic)],
            )
        })
    });
    let headers = keys.read("headers", headers);
    let parameters = keys.read("parameters", parameters);
    Some(Box::new(OAuth2 {
        token_url: token_url?,
        client: client?,
        registration,
        scope,
        resource,
        auth: auth.unwrap_or(ClientAuth::Body),
        headers: headers.unwrap_or_default(),
        parameters: parameters.unwrap_or_default(),
    }))
}

fn registration(keys: &mut Keys<'_, '_>) -> Option<Registration> {
    let (url, statement) = keys.read("registration", |item, report| {
        let mut table = item.table(report)?;
        let url = table.need(report, "url", endpoint);
        let statement = table.need(report, "software_statement", secret);
        table.finish(report);
        Some((url?.value, statement?))
    })?;
    Some(Registration {
        url,
        software_statement: keys.remember("registration.software_statement", statement, false),
    })
}

fn headers(item: &Item<'_>, report: &mut Report) -> Option<Vec<(HeaderName, HeaderText)>> {
    texts(item, report, |name, item, report| {
        let plain = item.is_string();
        let text = if plain { item.str(report)? } else { "" };
        let (header, value) =
            report.accept(name.place, &item.key, grammar::header(name.value, text))?;
        let value = if plain {
            HeaderText::Plain(value)
        } else {
            HeaderText::Secret(secret(item, report)?)
        };
        Some((header, value))
    })
}

fn parameters(item: &Item<'_>, report: &mut Report) -> Option<Vec<(String, Text)>> {
    texts(item, report, |name, item, report| {
        if let Some((own, remedy)) = OWN_PARAMETERS.iter().find(|(own, _)| *own == name.value) {
            let message = format!("`{}`: the credential itself sends `{own}`", item.key);
            report.refuse(name.place, message, *remedy);
            return None;
        }
        let value = if item.is_string() {
            Text::Plain(item.str(report)?.to_owned())
        } else {
            Text::Secret(secret(item, report)?)
        };
        Some((name.value.to_owned(), value))
    })
}

/// Every entry of a table whose keys the user chooses; none where one was refused.
fn texts<T>(
    item: &Item<'_>,
    report: &mut Report,
    mut read: impl FnMut(&At<&str>, &Item<'_>, &mut Report) -> Option<T>,
) -> Option<Vec<T>> {
    let table = item.table(report)?;
    // Collected first, so that every entry's problem is noted.
    let read: Vec<Option<T>> = table
        .entries()
        .map(|(name, item)| read(&name, &item, report))
        .collect();
    read.into_iter().collect()
}
