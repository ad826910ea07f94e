//! The URL of a service. It has only the parts that the proxy can forward to without guessing.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use http::{
    Uri,
    uri::{Authority, Scheme},
};

use super::{
    ValueError,
    characters::{self, shown},
    host_name, pasted,
};

/// Hosts below these names belong to Azure Health Data Services (public, US Government, China).
const AZURE_DOMAINS: [&str; 3] = [
    "azurehealthcareapis.com",
    "azurehealthcareapis.us",
    "azurehealthcareapis.cn",
];

/// The base URL of a service: scheme, host, optional port, optional path. No
/// query, no user info.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    scheme: Scheme,
    authority: Authority,
    base_path: String,
}

impl ServiceUrl {
    /// The Entra authority of the public cloud.
    pub(in crate::config) fn public_authority() -> Self {
        Self::parse("https://login.microsoftonline.com").expect("a constant URL")
    }

    /// Reads an absolute `https` or `http` URL. Whether plain `http` is allowed depends on where
    /// the URL is used: see [`ServiceUrl::is_secure`].
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        const EXAMPLE: &str = "write it as https://HOST or https://HOST/PATH";
        let refuse = |message: &str| ValueError::new(message, EXAMPLE);

        if text.is_empty() {
            return Err(refuse("the URL is empty"));
        }
        if let Some(error) = pasted::recognize(text) {
            return Err(error);
        }
        characters::check(text)?;
        // Checked first, since later errors quote the text, and a password may precede the `@`.
        if text.contains('@') {
            return Err(ValueError::new(
                "the URL contains user info (`user@`)",
                "remove it: the proxy authenticates with a token",
            ));
        }
        if text.contains('?') {
            return Err(ValueError::new(
                "the URL has a query",
                "remove everything from the `?`",
            ));
        }
        // `http::Uri` drops a fragment silently.
        if text.contains('#') {
            return Err(ValueError::new(
                "the URL has a fragment",
                "remove everything from the `#`",
            ));
        }
        if !text.contains("://") {
            return Err(ValueError::new(
                format!("`{}` is not an absolute URL", shown(text)),
                format!(
                    "write it with its scheme, for example https://{}",
                    shown(text.rsplit_once("//").map_or(text, |(_, rest)| rest))
                ),
            ));
        }
        let uri: Uri = text
            .parse()
            .map_err(|e| refuse(&format!("`{}` is not a valid URL: {e}", shown(text))))?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(refuse(&format!("`{}` is not an absolute URL", shown(text))));
        };
        if scheme != Scheme::HTTPS && scheme != Scheme::HTTP {
            return Err(refuse(&format!(
                "the proxy does not support the scheme `{scheme}`"
            )));
        }
        check_host(&authority)?;
        let authority = without_default_port(&scheme, authority)?;
        let path = parts.path_and_query.as_ref().map_or("", |p| p.path());
        check_path(path)?;
        Ok(Self {
            scheme,
            authority,
            base_path: path.trim_end_matches('/').to_owned(),
        })
    }

    /// Reads a URL that receives secrets: https, or http on loopback.
    pub fn parse_secure(text: &str) -> Result<Self, ValueError> {
        let url = Self::parse(text)?;
        if url.is_secure() {
            return Ok(url);
        }
        Err(ValueError::new(
            "plain http is allowed on loopback only, since secrets travel there",
            format!("write https://{}{}", url.authority(), url.base_path()),
        ))
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Host and port as written, without the scheme's default port: the `Host` header sent
    /// upstream.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Host in lower case, IPv6 addresses without brackets.
    pub fn host(&self) -> String {
        let host = self.authority.host();
        host.strip_prefix('[')
            .and_then(|h| h.strip_suffix(']'))
            .unwrap_or(host)
            .to_ascii_lowercase()
    }

    /// The port. If none is written, 80 or 443.
    pub fn port(&self) -> u16 {
        self.authority
            .port_u16()
            .unwrap_or_else(|| default_port(&self.scheme))
    }

    /// Empty, or a path that starts with a slash and does not end with one.
    pub fn base_path(&self) -> &str {
        &self.base_path
    }

    /// `scheme://authority` without a slash at the end.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// Whether the host is `localhost` or a loopback address.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host())
    }

    /// Whether the host is an IPv4 link-local address, as those of platforms' metadata services. Its
    /// packets never leave the machine's own link (RFC 3927, section 2.7).
    pub fn is_link_local(&self) -> bool {
        is_link_local(&self.host())
    }

    /// Whether a secret may be sent there: `https` anywhere, plain `http` on loopback only.
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::HTTPS || self.is_loopback()
    }

    /// The domain of Azure Health Data Services that contains the host, if one does:
    /// `azurehealthcareapis.com`, `.us` or `.cn`.
    pub fn azure_domain(&self) -> Option<&'static str> {
        let host = self.host();
        AZURE_DOMAINS.into_iter().find(|domain| {
            host.strip_suffix(domain)
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        })
    }

    /// The host without the domain of Azure's services, and the domain.
    pub fn name_in_azure(&self) -> Option<(String, &'static str)> {
        let domain = self.azure_domain()?;
        let host = self.host();
        let name = host.strip_suffix(domain)?.strip_suffix('.')?;
        Some((name.to_owned(), domain))
    }

    /// The name and the domain, if no other name is between them. The host is that of a workspace, or
    /// of an Azure API for FHIR (retired), and not of a service in a workspace.
    pub fn name_below_domain(&self) -> Option<(String, &'static str)> {
        let found = self.name_in_azure();
        found.filter(|(name, _)| !name.contains('.'))
    }

    /// The hosts of the services in the workspace whose host this is.
    pub fn hosts_in_workspace(&self) -> Option<String> {
        let (name, domain) = self.name_below_domain()?;
        Some(format!(
            "{name}-SERVICE.fhir.{domain} or {name}-SERVICE.dicom.{domain}"
        ))
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.base_path)
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.to_canonical().is_loopback())
}

