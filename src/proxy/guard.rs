//! Decides which callers may use the proxy. A web page that the user happens to visit must not
//! become an authorized caller through a local port, neither by a name that resolves to loopback
//! (DNS rebinding) nor by a cross-site request.

use std::net::{IpAddr, Ipv6Addr};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Version,
    header::{self, HeaderName},
    request::Parts,
    uri::{Authority, Scheme},
};

use super::failure::{self, Failure};
use crate::{config::Security, telemetry::LogLimit};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const REQUEST_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SERVICE_WORKER: HeaderName = HeaderName::from_static("service-worker");

/// The Host and Origin rules of a configuration.
#[derive(Debug)]
pub(crate) struct Guard {
    hosts: Vec<String>,
    origins: Vec<String>,
    /// CONNECT has no response that a client would show.
    log_limit: LogLimit,
}

/// The transport of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Transport {
    /// TCP.
    #[default]
    Plain,
    /// TLS over TCP.
    Tls,
    /// A Unix socket, which no browser can reach.
    Unix,
}

/// The caller of an accepted request.
#[derive(Debug)]
pub(super) enum Caller {
    /// A program, or the user in a browser.
    Local,
    /// A page of an allowed origin, which the response must name.
    Page(HeaderValue),
    /// A CORS preflight of a page of an allowed origin. The proxy responds by itself.
    Preflight(HeaderValue),
}

impl Guard {
    /// Copies the rules.
    pub(crate) fn new(security: &Security) -> Self {
        Self {
            hosts: security.allowed_hosts.clone(),
            origins: security.allowed_origins.clone(),
            log_limit: LogLimit::default(),
        }
    }

    /// Checks the Host and the Origin of a request. `has_pages` is set for a web application behind
    /// the proxy, whose own pages may send it requests.
    pub(super) fn check(
        &self,
        head: &Parts,
        transport: Transport,
        has_pages: bool,
    ) -> Result<Caller, Failure> {
        let name = self.check_host(head, transport)?;
        self.check_origin(head, transport, &name, has_pages)
    }

    /// The response to a request that is not local. It is for the admin address, which is plain HTTP.
    pub(crate) fn refusal(&self, head: &Parts) -> Option<Response<Bytes>> {
        let failure = match self.check(head, Transport::Plain, false) {
            Ok(Caller::Local) => return None,
            Ok(Caller::Page(_) | Caller::Preflight(_)) => Failure::origin_not_allowed(),
            Err(failure) => failure,
        };
        Some(failure.into_response(None))
    }

    /// Checks the name by which the client calls the proxy.
    ///
    /// The name in a target in absolute form (`GET http://localhost/fhir/Patient`) takes precedence
    /// over Host. The Host header must be present and well formed, but its name is ignored (RFC
    /// 9112, section 3.2.2), since it may name a forward proxy in between. A page whose own name
    /// resolves to loopback gains nothing by this: its browser sends that name in the target or in
    /// Host, and the name that the proxy uses, for links too, is the one that is checked here.
    ///
    /// A scheme that the listener does not speak is refused, and so is CONNECT, whose target is
    /// another host. Over HTTP/2 without TLS the scheme may be `https`, since a gateway may have
    /// terminated TLS. Over a Unix socket any name is accepted.
    fn check_host(&self, head: &Parts, transport: Transport) -> Result<Authority, Failure> {
        let is_tls = transport == Transport::Tls;
        let mut hosts = head.headers.get_all(header::HOST).iter();
        let host = hosts.next();
        if hosts.next().is_some() {
            return Err(Failure::malformed_host());
        }
        let host = match host {
            Some(host) => Some(parse(host).ok_or_else(Failure::malformed_host)?),
            None => None,
        };
        let scheme = if is_tls { Scheme::HTTPS } else { Scheme::HTTP };
        let name = match (head.version, head.uri.authority(), host) {
            (Version::HTTP_2, Some(authority), host) => {
                let is_plain = head.uri.scheme() == Some(&Scheme::HTTP);
                if host.is_some_and(|host| host != *authority) || (is_tls && is_plain) {
                    return Err(Failure::host_not_allowed());
                }
                checked(authority.clone()).ok_or_else(Failure::malformed_target)?
            }
            (Version::HTTP_11, _, None) | (_, None, None) => {
                return Err(Failure::malformed_host());
            }
            (_, Some(authority), _) if head.uri.scheme() == Some(&scheme) => {
                checked(authority.clone()).ok_or_else(Failure::malformed_target)?
            }
            (_, Some(_), _) => return Err(self.not_a_forward_proxy()),
            (_, None, Some(host)) => host,
        };
        if transport == Transport::Unix || self.is_ours(&name) {
            Ok(name)
        } else if head.version != Version::HTTP_2 && head.uri.authority().is_some() {
            Err(self.not_a_forward_proxy())
        } else {
            Err(Failure::host_not_allowed())
        }
    }

    /// Refuses a request that a client sends to its HTTP proxy.
    fn not_a_forward_proxy(&self) -> Failure {
        if let Some(suppressed) = self.log_limit.allow() {
            tracing::warn!(
                remedy = failure::CALL_DIRECTLY,
                more_since_last = (suppressed > 0).then_some(suppressed),
                "a client uses this address as its HTTP proxy for another host"
            );
        }
        Failure::not_a_forward_proxy()
    }

    fn is_ours(&self, authority: &Authority) -> bool {
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host();
        is_loopback(host) || self.hosts.iter().any(|allowed| is_named(host, allowed))
    }

