//! The syntax of single values, which the file, the flags and the environment share.

use std::{net::SocketAddr, path::PathBuf};

use http::{HeaderName, HeaderValue};

use super::{
    Listen, ResolveOverride, ServiceUrl, ValueError,
    values::{Word, is_host_name},
};

/// The longest path of a Unix socket: the kernel's `sockaddr_un` without the final NUL.
const LONGEST_SOCKET_PATH: usize = 107;

/// `127.0.0.1:8080`, `[::1]:8080` or `unix:/path.sock`.
pub(super) fn listen(text: &str) -> Result<Listen, ValueError> {
    let Some(path) = text.strip_prefix("unix:") else {
        let address = socket_address(text)?;
        return Ok(Listen::Tcp {
            address,
            optional: false,
        });
    };
    if cfg!(windows) {
        return Err(ValueError::new(
            "the proxy has no Unix sockets on Windows",
            "write an address such as 127.0.0.1:8080",
        ));
    }
    if !path.starts_with('/') || path.ends_with('/') || path.chars().any(char::is_control) {
        return Err(ValueError::new(
            "the Unix socket has no absolute path",
            "write it as unix:/run/ahds-proxy.sock",
        ));
    }
    if path.len() > LONGEST_SOCKET_PATH {
        return Err(ValueError::new(
            format!("the Unix socket's path is longer than {LONGEST_SOCKET_PATH} bytes"),
            "choose a shorter one, such as unix:/run/ahds-proxy.sock",
        ));
    }
    Ok(Listen::Unix(PathBuf::from(path)))
}

/// An address, or `off`.
pub(super) fn admin(text: &str) -> Result<Option<SocketAddr>, ValueError> {
    if text == "off" {
        return Ok(None);
    }
    let address = socket_address(text).map_err(|error| ValueError {
        remedy: format!("{}, or \"off\"", error.remedy),
        ..error
    })?;
    Ok(Some(address))
}

fn socket_address(text: &str) -> Result<SocketAddr, ValueError> {
    text.parse().map_err(|_| {
        let port = match text.split_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => port,
            None if text.parse::<u16>().is_ok() => text,
            _ => "8080",
        };
        ValueError::new(
            format!("`{}` is not an IP address with a port", text.escape_debug()),
            format!("write it as 127.0.0.1:{port} or [::1]:{port}"),
        )
    })
}

/// One of a few words.
pub(super) fn word<T: Word>(text: &str) -> Result<T, ValueError> {
    let found = T::WORDS.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = T::WORDS
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        ValueError::new(
            format!("`{}` is not one of the allowed values", text.escape_debug()),
            format!("write {}", words.join(" or ")),
        )
    })
}

/// A level, or `target=level` directives separated by commas.
pub(super) fn log_filter(text: &str) -> Result<String, ValueError> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |word: &str| LEVELS.iter().any(|l| l.eq_ignore_ascii_case(word));
    let is_target = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_:-".contains(&b))
    };
    let mut directives = Vec::new();
    for directive in text.split(',').map(str::trim).filter(|d| !d.is_empty()) {
        let valid = match directive.split_once('=') {
            // A single word that is not a level is more often a misspelt level than a target.
            None => is_level(directive),
            Some((target, level)) => is_target(target) && is_level(level),
        };
        if !valid {
            return Err(ValueError::new(
                format!("`{}` is not a valid log filter", directive.escape_debug()),
                "write off, error, warn, info, debug or trace, or target=level directives \
                 separated by commas, for example \"info,ahds_proxy=debug\"",
            ));
        }
        directives.push(directive);
    }
    if directives.is_empty() {
        return Err(ValueError::new("the log filter is empty", "write \"info\""));
    }
    Ok(directives.join(","))
}

/// A host name or address without scheme and port, in lower case.
pub(super) fn host(text: &str) -> Result<String, ValueError> {
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .unwrap_or(text);
    if is_host_name(bare) || bare.parse::<std::net::Ipv6Addr>().is_ok() {
        return Ok(bare.to_ascii_lowercase());
    }
    Err(ValueError::new(
        format!("`{}` is not a valid host name", text.escape_debug()),
        "write the whole name without scheme, port, path or `*`, for example fhir.example.org",
    ))
}

