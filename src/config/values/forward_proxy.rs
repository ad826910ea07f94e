//! The HTTP proxy of a network, through which connections to other machines go.

use std::{fmt, sync::Arc};

use http::{HeaderValue, Uri, uri::Scheme};
use hyper_util::client::proxy::matcher::Matcher;

use super::{ServiceUrl, ValueError};

/// The value of `network.proxy`.
#[derive(Debug, Clone)]
pub(in crate::config) enum ProxySetting {
    /// The proxy that the environment names, if it names one.
    Env,
    Off,
    Url(ProxyUrl),
}

impl ProxySetting {
    pub(in crate::config) fn parse(text: &str) -> Result<Self, ValueError> {
        match text {
            "env" => Ok(Self::Env),
            "off" => Ok(Self::Off),
            url => ProxyUrl::parse(url)
                .map(Self::Url)
                .map_err(|error| ValueError {
                    remedy: format!("{}; or write \"env\" or \"off\"", error.remedy),
                    ..error
                }),
        }
    }
}

/// The address of an HTTP proxy, and the user name and password for it.
#[derive(Clone)]
pub(in crate::config) struct ProxyUrl {
    /// Without user info and path.
    address: ServiceUrl,
    /// The user info as written, percent-encoded.
    user_info: Option<String>,
}

impl ProxyUrl {
    /// Reads `http://HOST:PORT` or `http://USER:PASSWORD@HOST:PORT`, with or without the scheme. No
    /// error repeats a part of the text, since a mistake may lead to a password.
    pub(in crate::config) fn parse(text: &str) -> Result<Self, ValueError> {
        const EXAMPLE: &str = "write it as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT";
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "https" {
            return Err(ValueError::new(
                "TLS to the HTTP proxy (https://) is not supported; requests through it are encrypted \
                 up to the service",
                "write its address as http://HOST:PORT",
            ));
        }
        if scheme.starts_with("socks") {
            return Err(ValueError::new("SOCKS proxies are not supported", EXAMPLE));
        }
        if scheme != "http" {
            return Err(ValueError::new(
                "the scheme is not that of an HTTP proxy",
                EXAMPLE,
            ));
        }
        let (user_info, address) = match rest.rsplit_once('@') {
            Some((user_info, address)) => (Some(user_info), address),
            None => (None, rest),
        };
        if user_info.is_some_and(|text| !text.chars().all(is_of_user_info)) {
            return Err(ValueError::new(
                "the user name or the password contains a character that a URL cannot have there",
                "percent-encode it, for example @ as %40, / as %2F and # as %23",
            ));
        }
        let address = ServiceUrl::parse(&format!("http://{address}"))
            .ok()
            .filter(|address| address.base_path().is_empty())
            .ok_or_else(|| ValueError::new("this is not the URL of an HTTP proxy", EXAMPLE))?;
        Ok(Self {
            address,
            user_info: user_info.filter(|text| !text.is_empty()).map(str::to_owned),
        })
    }

    pub(in crate::config) fn address(&self) -> &ServiceUrl {
        &self.address
    }

    /// The text that `Matcher` reads.
    fn whole(&self) -> String {
        let authority = self.address.authority();
        match &self.user_info {
            Some(user_info) => format!("http://{user_info}@{authority}"),
            None => format!("http://{authority}"),
        }
    }
}

/// The address alone.
impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.address, f)
    }
}

/// RFC 3986, section 3.2.1.
fn is_of_user_info(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:%".contains(c)
}

/// An HTTP proxy in use. Its text is host and port, without user name and password.
#[derive(Debug, Clone)]
pub struct ForwardProxy {
    address: ServiceUrl,
    /// The proxy, except for the hosts of `NO_PROXY`. Its `Debug` shows no password.
    matcher: Arc<Matcher>,
    authorization: Option<HeaderValue>,
    named_by: &'static str,
}

impl ForwardProxy {
    /// The proxy at `url`, which the key or variable `named_by` names. `exceptions` is the text of
    /// `NO_PROXY`.
    pub(in crate::config) fn new(url: &ProxyUrl, named_by: &'static str, exceptions: &str) -> Self {
        // curl allows spaces between the entries, too. Many programs take `*.example.com` for
        // `.example.com`, which the matcher does not.
        let exceptions: Vec<&str> = exceptions
            .split([',', ' '])
            .map(|entry| match entry.strip_prefix('*') {
                Some(rest) if rest.starts_with('.') => rest,
                _ => entry,
            })
            .collect();
        let matcher = |exceptions: String| {
            let proxy = Matcher::builder().https(url.whole());
            proxy.no(exceptions).build()
        };
        let anywhere = Uri::from_static("https://any.example");
        let intercepted = matcher(String::new()).intercept(&anywhere);
        Self {
            address: url.address.clone(),
            matcher: Arc::new(matcher(exceptions.join(","))),
            authorization: intercepted.and_then(|proxy| proxy.basic_auth().cloned()),
            named_by,
        }
    }