fn is_link_local(host: &str) -> bool {
    host.parse::<IpAddr>()
        .is_ok_and(|ip| matches!(ip.to_canonical(), IpAddr::V4(ip) if ip.is_link_local()))
}

/// Whether only this machine, or its own link, has the host. It is in lower case, and an IPv6
/// address has no brackets.
pub(in crate::config) fn is_of_this_machine(host: &str) -> bool {
    is_loopback(host) || is_link_local(host)
}

fn default_port(scheme: &Scheme) -> u16 {
    if *scheme == Scheme::HTTP { 80 } else { 443 }
}

fn check_host(authority: &Authority) -> Result<(), ValueError> {
    let host = authority.host();
    let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) else {
        return host_name::check(host);
    };
    inner.parse::<Ipv6Addr>().map(drop).map_err(|_| {
        ValueError::new(
            format!("`{}` is not a valid IPv6 address", shown(host)),
            "write it like [::1], without a zone",
        )
    })
}

/// Removes the default port. `https://h:443` and `https://h` are one service, and tokens are issued
/// for the latter spelling.
fn without_default_port(scheme: &Scheme, authority: Authority) -> Result<Authority, ValueError> {
    let host = authority.host();
    let Some(port) = authority.as_str()[host.len()..].strip_prefix(':') else {
        return Ok(authority);
    };
    let invalid = || {
        ValueError::new(
            format!("`{port}` is not a valid port"),
            "write a number from 1 to 65535, or remove it for the default",
        )
    };
    let number: u16 = port.parse().map_err(|_| invalid())?;
    if number == 0 || port.starts_with('+') {
        return Err(invalid());
    }
    if number != default_port(scheme) {
        return Ok(authority);
    }
    Authority::try_from(host).map_err(|_| invalid())
}

