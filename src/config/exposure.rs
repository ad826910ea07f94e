//! The rules that keep a listener from admitting unauthenticated callers, and a route from leading
//! back to the proxy. The start applies them to the configuration, and a reload to the listeners
//! that are already bound.

use std::net::{IpAddr, SocketAddr};

use http::uri::Scheme;

use super::{Config, ServiceUrl};

/// The properties of the bound listeners, which a running process cannot change.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'a> {
    /// Whether the process was started with `security.allow_remote`, so that other machines reach it.
    pub is_remote: bool,
    /// Whether the TCP listeners speak TLS.
    pub is_tls: bool,
    /// The TCP listeners and the admin address.
    pub addresses: &'a [SocketAddr],
}

/// Why a configuration cannot be served by listeners that were bound for another one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Callers from other machines would need no certificate.
    #[error(
        "without `client_ca`, other machines could use your token without authentication, since this \
         process was started with `security.allow_remote`; restart the process to change both"
    )]
    Unauthenticated,
    /// A browser that calls a listener without TLS by this name does not say which page sends the
    /// request.
    #[error(
        "`security.allowed_hosts` names {0}, which needs TLS, but the listeners of this process speak \
         plain HTTP; restart the process"
    )]
    NeedsTls(String),
    /// A route would lead back to the proxy.
    #[error(
        "`routes.{route}.upstream` is this process itself, which listens on {address} until a restart; \
         restart the process, or write the service's own address"
    )]
    Loop {
        /// The route's name.
        route: String,
        /// The listener.
        address: SocketAddr,
    },
}

impl Config {
    /// Checks that bound listeners can serve this configuration, which is valid with its own listeners.
    pub fn fits(&self, bound: Bound<'_>) -> Result<(), Unfit> {
        let tls = self.security.tls.as_ref();
        // A configuration without `tls` leaves the TLS settings of the listeners unchanged.
        if lets_in_anyone(
            bound.is_remote,
            tls.is_none_or(|tls| tls.demands_certificates),
        ) {
            return Err(Unfit::Unauthenticated);
        }
        let urls = || {
            self.routes
                .iter()
                .filter_map(|route| route.public_url.as_ref())
        };
        let mut hosts = self.security.allowed_hosts.iter();
        if !bound.is_tls
            && let Some(host) = hosts.find(|host| needs_tls(host, urls()))
        {
            return Err(Unfit::NeedsTls(host.clone()));
        }
        for route in &self.routes {
            let mut addresses = bound.addresses.iter();
            if let Some(address) = addresses.find(|address| leads_to(&route.upstream, **address)) {
                return Err(Unfit::Loop {
                    route: route.name.to_string(),
                    address: *address,
                });
            }
        }
        Ok(())
    }
}

/// Whether other machines could use the token without authentication.
pub(super) fn lets_in_anyone(is_remote: bool, demands_certificates: bool) -> bool {
    is_remote && !demands_certificates
}

/// Whether a listener that clients call by this name has to speak TLS. Without TLS, a browser sends
/// no Sec-Fetch headers to a name that is not loopback, so that the proxy could not tell a page of
/// another site from a program. A `public_url` of this name says that TLS ends before the proxy.
pub(super) fn needs_tls<'u>(
    host: &str,
    mut public_urls: impl Iterator<Item = &'u ServiceUrl>,
) -> bool {
    let is_loopback = host == "localhost"
        || host.ends_with(".localhost")
        || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    !is_loopback && !public_urls.any(|url| url.scheme() == &Scheme::HTTPS && url.host() == host)
}

/// Whether a request to `url` reaches a listener on `address`.
pub(super) fn leads_to(url: &ServiceUrl, address: SocketAddr) -> bool {
    url.is_loopback()
        && address.port() == url.port()
        // `localhost` may be either family.
        && url.host().parse().map_or(true, |ip: IpAddr| {
            address.ip().is_unspecified() || address.ip().to_canonical() == ip.to_canonical()
        })
}
