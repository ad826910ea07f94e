//! The host and port that a connection leads to.

use std::fmt;

use http::{
    HeaderValue, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};

/// Scheme, host and port of a server (RFC 9110, section 4.3.1).
#[derive(Debug, Clone)]
pub struct Origin {
    scheme: Scheme,
    authority: Authority,
    host_header: HeaderValue,
    /// The host in lower case, an IPv6 address without brackets.
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of `https://authority` or `http://authority`.
    #[expect(clippy::missing_panics_doc, reason = "no authority is refused")]
    pub fn new(scheme: Scheme, authority: Authority) -> Self {
        let default_port = if scheme == Scheme::HTTPS { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default_port);
        // The default port is omitted (RFC 9110, section 4.2.3).
        let host_header = if port == default_port {
            HeaderValue::from_str(authority.host())
        } else {
            HeaderValue::from_str(authority.as_str())
        };
        Self {
            host: authority
                .host()
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_ascii_lowercase(),
            host_header: host_header.expect("an authority is visible ASCII"),
            port,
            scheme,
            authority,
        }
    }

    /// The origin of a URI. `None` if the URI is not absolute.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        Some(Self::new(uri.scheme()?.clone(), uri.authority()?.clone()))
    }

    pub(super) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    pub(super) fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The `Host` of an HTTP/1.1 request.
    pub(super) fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    /// An absolute URI, as HTTP/2 and name resolution need it.
    pub(super) fn uri(&self, target: &PathAndQuery) -> Uri {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(target.clone());
        Uri::from_parts(parts).expect("scheme, authority and path make a URI")
    }
}

/// Host and port.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}
