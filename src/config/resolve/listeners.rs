//! The addresses for clients and operators, and the checks that they are safe.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::config::{
    Listen, ServiceUrl,
    exposure::{leads_to, lets_in_anyone, needs_tls},
    file::{RouteTable, SecurityTable},
    report::{At, Place, Read, Report},
};

const PORT: u16 = 8080;
/// The port of the admin address, unless another one is configured.
pub const ADMIN_PORT: u16 = 8081;

/// The addresses, checked against each other.
pub(super) struct Listeners {
    pub(super) listen: Vec<Listen>,
    pub(super) admin: Option<SocketAddr>,
    /// The listeners of single routes.
    own: Vec<Listen>,
}

/// The listener of a single route, and its key.
pub(super) struct Own {
    key: String,
    at: At<Listen>,
}

/// In the order of the file, so that the second of two equal addresses is the one reported.
pub(super) fn of_routes(routes: &BTreeMap<String, At<RouteTable>>) -> Vec<Own> {
    let mut own: Vec<Own> = routes
        .iter()
        .filter_map(|(name, table)| {
            let at = table.value.listen.given()?;
            Some(Own {
                key: format!("routes.{name}.listen"),
                at: At {
                    value: at.value.clone(),
                    place: at.place,
                },
            })
        })
        .collect();
    own.sort_by_key(|own| own.at.place);
    own
}

pub(super) fn resolve(
    listen: Read<Vec<At<Listen>>>,
    admin: Read<Option<SocketAddr>>,
    own: Vec<Own>,
    security: &SecurityTable,
    report: &mut Report,
) -> Listeners {
    let place = listen.given().map_or(Place::Nowhere, |at| at.place);
    let listen = match listen {
        Read::Given(at) => at.value,
        // The intended addresses are unknown, so there is nothing to compare.
        Read::Refused => Vec::new(),
        Read::Absent => default_listen(),
    };
    if listen.is_empty() && place != Place::Nowhere {
        report.refuse(
            place,
            "`listen` names no address",
            "write at least one, for example [\"127.0.0.1:8080\"], or remove `listen`",
        );
    }
    let admin_place = admin.given().map_or(Place::Nowhere, |at| at.place);
    let refused = admin.is_refused();
    let admin = admin.or(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT))));
    let admin = admin.filter(|_| !refused);

    if let Read::Given(at) = &security.allow_remote
        && lets_in_anyone(at.value, demands_certificates(security))
    {
        report.refuse(
            at.place,
            "`security.allow_remote`: other machines could use your token without authentication",
            "require client certificates: tls = { certificate = \"server.pem\", key = \"server.key\", \
             client_ca = \"clients.pem\" } below [security]; or remove `allow_remote`, listen on \
             loopback, and put a gateway in front that authenticates callers",
        );
    }
    if !security.allow_remote.is_refused()
        && !matches!(security.allow_remote.given(), Some(at) if at.value)
    {
        for at in &listen {
            if let Listen::Tcp { address, .. } = at.value {
                check_local(address, "listen", at.place, report);
            }
        }
        for own in &own {
            if let Listen::Tcp { address, .. } = own.at.value {
                check_local(address, &own.key, own.at.place, report);
            }
        }
    }
    let own_addresses = own.iter().map(|own| (&*own.key, &own.at.value));
    let addresses = listen.iter().map(|at| ("listen", &at.value));
    report
        .notes
        .extend(addresses.chain(own_addresses).filter_map(remote_note));
    check_distinct(&listen, report);
    check_own(&own, &listen, admin, report);
    if let Some(address) = admin {
        let mut clashing = listen.iter().filter(
            |at| matches!(at.value, Listen::Tcp { address: other, .. } if clash(other, address)),
        );
        if let Some(at) = clashing.next() {
            let default = admin_place == Place::Nowhere;
            report.refuse(
                if default { at.place } else { admin_place },
                format!("the listener and the admin address are both {address}"),
                "set `admin` to another port, or to \"off\"",
            );
        }
    }
    Listeners {
        listen: listen.into_iter().map(|at| at.value).collect(),
        admin,
        own: own.into_iter().map(|own| own.at.value).collect(),
    }
}

/// Whether callers have to present a certificate. A refused `tls` counts as yes, since it has its
/// own error.
fn demands_certificates(security: &SecurityTable) -> bool {
    match &security.tls {
        Read::Absent => false,
        Read::Refused => true,
        Read::Given(at) => !at.value.client_ca.is_absent(),
    }
}