/// Whether a text is a loopback host, with or without a port.
fn is_loopback_name(text: &str) -> bool {
    ServiceUrl::parse(&format!("http://{text}")).is_ok_and(|url| url.is_loopback())
}

/// A browser origin, in lower case. Desktop applications that are built of web pages have schemes
/// of their own.
pub(super) fn origin(text: &str) -> Result<String, ValueError> {
    let text = text.strip_suffix('/').unwrap_or(text);
    if text == "*" {
        return Err(ValueError::new(
            "`*` would let every web page use your token",
            "list each origin, for example [\"http://localhost:3000\"]",
        ));
    }
    if !text.contains("://") && is_loopback_name(text) {
        return Err(ValueError::new(
            format!("`{text}` is not an origin, since its scheme is missing"),
            format!("write http://{text}, or https:// if the page is served by TLS"),
        ));
    }
    if let Some((scheme, host)) = text.split_once("://")
        && !["http", "https", "file"].contains(&&*scheme.to_ascii_lowercase())
    {
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let is_host = !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte));
        if is_scheme && is_host {
            return Ok(text.to_ascii_lowercase());
        }
    }
    let url = ServiceUrl::parse(text)?;
    if !url.base_path().is_empty() {
        return Err(ValueError::new(
            "an origin has no path",
            format!("write {}", url.origin()),
        ));
    }
    Ok(url.origin().to_ascii_lowercase())
}

/// One `"host:port" = "ip:port"`.
pub(super) fn resolve_override(from: &str, to: &str) -> Result<ResolveOverride, ValueError> {
    let invalid = || {
        ValueError::new(
            format!("`{}` is not a host with a port", from.escape_debug()),
            "write \"host:port\" = \"ip:port\", for example \"login.example:443\" = \"127.0.0.1:9443\"",
        )
    };
    let (name, port) = from.rsplit_once(':').ok_or_else(invalid)?;
    let host = host(name).map_err(|_| invalid())?;
    let port = port.parse().ok().filter(|p| *p != 0).ok_or_else(invalid)?;
    let address = socket_address(to)?;
    if address.port() == 0 {
        return Err(ValueError::new(
            "port 0 is not a valid target",
            "write its port",
        ));
    }
    Ok(ResolveOverride {
        host,
        port,
        address,
    })
}

/// The headers that a route may not set: those that the proxy sets, and those of the connection and
/// of the body's length.
const RESERVED_HEADERS: [&str; 14] = [
    "authorization",
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A header for every request of a route. The error never repeats the value, which may be a key.
pub(super) fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), ValueError> {
    let parsed = HeaderName::try_from(name).map_err(|_| {
        ValueError::new(
            format!("`{}` is not a valid header name", name.escape_debug()),
            "write letters, digits and `-`",
        )
    })?;
    if RESERVED_HEADERS.contains(&parsed.as_str()) {
        return Err(ValueError::new(
            format!("the header `{parsed}` is set by the proxy itself"),
            if parsed == http::header::AUTHORIZATION {
                "remove it, and choose a credential for the route with `credential = \"NAME\"`"
            } else {
                "leave it out"
            },
        ));
    }
    if value.chars().any(char::is_control) {
        return Err(ValueError::new(
            format!(
                "the value of the header `{parsed}` contains a control character or line break"
            ),
            "write it on one line",
        ));
    }
    let mut value = HeaderValue::try_from(value).map_err(|_| {
        ValueError::new(
            format!("the value of the header `{parsed}` cannot be sent"),
            "write visible ASCII characters",
        )
    })?;
    value.set_sensitive(super::mask::is_telling(parsed.as_str()));
    Ok((parsed, value))
}

/// The base URL of an instance metadata service. Plain http is allowed on link-local addresses, too.
pub(super) fn metadata_url(text: &str) -> Result<ServiceUrl, ValueError> {
    let url = ServiceUrl::parse(text)?;
    if url.is_link_local() {
        return Ok(url);
    }
    ServiceUrl::parse_secure(text)
}

