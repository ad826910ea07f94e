//! Values that are one of a few words, and fixed addresses of hosts.

use std::net::SocketAddr;

/// The kind of service behind a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    /// A FHIR service.
    Fhir,
    /// A DICOM service.
    Dicom,
    /// Any other HTTP service.
    Http,
}

impl RouteKind {
    /// As written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fhir => "fhir",
            Self::Dicom => "dicom",
            Self::Http => "http",
        }
    }
}

/// The HTTP version spoken towards an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HttpVersion {
    /// By ALPN: HTTP/2 where the upstream offers it, else HTTP/1.1.
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `"host:port" = "ip:port"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveOverride {
    /// In lower case, IPv6 without brackets.
    pub host: String,
    /// The port as the URL has it (443 by default for https).
    pub port: u16,
    /// Where to connect instead.
    pub address: SocketAddr,
}
