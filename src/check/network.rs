//! Checks a route below HTTP: the addresses of its host, the connection and the certificate.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::CertificateError;

use super::Outcome;
use crate::{
    config::Route,
    upstream::{ConnectError, Connections, Distrust, Origin, Session},
    x509::Certificate,
};

pub(super) async fn resolve(connections: &Connections, origin: &Origin, route: &Route) -> Outcome {
    let name = &route.name;
    match connections.resolve(origin).await {
        Ok(found) => {
            let mut addresses: Vec<String> = Vec::new();
            for address in &found.addresses {
                let address = if found.is_override {
                    format!("{address} (network.resolve)")
                } else if is_private(address.ip()) {
                    format!("{} (private)", address.ip())
                } else {
                    address.ip().to_string()
                };
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
            let list = addresses.join(", ");
            Outcome::ok(match found.proxy {
                // Whether this machine can resolve the host as well does not matter.
                Some(proxy) => format!("resolved by the proxy {proxy}, which is at {list}"),
                None => list,
            })
        }
        Err(ConnectError::Timeout { after, .. }) => Outcome::failed(
            format!("no name server responded within {} s", after.as_secs_f32()),
            "Check the network, VPN and name servers of this machine.",
        ),
        Err(ConnectError::Proxy(error)) => Outcome::failed(error.problem(), error.remedy()),
        Err(_) => Outcome::failed(
            format!("the host name {} does not resolve", route.upstream.host()),
            format!(
                "Check `upstream` in [routes.{name}] and the network. If the service has a private \
                 endpoint, connect to its network (VPN) and its private DNS zone, or write its address \
                 into network.resolve."
            ),
        ),
    }
}

/// Whether an address may be that of a private endpoint (RFC 1918, RFC 4193).
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

pub(super) async fn connect(connections: &Connections, origin: &Origin, route: &Route) -> Outcome {
    match connections.inspect(origin, route.http).await {
        Ok(None) => Outcome::ok("connected; plain HTTP on loopback, without TLS"),
        Ok(Some(session)) => {
            let way = connections.proxy_to(origin);
            let way = way.map(|proxy| format!(", through the proxy {proxy}"));
            Outcome::ok(describe(&session) + &way.unwrap_or_default())
        }
        Err(error) => refused(&error, route),
    }
}

fn describe(session: &Session) -> String {
    let protocol = if session.is_http2 {
        "HTTP/2"
    } else {
        "HTTP/1.1"
    };
    let certificate = session
        .certificate
        .as_ref()
        .map_or_else(|| "a certificate that cannot be read".to_owned(), whose);
    format!("{}, {protocol}, {certificate}", session.version)
}

fn whose(certificate: &Certificate) -> String {
    let name = |name: &str| match name {
        "" => "(no name)".to_owned(),
        name => name.to_owned(),
    };
    format!(
        "certificate of {}, issued by {}, valid until {}",
        name(certificate.subject()),
        name(certificate.issuer()),
        day(certificate.not_after())
    )
}

/// The day of a time in UTC.
fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

fn refused(error: &ConnectError, route: &Route) -> Outcome {
    let name = &route.name;
    let host = route.upstream.host();
    match error {
        ConnectError::Certificate(error) => distrust(error, &host, name),
        ConnectError::Proxy(error) => Outcome::failed(error.problem(), error.remedy()),
        ConnectError::Tcp { reason, .. } => Outcome::failed(
            format!("{host} does not accept connections: {reason}"),
            format!(
                "Check host and port of `upstream` in [routes.{name}], and whether a firewall or a \
                 missing VPN keeps this machine from it."
            ),
        ),
        ConnectError::Timeout { after, via, .. } => Outcome::failed(
            format!(
                "{host} accepted no connection{via} within {} s (network.connect_timeout)",
                after.as_secs_f32()
            ),
            "Check whether a firewall or a missing VPN keeps this machine from it.",
        ),
        ConnectError::Tls { .. } => Outcome::failed(
            error.problem(),
            format!("Check `upstream` in [routes.{name}]. {}", error.remedy()),
        ),
        ConnectError::Exposed { .. } => Outcome::failed(
            format!("network.resolve leads {host} to another machine over plain http"),
            format!(
                "Write an https URL as `upstream` in [routes.{name}], or a loopback address in \
                 network.resolve."
            ),
        ),
        ConnectError::Dns(_) => Outcome::failed(
            format!("the host name {host} no longer resolves"),
            "Check the network, and try again.",
        ),
    }
}

fn distrust(distrust: &Distrust, host: &str, route: &str) -> Outcome {
    use CertificateError as Error;
    let shown = distrust.certificate.as_ref().map(whose);
    let shown = shown.map_or_else(String::new, |shown| format!(": {shown}"));
    let failed = |what: &str, remedy: &str| Outcome::failed(format!("{what}{shown}"), remedy);
    let remedy = distrust.remedy();
    match &distrust.reason {
        Error::Expired | Error::ExpiredContext { .. } => {
            failed("the certificate has expired", &remedy)
        }
        Error::NotValidForName => failed(
            &format!("the certificate is not for {host}"),
            &at_another_address(route),
        ),
        Error::NotValidForNameContext { .. } => failed(
            &format!("the certificate {}", distrust.fault()),
            &at_another_address(route),
        ),
        Error::UnknownIssuer => failed(
            "the certificate's issuer is not trusted",
            &format!("{remedy} In any other case, do not trust this server."),
        ),
        _ => failed(&format!("the certificate {}", distrust.fault()), &remedy),
    }
}

fn at_another_address(route: &str) -> String {
    format!(
        "Check `upstream` in [routes.{route}] and network.resolve: another server responds at this \
         address."
    )
}