fn check_path(path: &str) -> Result<(), ValueError> {
    if let Some(c) = path
        .chars()
        .find(|c| !(c.is_ascii_alphanumeric() || "/-._~!$&'()*+,;=:%".contains(*c)))
    {
        return Err(ValueError::new(
            format!("the URL's path contains `{c}`"),
            "percent-encode it",
        ));
    }
    let encoded_dot = path.replace("%2e", ".").replace("%2E", ".");
    if encoded_dot
        .split('/')
        .any(|segment| matches!(segment, "." | ".."))
    {
        return Err(ValueError::new(
            "the URL's path contains a `.` or `..` segment",
            "write the path without it",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> ServiceUrl {
        ServiceUrl::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn reads_the_parts() {
        let u = url("https://WS-FHIR.fhir.azurehealthcareapis.com/v2/");
        assert_eq!(u.host(), "ws-fhir.fhir.azurehealthcareapis.com");
        assert_eq!(u.port(), 443);
        assert_eq!(u.base_path(), "/v2");
        assert_eq!(u.origin(), "https://WS-FHIR.fhir.azurehealthcareapis.com");
        assert_eq!(
            u.to_string(),
            "https://WS-FHIR.fhir.azurehealthcareapis.com/v2"
        );
        assert_eq!(url("http://localhost").port(), 80);
        assert_eq!(url("https://h/").base_path(), "");
    }

    #[test]
    fn drops_the_default_port_only() {
        assert_eq!(url("https://h:443/x").origin(), "https://h");
        assert_eq!(url("https://h:80").origin(), "https://h:80");
        assert_eq!(url("http://[::1]:80").origin(), "http://[::1]");
    }

    #[test]
    fn knows_loopback() {
        for text in [
            "http://localhost:1",
            "http://LOCALHOST",
            "http://127.0.0.1:9",
            "http://127.8.8.8",
            "http://[::1]:8080/x",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(url(text).is_loopback(), "{text}");
        }
        for text in [
            "http://localhost.evil.com",
            "http://10.0.0.1",
            "http://127.1",
            "http://[::2]",
            "http://127.0.0.1.evil.com",
        ] {
            assert!(!url(text).is_loopback(), "{text}");
        }
        assert_eq!(url("http://[::1]:8080").host(), "::1");
        assert_eq!(url("http://[::1]:8080").port(), 8080);
    }

    #[test]
    fn knows_azure_from_its_look_alikes() {
        for (text, domain) in [
            ("https://acct.azurehealthcareapis.com", ".com"),
            ("https://A-B.FHIR.AzureHealthcareAPIs.US", ".us"),
            ("https://a-b.dicom.azurehealthcareapis.cn/v2", ".cn"),
        ] {
            let found = url(text).azure_domain();
            assert!(found.is_some_and(|d| d.ends_with(domain)), "{text}");
        }
        for text in [
            "https://azurehealthcareapis.com",
            "https://azurehealthcareapis.com.evil.com",
            "https://evilazurehealthcareapis.com",
            "https://a.azurehealthcareapis.com.cn",
            "https://a.azurehealthcareapis.org",
        ] {
            assert_eq!(url(text).azure_domain(), None, "{text}");
        }
    }

    #[test]
    fn refuses_what_it_cannot_forward_to() {
        for text in [
            "",
            "h",
            "h:443",
            "/fhir",
            "https://",
            "https:///x",
            "ftp://h",
            "unix:///run/x",
            "https://user@h",
            "https://user:pw@h",
            "https://a.azurehealthcareapis.com@evil.com",
            "https://h?x=1",
            "https://h/#f",
            "https://h /x",
            " https://h",
            "https://h\n",
            "https://h:0",
            "https://h:",
            "https://h:65536",
            "https://h:+1",
            "https://h.",
            "https://a..b",
            "https://h%2e",
            "https://[::1",
            "https://[::1%25eth0]",
            "https://[evil.com]",
            "https://h/../x",
            "https://h/%2e%2E/x",
            "https://h/a\\b",
            "https://höst",
        ] {
            assert!(ServiceUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn never_repeats_user_info() {
        let error = ServiceUrl::parse("https://u:hunter2@h").expect_err("refused");
        assert!(!error.to_string().contains("hunter2"));
    }
}
