//! The headers that do not pass, and those that the proxy sets. All other headers pass unchanged in
//! both directions.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{self, Entry},
};

use crate::upstream;

/// Gives a document an opaque origin, and forbids scripts and forms (w3.org/TR/CSP3).
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox");
const NO_SNIFFING: HeaderValue = HeaderValue::from_static("nosniff");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// Removes the headers that must not reach the upstream: the client's own credentials, headers
/// between proxies, and those of the client's connection (RFC 9110, section 7.6.1).
pub(super) fn strip_request(headers: &mut HeaderMap) {
    let wants_trailers =
        list(headers, header::TE).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
    strip(headers, is_unwanted);
    if wants_trailers {
        headers.insert(header::TE, TRAILERS);
    }
}

/// Removes trailers that would not pass as headers, and those that have a meaning only before the
/// body (RFC 9110, section 6.5.1).
pub(super) fn strip_trailers(trailers: &mut HeaderMap) {
    strip(trailers, |name| {
        is_unwanted(name) || is_of_the_message(name) || speaks_of_its_origin(name)
    });
}

/// Removes the headers of the upstream's connection, those that a browser would apply to the
/// proxy's address, and a `Content-Length` where none is allowed (RFC 9110, section 8.6). HTTP/2
/// clients reject a 204 with a `Content-Length`.
pub(super) fn strip_response(status: StatusCode, headers: &mut HeaderMap) {
    strip(headers, |name| {
        is_hop_by_hop(name) || speaks_of_its_origin(name)
    });
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        headers.remove(header::CONTENT_LENGTH);
    }
}

/// Sandboxes a stored document that is opened at the proxy's address. Without this, a script in it
/// would have the proxy's origin, and could read every patient. Browsers still show images and PDF.
pub(super) fn sandbox(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_SECURITY_POLICY, SANDBOX);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFFING);
}

/// Tells the client that its connection takes no other request (RFC 9112, section 9.6).
pub(super) fn announce_end(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
}

/// Whether `Cache-Control` has `no-transform` (RFC 9111, section 5.2.2.6).
pub(super) fn forbids_transformation(headers: &HeaderMap) -> bool {
    list(headers, header::CACHE_CONTROL)
        .any(|directive| directive.eq_ignore_ascii_case(b"no-transform"))
}

/// Removes all headers with an unwanted name. One pass over the present headers is cheaper than a
/// look-up for each unwanted name.
pub(super) fn remove_all(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    for name in names(headers, unwanted) {
        headers.remove(name);
    }
}

fn strip(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let mut names = names(headers, unwanted);
    if names.contains(&header::CONNECTION) {
        names.extend(named_by_connection(headers));
    }
    for name in names {
        if let Entry::Occupied(entry) = headers.entry(name) {
            entry.remove_entry_mult();
        }
    }
}

fn names(headers: &HeaderMap, wanted: impl Fn(&HeaderName) -> bool) -> Vec<HeaderName> {
    headers
        .keys()
        .filter(|name| wanted(name))
        .cloned()
        .collect()
}

/// The headers that `Connection` names.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    list(headers, header::CONNECTION)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect()
}

/// The members of a list header, in all of its fields (RFC 9110, section 5.6.1).
pub(super) fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    headers.get_all(name).iter().flat_map(upstream::members)
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONNECTION | header::TE | header::TRANSFER_ENCODING | header::UPGRADE
    ) || matches!(
        name.as_str(),
        "keep-alive"
            | "http2-settings"
            | "proxy-authenticate"
            | "proxy-authentication-info"
            | "proxy-connection"
    )
}

/// Whether a header must not reach the upstream. An underscore counts as a hyphen, since gateways
/// that pass headers on as variables do not distinguish the two (RFC 3875, section 4.1.18).
fn is_unwanted(name: &HeaderName) -> bool {
    match with_hyphens(name) {
        None => is_hop_by_hop(name) || is_private(name) || is_override(name),
        Some(name) => name == header::CONTENT_LENGTH || is_unwanted(&name),
    }
}

/// The name with hyphens in place of underscores. `None` for a name without underscores.
fn with_hyphens(name: &HeaderName) -> Option<HeaderName> {
    let name = name.as_str();
    let plain = name.contains('_').then(|| name.replace('_', "-"))?;
    HeaderName::try_from(plain).ok()
}

