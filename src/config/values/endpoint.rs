//! The address of a single endpoint, such as one that issues tokens.

use std::fmt;

use http::Uri;

use super::{ServiceUrl, ValueError};

/// An absolute URL that receives secrets: https, or http on loopback. Unlike a [`ServiceUrl`], it is
/// kept byte for byte, since a slash at its end may be another endpoint, and assertions name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointUrl {
    text: String,
    uri: Uri,
}

impl EndpointUrl {
    /// Reads an absolute URL without user info, query and fragment.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        ServiceUrl::parse_secure(text)?;
        let uri = text.parse().map_err(|_| {
            ValueError::new("the URL cannot be sent", "write it as https://HOST/PATH")
        })?;
        Ok(Self {
            text: text.to_owned(),
            uri,
        })
    }

    /// The URL as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL to which requests are sent.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The host without the port.
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_every_byte() {
        for text in [
            "https://login.example",
            "https://login.example/o/token/",
            "https://Login.Example:443/a%2Fb",
            "http://127.0.0.1:8080/token",
        ] {
            let url = EndpointUrl::parse(text).expect("a URL");
            assert_eq!(url.as_str(), text);
            assert_eq!(url.uri().path().trim_start_matches('/'), {
                let (_, rest) = text.split_once("://").expect("a scheme");
                rest.split_once('/').map_or("", |(_, path)| path)
            });
        }
    }

    #[test]
    fn takes_no_secret_over_plain_http_beyond_loopback() {
        for text in [
            "http://login.example/token",
            "https://u:p@login.example/token",
            "https://login.example/token?key=1",
            "ftp://login.example/token",
            "/token",
        ] {
            assert!(EndpointUrl::parse(text).is_err(), "{text}");
        }
    }
}