    /// Checks the page that sends a request. A browser names the page in Origin. A request without
    /// Origin, such as a GET of the proxy's own page, has Sec-Fetch-Site
    /// (w3.org/TR/fetch-metadata).
    fn check_origin(
        &self,
        head: &Parts,
        transport: Transport,
        name: &Authority,
        has_pages: bool,
    ) -> Result<Caller, Failure> {
        let headers = &head.headers;
        // Most requests come from programs, which send none of these headers. One pass over the
        // names is cheaper than a look-up for each header.
        let has_metadata = headers.keys().any(|name| name.as_str().starts_with("se"));
        if has_metadata
            && (headers.contains_key(SERVICE_WORKER)
                || all(headers, SEC_FETCH_DEST, b"serviceworker"))
        {
            return Err(Failure::service_worker());
        }
        let is_own_page =
            |origin: &[u8]| has_pages && origin == own_origin(transport, name).as_bytes();
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (Some(_), Some(_)) => Err(Failure::origin_not_allowed()),
            (Some(origin), None) => {
                if !self.is_allowed(origin.as_bytes()) && !is_own_page(origin.as_bytes()) {
                    return Err(Failure::origin_not_allowed());
                }
                let is_preflight = head.method == Method::OPTIONS
                    && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
                Ok(if is_preflight {
                    Caller::Preflight(origin.clone())
                } else {
                    Caller::Page(origin.clone())
                })
            }
            (None, _) => {
                let is_harmless = if !has_metadata || !headers.contains_key(SEC_FETCH_SITE) {
                    // Without TLS browsers send these headers only to loopback names.
                    !is_browser(headers)
                        || transport != Transport::Plain
                        || is_loopback(name.host())
                } else if all(headers, SEC_FETCH_SITE, b"none") {
                    // The user typed the address, or opened a bookmark.
                    all(headers, SEC_FETCH_MODE, b"navigate")
                } else if all(headers, SEC_FETCH_SITE, b"same-origin") {
                    has_pages
                        || self.is_allowed(own_origin(transport, name).as_bytes())
                        || all(headers, SEC_FETCH_MODE, b"navigate")
                            && all(headers, SEC_FETCH_DEST, b"document")
                } else {
                    false
                };
                if is_harmless {
                    Ok(Caller::Local)
                } else {
                    Err(Failure::origin_not_allowed())
                }
            }
        }
    }

    fn is_allowed(&self, origin: &[u8]) -> bool {
        let mut allowed = self.origins.iter();
        allowed.any(|allowed| origin.eq_ignore_ascii_case(allowed.as_bytes()))
    }
}

/// Whether a header is present and has this value in each field.
fn all(headers: &HeaderMap, name: HeaderName, value: &[u8]) -> bool {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek().is_some() && values.all(|found| found.as_bytes() == value)
}

/// The origin of the proxy's pages, as a browser that calls the proxy by this name writes it.
fn own_origin(transport: Transport, name: &Authority) -> String {
    let (scheme, port) = match transport {
        Transport::Tls => ("https", ":443"),
        Transport::Plain | Transport::Unix => ("http", ":80"),
    };
    let name = name.as_str().to_ascii_lowercase();
    let name = name.strip_suffix(port).unwrap_or(&name);
    format!("{scheme}://{name}")
}

/// Whether the caller is a browser. Every browser's `User-Agent` begins with this word, and no
/// tool's does.
fn is_browser(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT);
    agent.is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"))
}

/// Compares a host with an allowed one, which has no brackets around an IPv6 address.
fn is_named(host: &str, allowed: &str) -> bool {
    match unbracketed(host) {
        Some(host) => host
            .parse::<Ipv6Addr>()
            .is_ok_and(|host| allowed.parse() == Ok(host)),
        None => host.eq_ignore_ascii_case(allowed),
    }
}

fn unbracketed(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

fn parse(host: &HeaderValue) -> Option<Authority> {
    checked(Authority::try_from(host.as_bytes()).ok()?)
}

/// Returns the authority if its port is valid, which `Authority` does not check.
fn checked(authority: Authority) -> Option<Authority> {
    let port = authority.as_str().strip_prefix(authority.host());
    (authority.as_str().contains('@') || port.is_some_and(is_port)).then_some(authority)
}

/// Whether a text is a port: empty, a colon and a number, or a colon alone (RFC 3986, section
/// 3.2.3).
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit())
                && (port.is_empty() || port.parse::<u16>().is_ok())
        })
}

/// Whether a host is `localhost`, in 127.0.0.0/8 or `[::1]`. `localhost.` with a dot at the end is
/// a DNS name like any other.
fn is_loopback(host: &str) -> bool {
    if host.eq_ignore_ascii_case("localhost") {
        return true;
    }
    match unbracketed(host) {
        Some(address) => address.parse() == Ok(Ipv6Addr::LOCALHOST),
        None => matches!(host.parse(), Ok(IpAddr::V4(address)) if address.is_loopback()),
    }
}

/// The response to a preflight of an allowed origin (fetch.spec.whatwg.org, section 3.3).
pub(super) fn preflight_response(origin: &HeaderValue, request: &HeaderMap) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    allow_origin(headers, origin);
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    if let Some(names) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    if request.contains_key(REQUEST_PRIVATE_NETWORK) {
        headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    headers.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("600"),
    );
    response
}

/// Lets a page of `origin` read a response, whatever the upstream says about origins.
pub(super) fn allow_origin(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.remove(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("*"),
    );
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_loopback_by_every_name() {
        for host in [
            "localhost",
            "LocalHost",
            "127.0.0.1",
            "127.9.8.7",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
        ] {
            assert!(is_loopback(host), "{host}");
        }
        for host in [
            "",
            "localhost.",
            "LOCALHOST.",
            "localhost.evil",
            "evil.localhost.example",
            "127.0.0.1.nip.io",
            "128.0.0.1",
            "0.0.0.0",
            "[::]",
            "[::ffff:127.0.0.1]",
            "::1",
            "2130706433",
            "0x7f000001",
        ] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