fn is_private(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::AUTHORIZATION | header::COOKIE | header::FORWARDED | header::HOST | header::EXPECT
    ) || name.as_str().starts_with("x-forwarded")
        || name.as_str().starts_with("proxy-")
}

/// Whether some gateways take the method or URL of a request from this header. No list of such
/// headers is complete, but their names are alike.
pub(super) fn is_override(name: &HeaderName) -> bool {
    if let Some(name) = with_hyphens(name) {
        return is_override(&name);
    }
    let name = name.as_str();
    // This test excludes most names, and costs less than a search in the name.
    b"-hmx".contains(&name.as_bytes()[0])
        && (name.contains("override")
            || name.contains("-original-")
            || name.contains("rewrite-")
            || name.starts_with("x-http-")
            || matches!(
                name,
                "-method" | "x-method" | "x-request-uri" | "x-waws-unencoded-url"
            ))
}

/// Whether a browser applies a header to the whole origin or host that it called: to all routes of
/// the proxy, or to all servers on this host.
fn speaks_of_its_origin(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::ALT_SVC
            | header::CONTENT_SECURITY_POLICY_REPORT_ONLY
            | header::REFRESH
            | header::SET_COOKIE
            | header::STRICT_TRANSPORT_SECURITY
            | header::PUBLIC_KEY_PINS
            | header::PUBLIC_KEY_PINS_REPORT_ONLY
    ) || matches!(
        name.as_str(),
        "accept-ch"
            | "activate-storage-access"
            | "attribution-reporting-register-source"
            | "attribution-reporting-register-trigger"
            | "clear-site-data"
            | "critical-ch"
            | "expect-ct"
            | "login-status"
            | "nel"
            | "observe-browsing-topics"
            | "origin-agent-cluster"
            | "origin-trial"
            | "report-to"
            | "reporting-endpoints"
            | "sec-session-registration"
            | "secure-session-registration"
            | "service-worker-allowed"
            | "set-cookie2"
            | "set-login"
            | "sourcemap"
            | "speculation-rules"
            | "supports-loading-mode"
            | "timing-allow-origin"
            | "use-as-dictionary"
            | "x-permitted-cross-domain-policies"
            | "x-sourcemap"
    ) || name.as_str().starts_with("access-control-")
}

/// Whether a header says how to read and handle a message.
fn is_of_the_message(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CACHE_CONTROL
            | header::CONTENT_ENCODING
            | header::CONTENT_LENGTH
            | header::CONTENT_RANGE
            | header::CONTENT_TYPE
            | header::MAX_FORWARDS
            | header::TRAILER
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            })
    }

    #[test]
    fn drops_what_connection_names_in_every_spelling() {
        let mut headers = map(&[
            ("connection", "Authorization, close"),
            ("connection", "X-SECRET , ,\u{20}X-Other"),
            ("authorization", "Bearer theirs"),
            ("authorization", "Basic theirs"),
            ("x-secret", "1"),
            ("x-other", "2"),
            ("x-kept", "3"),
        ]);
        strip_request(&mut headers);
        assert_eq!(headers, map(&[("x-kept", "3")]));
    }

    #[test]
    fn drops_credentials_and_what_proxies_add() {
        let mut headers = map(&[
            ("authorization", "a"),
            ("cookie", "a"),
            ("forwarded", "a"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-anything", "a"),
            ("proxy-authorization", "a"),
            ("proxy-connection", "a"),
            ("keep-alive", "a"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "a"),
            ("expect", "100-continue"),
            ("host", "localhost"),
        ]);
        strip_request(&mut headers);
        assert!(headers.is_empty(), "{headers:?}");
    }

    #[test]
    fn keeps_what_clients_and_services_tell_each_other() {
        let kept = map(&[
            ("accept", "application/fhir+json"),
            ("if-match", "W/\"1\""),
            ("prefer", "respond-async"),
            ("x-request-id", "1"),
            ("x-ms-profile-validation", "true"),
            ("x-provenance", "{}"),
            ("trailer", "x-checksum"),
        ]);
        let mut headers = kept.clone();
        strip_request(&mut headers);
        assert_eq!(headers, kept);
    }

    #[test]
    fn asks_for_trailers_where_the_client_does() {
        let mut headers = map(&[("te", "gzip, Trailers")]);
        strip_request(&mut headers);
        assert_eq!(headers, map(&[("te", "trailers")]));
    }
}
