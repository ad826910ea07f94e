//! Values that are one of a few words, and fixed addresses of hosts.

use std::net::SocketAddr;

/// A value that is one of a few words.
pub trait Word: Copy + PartialEq + 'static {
    /// Every value with its word in the configuration.
    const WORDS: &'static [(&'static str, Self)];

    /// The word in the configuration.
    fn as_str(self) -> &'static str {
        let mut words = Self::WORDS.iter();
        words
            .find(|(_, value)| *value == self)
            .map_or("", |(word, _)| word)
    }
}

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
    /// The name of the service's standard, for messages.
    pub fn title(self) -> &'static str {
        match self {
            Self::Fhir => "FHIR",
            Self::Dicom => "DICOM",
            Self::Http => "HTTP",
        }
    }
}

impl Word for RouteKind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("fhir", Self::Fhir),
        ("dicom", Self::Dicom),
        ("http", Self::Http),
    ];
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

impl Word for HttpVersion {
    const WORDS: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("1", Self::Http1), ("2", Self::Http2)];
}

/// Whether links are rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkMode {
    /// Links point to the proxy.
    Rewrite,
    /// Links stay as they are.
    Keep,
}

impl Word for LinkMode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("rewrite", Self::Rewrite), ("keep", Self::Keep)];
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Word for LogFormat {
    const WORDS: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

/// `"host:port" = "ip:port"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveOverride {
    /// In lower case, IPv6 without brackets.
    pub host: String,
    /// The port as the URL has it (443 by default for https).
    pub port: u16,
    /// The address to connect to instead.
    pub address: SocketAddr,
}
