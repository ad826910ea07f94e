//! Reads the `WWW-Authenticate` of a service (RFC 6750, section 3), as far as it can be understood.

use http::{HeaderMap, header};
use uuid::fmt::Hyphenated;

use crate::config::Tenant;

/// The parts of a challenge that are understood. Its text is never shown, since a service may quote
/// the token in it.
#[derive(Debug, Default)]
pub(super) struct Challenge {
    /// The tenant in `authorization_uri`.
    pub(super) tenant: Option<Tenant>,
    pub(super) blames: Option<Blame>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    Audience,
    Time,
    Issuer,
    Signature,
}

impl Challenge {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::WWW_AUTHENTICATE);
        let texts = values.iter().filter_map(|value| value.to_str().ok());
        let text = texts.collect::<Vec<_>>().join(", ");
        let description = parameter(&text, "error_description").unwrap_or_default();
        Self {
            tenant: parameter(&text, "authorization_uri").and_then(tenant_of),
            blames: Blame::of(description),
        }
    }

    /// Whether the service names this cause, or names none.
    pub(super) fn may_mean(&self, blame: Blame) -> bool {
        self.blames.is_none_or(|blamed| blamed == blame)
    }
}

/// The words in the messages of `Microsoft.IdentityModel`, which both services use.
const WORDS: [(&str, Blame); 6] = [
    ("audience", Blame::Audience),
    ("expired", Blame::Time),
    ("lifetime", Blame::Time),
    ("not valid before", Blame::Time),
    ("issuer", Blame::Issuer),
    ("signature", Blame::Signature),
];

impl Blame {
    fn of(description: &str) -> Option<Self> {
        let text = description.to_ascii_lowercase();
        let found = WORDS.iter().find(|(word, _)| text.contains(word));
        found.map(|(_, blame)| *blame)
    }
}

/// The value of `name="…"`.
fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// The first segment of an authority's path, if it is a tenant's id. A token names its tenant only
/// by the id, so a name could not be compared.
fn tenant_of(url: &str) -> Option<Tenant> {
    let (_, rest) = url.split_once("://")?;
    let segment = rest.split('/').nth(1)?;
    segment.parse::<Hyphenated>().ok()?;
    Tenant::parse(segment).ok()
}
