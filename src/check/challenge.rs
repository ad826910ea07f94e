//! Reads the `WWW-Authenticate` of a service (RFC 6750, section 3), as far as it can be understood.

use http::{HeaderMap, header};

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

impl Blame {
    /// Reads the texts of `Microsoft.IdentityModel`, which both services use.
    fn of(description: &str) -> Option<Self> {
        let text = description.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
        if has(&["audience"]) {
            Some(Self::Audience)
        } else if has(&["expired", "lifetime", "not valid before"]) {
            Some(Self::Time)
        } else if has(&["issuer"]) {
            Some(Self::Issuer)
        } else if has(&["signature"]) {
            Some(Self::Signature)
        } else {
            None
        }
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
    let is_id = segment.len() == 36 && segment.bytes().filter(|byte| *byte == b'-').count() == 4;
    is_id.then(|| Tenant::parse(segment).ok())?
}