    /// The host, an IPv6 address without brackets.
    pub fn host(&self) -> String {
        self.address.host()
    }

    /// The port. If none is written, 80.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The value of `Proxy-Authorization`, marked as sensitive.
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// The key or variable that names the proxy, for remedies.
    pub fn named_by(&self) -> &'static str {
        self.named_by
    }

    /// Whether connections by TLS to `host` go through the proxy: `NO_PROXY` does not list it.
    pub(in crate::config) fn is_for(&self, host: &str) -> bool {
        let authority = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let uri = Uri::builder()
            .scheme(Scheme::HTTPS)
            .authority(authority)
            .path_and_query("/")
            .build();
        uri.is_ok_and(|uri| self.matcher.intercept(&uri).is_some())
    }
}

/// Host and port.
impl fmt::Display for ForwardProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (host, port) = (self.host(), self.port());
        if host.contains(':') {
            write!(f, "[{host}]:{port}")
        } else {
            write!(f, "{host}:{port}")
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    use super::*;

    fn proxy(text: &str, exceptions: &str) -> ForwardProxy {
        let url = ProxyUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        ForwardProxy::new(&url, "HTTPS_PROXY", exceptions)
    }

    #[test]
    fn reads_the_spellings_of_a_proxy() {
        for (text, address) in [
            ("http://Proxy.Corp:3128", "proxy.corp:3128"),
            ("proxy.corp:3128", "proxy.corp:3128"),
            ("HTTP://proxy.corp:3128/", "proxy.corp:3128"),
            ("http://proxy.corp", "proxy.corp:80"),
            ("http://user:pw@10.0.0.1:8080", "10.0.0.1:8080"),
            ("user@[::1]:8080", "[::1]:8080"),
            ("http://@proxy.corp:1", "proxy.corp:1"),
        ] {
            assert_eq!(proxy(text, "").to_string(), address, "{text}");
        }
    }

    #[test]
    fn decodes_user_name_and_password() {
        for (text, expected) in [
            (
                "http://user:p%40ss%2Fw%C3%B6rd@proxy:1",
                Some("user:p@ss/wörd"),
            ),
            ("http://DOMAIN%5Cuser:a:b@proxy:1", Some("DOMAIN\\user:a:b")),
            ("http://user:100%@proxy:1", Some("user:100%")),
            ("user@proxy:1", Some("user:")),
            ("http://@proxy:1", None),
            ("http://proxy:1", None),
        ] {
            let found = proxy(text, "").authorization().map(|value| {
                assert!(value.is_sensitive(), "{text}");
                let value = value.to_str().expect("ASCII").replace("Basic ", "");
                let decoded = STANDARD.decode(value).expect("base64");
                String::from_utf8(decoded).expect("UTF-8")
            });
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_an_http_proxy_and_repeats_no_password() {
        for text in [
            "",
            "http://",
            "https://user:hunter2@proxy:1",
            "socks5h://user:hunter2@proxy:1",
            "user:hunter2://proxy",
            "http://user:hunter2",
            "http://user:hunter2@",
            "http://user:hunter2@proxy:0",
            "http://user:hunter2@proxy:1/path",
            "http://user:hunter2@proxy:1?query",
            "http://user:hunter2/x@proxy:1",
            "http://user:hunter2#x@proxy:1",
            "http://user:hunter2@x@proxy:1",
            "http://us er:hunter2@proxy:1",
            "http://usér:hunter2@proxy:1",
            "http://proxy:port",
        ] {
            let error = ProxyUrl::parse(text).expect_err(text).to_string();
            assert!(!error.contains("hunter2"), "{text}: {error}");
            let error = ProxySetting::parse(text).expect_err(text);
            assert!(error.remedy.contains("\"off\""), "{text}: {error}");
        }
    }

    #[test]
    fn shows_no_password() {
        let url = ProxyUrl::parse("http://user:hunter2@proxy:1").expect("a proxy");
        let proxy = ForwardProxy::new(&url, "HTTPS_PROXY", "");
        for shown in [format!("{url:?}"), format!("{proxy:?}"), proxy.to_string()] {
            for secret in ["hunter2", "user", "dXNlc"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }

    #[test]
    fn no_proxy_lists_names_wildcards_and_networks() {
        let listed = "localhost, .corp.example 10.1.0.0/16,*.lab.example,plain.example,fd00::/8";
        let found = proxy("proxy:1", listed);
        for (host, is_for) in [
            ("a.fhir.azurehealthcareapis.com", true),
            ("corp.example", false),
            ("a.CORP.example", false),
            ("acorp.example", true),
            ("a.lab.example", false),
            ("plain.example", false),
            ("a.plain.example", false),
            ("notplain.example", true),
            ("10.1.2.3", false),
            ("10.2.2.3", true),
            ("fd00::1", false),
            ("2001:db8::1", true),
        ] {
            assert_eq!(found.is_for(host), is_for, "{host}");
        }
        assert!(!proxy("proxy:1", "*").is_for("a.example"));
    }
}
