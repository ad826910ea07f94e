//! `oauth2-client-credentials`: a client of any OAuth 2.0 server (RFC 6749, section 4.4).

use http::{HeaderName, HeaderValue};

use super::kind::{Kind, SignIn};
use crate::config::{
    EndpointUrl, SecretRef, grammar,
    keys::{Keys, Value, argument, keys},
    report::Report,
    secrets::secret,
    values::Word,
    walk::{Item, Table},
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
    /// The client. `None` if only a registration can provide one.
    pub client: Option<OAuth2Client>,
    /// The registration that provides a client id and secret if there are none, or if they are refused.
    pub registration: Option<Registration>,
    /// The form's `scope`.
    pub scope: Option<String>,
    /// The form's `resource` (RFC 8707).
    pub resource: Option<String>,
    /// The part of the request that carries the client's id and secret.
    pub auth: ClientAuth,
    /// Set on every request to the token endpoint and to the registration endpoint.
    pub headers: Vec<(HeaderName, HeaderText)>,
    /// Added to the form.
    pub parameters: Vec<(String, Text)>,
}

keys! {
    /// A client that an OAuth 2.0 server knows.
    #[derive(Debug, Clone)]
    pub struct OAuth2Client {
        /// The client's id.
        pub client_id: String as argument,
        /// The client's secret, read at each token request.
        pub client_secret: SecretRef,
    }
}

keys! {
    /// The way a client registers itself (RFC 7591).
    #[derive(Debug, Clone)]
    pub struct Registration {
        /// The registration endpoint; https, or http on loopback.
        pub url: EndpointUrl,
        /// The statement that the server's owner issued, read at each registration.
        pub software_statement: SecretRef,
    }
}

/// The part of a token request that carries the client's id and secret (RFC 6749, section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// The form in the body.
    Body,
    /// An `Authorization: Basic` header.
    Basic,
}

impl Word for ClientAuth {
    const WORDS: &'static [(&'static str, Self)] = &[("body", Self::Body), ("basic", Self::Basic)];
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

/// Fields that the credential writes itself, since none may appear twice (RFC 6749, section 3.2).
const OWN_PARAMETERS: [(&str, &str); 5] = [
    ("client_id", "write it as the credential's `client_id`"),
    (
        "client_secret",
        "write it as the credential's `client_secret`",
    ),
    (
        "grant_type",
        "remove it: the credential always sends client_credentials",
    ),
    ("resource", "write it as the credential's `resource`"),
    ("scope", "write it as the credential's `scope`"),
];

impl Keys for OAuth2 {
    fn read_from(table: &mut Table<'_>, report: &mut Report) -> Option<Self> {
        let token_url = table.key(report, "token_url", Value::read);
        let registration = table.key(report, "registration", Value::read)?;
        let is_registered = table.has("client_id") || table.has("client_secret");
        // `None` if a key is missing. `Some(None)` if a registration provides both.
        let client = if is_registered || !table.has("registration") {
            OAuth2Client::read_from(table, report).map(Some)
        } else {
            Some(None)
        };
        let scope = table.key(report, "scope", argument)?;
        let resource = table.key(report, "resource", argument)?;
        let auth = table.read(report, "auth", Value::read);
        let headers = table.read(report, "headers", headers);
        let parameters = table.read(report, "parameters", parameters);
        Some(Self {
            token_url: token_url?,
            client: client?,
            registration,
            scope,
            resource,
            auth: auth.or(ClientAuth::Body),
            headers: headers.or(Vec::new()),
            parameters: parameters.or(Vec::new()),
        })
    }
}

fn headers(item: &Item<'_>, report: &mut Report) -> Option<Vec<(HeaderName, HeaderText)>> {
    item.each_entry(report, |name, item, report| {
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
    item.each_entry(report, |name, item, report| {
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