/// Refuses names that need TLS if there is none.
pub(super) fn check_names(
    security: &SecurityTable,
    routes: &BTreeMap<String, At<RouteTable>>,
    report: &mut Report,
) {
    let Read::Given(hosts) = &security.allowed_hosts else {
        return;
    };
    if !security.tls.is_absent() {
        return;
    }
    for at in &hosts.value {
        let host = &*at.value;
        let urls = routes
            .values()
            .filter_map(|route| route.value.public_url.given());
        if !needs_tls(host, urls.map(|url| &url.value)) {
            continue;
        }
        let in_url = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        report.refuse(
            at.place,
            format!(
                "`security.allowed_hosts`: {host} needs TLS; without TLS, a browser does not say which \
                 page sends a request, so any web page could use your token"
            ),
            format!(
                "set tls = {{ certificate = \"server.pem\", key = \"server.key\" }} below [security]; \
                 or, if a gateway in front of the proxy terminates TLS, set public_url = \
                 \"https://{in_url}/…\" on the route"
            ),
        );
    }
}

fn default_listen() -> Vec<At<Listen>> {
    loopback(PORT, Place::Nowhere)
}

/// The loopback addresses of both families. A machine without IPv6 skips the second.
pub(super) fn loopback(port: u16, place: Place) -> Vec<At<Listen>> {
    let tcp = |ip: IpAddr, optional| At {
        value: Listen::Tcp {
            address: SocketAddr::new(ip, port),
            optional,
        },
        place,
    };
    vec![
        tcp(Ipv4Addr::LOCALHOST.into(), false),
        tcp(Ipv6Addr::LOCALHOST.into(), true),
    ]
}

fn check_local(address: SocketAddr, key: &str, place: Place, report: &mut Report) {
    if address.ip().to_canonical().is_loopback() {
        return;
    }
    report.refuse(
        place,
        format!(
            "`{key}`: {address} is not loopback, so other machines could use your token without \
             authentication"
        ),
        format!(
            "write 127.0.0.1:{}; or, to let other machines in, set `allow_remote = true` and `tls` \
             with a `client_ca` below [security] in the configuration file",
            address.port()
        ),
    );
}

/// The warning about an address that other machines reach. They have to present a certificate.
fn remote_note((key, listen): (&str, &Listen)) -> Option<String> {
    let Listen::Tcp { address, .. } = listen else {
        return None;
    };
    let port = address.port();
    (!address.ip().to_canonical().is_loopback()).then(|| {
        format!(
            "`{key}`: other machines reach {address}, and every client with a certificate that \
             `client_ca` has signed uses your token; let that CA sign only for clients that may use \
             it, or write 127.0.0.1:{port} if only this machine calls"
        )
    })
}

fn check_distinct(listen: &[At<Listen>], report: &mut Report) {
    for (i, at) in listen.iter().enumerate() {
        if listen[..i]
            .iter()
            .any(|other| are_the_same(&at.value, &other.value))
        {
            report.refuse(
                at.place,
                format!("`listen` has {} twice", at.value),
                "remove one of the two",
            );
        }
    }
}

/// Refuses a route's own address if another listener has it.
fn check_own(own: &[Own], listen: &[At<Listen>], admin: Option<SocketAddr>, report: &mut Report) {
    let admin = admin.map(|address| Listen::Tcp {
        address,
        optional: false,
    });
    for (i, Own { key, at }) in own.iter().enumerate() {
        let before = own[..i].iter().map(|own| (&*own.key, &own.at.value));
        let mut others = before
            .chain(listen.iter().map(|at| ("listen", &at.value)))
            .chain(admin.iter().map(|admin| ("admin", admin)));
        if let Some((other, _)) = others.find(|(_, other)| are_the_same(other, &at.value)) {
            report.refuse(
                at.place,
                format!("`{key}` and `{other}` are both {}", at.value),
                "give each an address of its own",
            );
        }
    }
}

fn are_the_same(a: &Listen, b: &Listen) -> bool {
    match (a, b) {
        (Listen::Tcp { address: a, .. }, Listen::Tcp { address: b, .. }) => clash(*a, *b),
        (a, b) => a == b,
    }
}

/// Whether only one of the two can be bound. Port 0 is a new port each time.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port()
        && a.port() != 0
        && (a.ip() == b.ip()
            || a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified()))
}

impl Listeners {
    /// The listener that a request to `url` would come back to.
    pub(super) fn own(&self, url: &ServiceUrl) -> Option<SocketAddr> {
        let all = self.listen.iter().chain(&self.own);
        let tcp = all.filter_map(|listen| match listen {
            Listen::Tcp { address, .. } => Some(*address),
            Listen::Unix(_) => None,
        });
        tcp.chain(self.admin).find(|own| leads_to(url, *own))
    }
}
