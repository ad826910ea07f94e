//! Where clients and operators connect, and whether that is safe.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::{
    Listen, ServiceUrl,
    file::SecurityTable,
    report::{At, Place, Read, Report},
};

const PORT: u16 = 8080;
const ADMIN_PORT: u16 = 8081;

/// The addresses, checked against each other.
pub(super) struct Listeners {
    pub(super) listen: Vec<Listen>,
    pub(super) admin: Option<SocketAddr>,
}

pub(super) fn resolve(
    listen: Read<Vec<At<Listen>>>,
    admin: Read<Option<SocketAddr>>,
    security: &SecurityTable,
    report: &mut Report,
) -> Listeners {
    let place = listen.given().map_or(Place::Nowhere, |at| at.place);
    let listen = match listen {
        Read::Given(at) => at.value,
        // Which addresses were meant is unknown: nothing to compare with.
        Read::Refused => Vec::new(),
        Read::Absent => default_listen(),
    };
    if listen.is_empty() && place != Place::Nowhere {
        report.refuse(
            place,
            "`listen` names no address",
            "write at least one, for example [\"127.0.0.1:8080\"], or leave it out",
        );
    }
    let admin_place = admin.given().map_or(Place::Nowhere, |at| at.place);
    let refused = admin.is_refused();
    let admin = admin.or(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, ADMIN_PORT))));
    let admin = admin.filter(|_| !refused);

    if !security.allow_remote.is_refused()
        && !matches!(security.allow_remote.given(), Some(at) if at.value)
    {
        for at in &listen {
            if let Listen::Tcp { address, .. } = at.value {
                check_local(address, "listen", at.place, report);
            }
        }
        if let Some(address) = admin {
            check_local(address, "admin", admin_place, report);
        }
    }
    check_distinct(&listen, report);
    if let Some(address) = admin {
        for at in &listen {
            if matches!(at.value, Listen::Tcp { address: other, .. } if clash(other, address)) {
                let default = admin_place == Place::Nowhere;
                report.refuse(
                    if default { at.place } else { admin_place },
                    format!("the listener and the admin address are both {address}"),
                    "give the admin address a port of its own with `admin`, or \"off\"",
                );
            }
        }
    }
    Listeners {
        listen: listen.into_iter().map(|at| at.value).collect(),
        admin,
    }
}

fn default_listen() -> Vec<At<Listen>> {
    let tcp = |ip: IpAddr, optional| At {
        value: Listen::Tcp {
            address: SocketAddr::new(ip, PORT),
            optional,
        },
        place: Place::Nowhere,
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
            "write 127.0.0.1:{}, or set `allow_remote = true` below [security] in the \
             configuration file if that is wanted",
            address.port()
        ),
    );
}

fn check_distinct(listen: &[At<Listen>], report: &mut Report) {
    for (i, at) in listen.iter().enumerate() {
        let double = listen[..i]
            .iter()
            .any(|other| match (&at.value, &other.value) {
                (Listen::Tcp { address: a, .. }, Listen::Tcp { address: b, .. }) => clash(*a, *b),
                (a, b) => a == b,
            });
        if double {
            report.refuse(
                at.place,
                format!("`listen` has {} twice", at.value),
                "remove one of the two",
            );
        }
    }
}

/// Whether one of the two could not be bound. Port 0 is a new port each time.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port()
        && a.port() != 0
        && (a.ip() == b.ip()
            || a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified()))
}

impl Listeners {
    /// The listener a request to `url` would come back to.
    pub(super) fn own(&self, url: &ServiceUrl) -> Option<SocketAddr> {
        if !url.is_loopback() {
            return None;
        }
        let ip: Option<IpAddr> = url.host().parse().ok();
        let tcp = self.listen.iter().filter_map(|listen| match listen {
            Listen::Tcp { address, .. } => Some(*address),
            Listen::Unix(_) => None,
        });
        tcp.chain(self.admin).find(|own| {
            own.port() == url.port()
                && match ip {
                    // `localhost` may be either family.
                    None => true,
                    Some(ip) => {
                        own.ip().is_unspecified() || own.ip().to_canonical() == ip.to_canonical()
                    }
                }
        })
    }
}
