//! A service that asks for more than a token: a claims challenge
//! (learn.microsoft.com/entra/identity-platform/claims-challenge).

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::route::Route;

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Tells the user what a refusal asks for, beside the refusal itself, which goes through unchanged.
/// No `error` is named there (RFC 9209, section 2.1): the answer is the service's.
pub(super) fn explain(route: &Route, headers: &mut HeaderMap) {
    if !is_claims_challenge(headers) {
        return;
    }
    let scope = route
        .source
        .audience()
        .map_or_else(String::new, |audience| {
            format!(" --scope {audience}/.default")
        });
    let details = format!(
        "the service wants a sign-in that satisfies another policy (a claims challenge); as a user, \
         run: az logout, then az login{scope}; as an application, ask an administrator"
    );
    tracing::warn!(route = &*route.name, "{details}");
    // An audience has no character that would end the string.
    if let Ok(value) = HeaderValue::from_str(&format!("ahds-proxy; details=\"{details}\"")) {
        headers.append(PROXY_STATUS, value);
    }
}

fn is_claims_challenge(headers: &HeaderMap) -> bool {
    let challenges = headers.get_all(header::WWW_AUTHENTICATE);
    challenges.iter().any(|challenge| {
        challenge
            .to_str()
            .is_ok_and(|challenge| challenge.contains("insufficient_claims"))
    })
}