/// Text that becomes another program's argument or a form field.
pub(super) fn argument(text: &str) -> Result<String, ValueError> {
    if text.is_empty() || text.starts_with('-') || text.chars().any(char::is_control) {
        return Err(ValueError::new(
            "the value is empty, starts with `-` or contains a control character",
            "copy it as the provider shows it",
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_addresses() {
        for text in [
            "127.0.0.1:0",
            "[::1]:8080",
            "0.0.0.0:80",
            "unix:/run/x.sock",
        ] {
            assert!(listen(text).is_ok(), "{text}");
        }
        let long = format!("unix:/{}", "x".repeat(120));
        for text in [
            "",
            "8080",
            ":8080",
            "localhost:8080",
            "127.0.0.1",
            "::1:8080",
            "unix:",
            "unix:x",
            "unix:/",
            "127.0.0.1:65536",
            "http://127.0.0.1:80",
            &long,
        ] {
            assert!(listen(text).is_err(), "{text}");
        }
        let remedy = listen("localhost:9000").expect_err("refused").remedy;
        assert!(remedy.contains("127.0.0.1:9000"), "{remedy}");
    }

    #[test]
    fn reads_log_filters() {
        assert_eq!(
            log_filter("info, hyper=off,").as_deref(),
            Ok("info,hyper=off")
        );
        for text in ["", ",", "inof", "hyper", "a=b", "=info", "a[b]=info"] {
            assert!(log_filter(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_hosts_and_origins() {
        assert_eq!(host("FHIR.Example.org").as_deref(), Ok("fhir.example.org"));
        assert_eq!(host("[::1]").as_deref(), Ok("::1"));
        for text in ["", "*", "*.example.org", "https://h", "h:80", "h/", "h."] {
            assert!(host(text).is_err(), "{text}");
        }
        assert_eq!(
            origin("HTTPS://App.Example:8443/").as_deref(),
            Ok("https://app.example:8443")
        );
        for text in [
            "chrome-extension://aapbdbdomjkkjkaonfhkkikfgjllcleb",
            "moz-extension://0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
            "vscode-webview://0abc",
            "tauri://localhost",
            "app://obsidian.md",
            "capacitor://localhost",
        ] {
            assert_eq!(origin(text).as_deref(), Ok(text));
            assert_eq!(origin(&format!("{text}/")).as_deref(), Ok(text));
        }
        for text in [
            "*",
            "null",
            "app.example",
            "https://h/x",
            "https://*.h",
            "app://",
            "app://a/b",
            "app://*",
            "1a://b",
            "file://",
            "file://a",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_resolve_overrides() {
        let found = resolve_override("[::1]:443", "127.0.0.1:9").expect("valid");
        assert_eq!((found.host.as_str(), found.port), ("::1", 443));
        for (from, to) in [
            ("h", "127.0.0.1:9"),
            ("h:0", "127.0.0.1:9"),
            ("h:443", "127.0.0.1"),
            ("h:443", "127.0.0.1:0"),
            ("h:443", "other:443"),
            ("https://h:443", "127.0.0.1:9"),
        ] {
            assert!(resolve_override(from, to).is_err(), "{from} {to}");
        }
    }

    #[test]
    fn refuses_headers_that_are_the_proxys_own() {
        assert!(header("X-MS-AZUREFHIR-AUDIT-SITE", "lab-3").is_ok());
        for name in RESERVED_HEADERS {
            assert!(header(&name.to_uppercase(), "x").is_err(), "{name}");
        }
        for (name, value) in [
            ("", "x"),
            ("a b", "x"),
            ("X-A", "a\r\nX-B: c"),
            ("X-A", "\0"),
        ] {
            assert!(header(name, value).is_err(), "{name:?} {value:?}");
        }
        let error = header("X-A", "hunter2\n").expect_err("refused").to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert!(header("api-key", "x").expect("valid").1.is_sensitive());
    }
}
