//! The base URLs by which clients call the proxy, and those of the services behind them.
//!
//! A response names the proxy as its request did. A request may contain any name of the proxy,
//! since a client may get a reference by one name and send it by another. It may also contain the
//! base URL of any route, since a resource of one service may refer to another service.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use http::{header, request::Parts};
use parking_lot::Mutex;

use super::Links;
use crate::{
    config::{self, Config, LinkMode, ServiceUrl},
    rewrite::Bases,
};

/// The ports of the listeners.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ports {
    /// Listeners that serve every route.
    pub shared: Vec<u16>,
    /// Listeners that serve one route, by its name.
    pub own: BTreeMap<Arc<str>, u16>,
    /// All of them speak TLS, or none does.
    pub is_tls: bool,
}

/// The kind of listener that a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) struct ListenerKind {
    /// The listener serves one route, at the root.
    pub(in crate::proxy) is_own: bool,
    pub(in crate::proxy) is_tls: bool,
}

/// The number of names to remember. Clients use one or two, and a caller that invents names must
/// not exhaust the memory.
const MAX_REMEMBERED: usize = 8;

/// The base URLs of one route whose links are rewritten.
#[derive(Debug)]
pub(crate) struct BaseUrls {
    place: usize,
    all: Arc<All>,
    recent: Mutex<VecDeque<Recent>>,
}

#[derive(Debug)]
struct All {
    routes: Vec<Served>,
    /// The prefixes of routes whose links are kept, below those of others.
    kept: Vec<String>,
    /// The base URLs that are known without a request, each with that of its upstream.
    known: Vec<(ServiceUrl, ServiceUrl)>,
}

#[derive(Debug)]
struct Served {
    prefix: String,
    upstream: ServiceUrl,
    public_url: Option<ServiceUrl>,
}

#[derive(Debug)]
struct Recent {
    host: Box<str>,
    entry: ListenerKind,
    links: Arc<Links>,
}

impl BaseUrls {
    /// Makes the base URLs of each route of the configuration. `None` for a route that keeps links.
    pub(crate) fn of_routes(config: &Config, ports: &Ports) -> Vec<Option<Self>> {
        let allowed = config.security.allowed_hosts.iter();
        let allowed = allowed.map(|host| {
            if host.contains(':') {
                format!("[{host}]")
            } else {
                host.clone()
            }
        });
        let loopback = ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned);
        let hosts: Vec<String> = loopback.into_iter().chain(allowed).collect();
        let mut all = All {
            routes: Vec::new(),
            kept: Vec::new(),
            known: Vec::new(),
        };
        let mut places = Vec::new();
        for route in &config.routes {
            if route.links == LinkMode::Keep {
                places.push(None);
                // Without this, URLs of a route below another one would be rewritten as URLs of the
                // other route.
                if lies_below_another(route, config) {
                    for (port, prefix) in listeners(route, ports) {
                        let names = hosts
                            .iter()
                            .filter_map(|host| base(ports.is_tls, host, port, prefix));
                        all.known.extend(names.map(|name| (name.clone(), name)));
                    }
                    all.kept.push(route.prefix.as_str().to_owned());
                }
                continue;
            }
            places.push(Some(all.routes.len()));
            for (port, prefix) in listeners(route, ports) {
                let names = hosts
                    .iter()
                    .filter_map(|host| base(ports.is_tls, host, port, prefix));
                all.known
                    .extend(names.map(|name| (name, route.upstream.clone())));
            }
            if let Some(url) = &route.public_url {
                all.known.push((url.clone(), route.upstream.clone()));
            }
            all.routes.push(Served {
                prefix: route.prefix.as_str().to_owned(),
                upstream: route.upstream.clone(),
                public_url: route.public_url.clone(),
            });
        }
        let all = Arc::new(all);
        let names = |place| Self {
            place,
            all: all.clone(),
            recent: Mutex::default(),
        };
        places.into_iter().map(|place| place.map(names)).collect()
    }

    /// The links to rewrite for a request.
    pub(in crate::proxy) fn links(&self, head: &Parts, entry: ListenerKind) -> Arc<Links> {
        let host = host(head);
        let mut recent = self.recent.lock();
        let same = |known: &&Recent| &*known.host == host && known.entry == entry;
        if let Some(known) = recent.iter().find(same) {
            return known.links.clone();
        }
        let links = Arc::new(self.make_links(host, entry));
        if recent.len() == MAX_REMEMBERED {
            recent.pop_front();
        }
        recent.push_back(Recent {
            host: host.into(),
            entry,
            links: links.clone(),
        });
        links
    }

    fn make_links(&self, host: &str, ListenerKind { is_own, is_tls }: ListenerKind) -> Links {
        let route = &self.all.routes[self.place];
        let prefix = if is_own { "" } else { &route.prefix };
        let called = base(is_tls, host, None, prefix);
        // A name that makes no valid URL leaves links as they are. The guard refuses such names.
        let ours = route.public_url.as_ref().or(called.as_ref());
        let ours = ours.unwrap_or(&route.upstream).clone();

        let mut names = self.all.known.clone();
        if is_own {
            names.extend(called.map(|called| (called, route.upstream.clone())));
        } else {
            let routes = self.all.routes.iter();
            names.extend(routes.filter_map(|route| {
                Some((
                    base(is_tls, host, None, &route.prefix)?,
                    route.upstream.clone(),
                ))
            }));
            let kept = self.all.kept.iter();
            let kept = kept.filter_map(|prefix| base(is_tls, host, None, prefix));
            names.extend(kept.map(|name| (name.clone(), name)));
        }
        let requests = Bases::new(names.iter().map(|(name, upstream)| (name, upstream)));
        Links::new(&route.upstream, &ours, requests)
    }
}

/// The ports and the prefixes under which a route is served.
fn listeners<'a>(
    route: &'a config::Route,
    ports: &'a Ports,
) -> impl Iterator<Item = (Option<u16>, &'a str)> {
    let shared = ports.shared.iter();
    let shared = shared.map(|port| (Some(*port), route.prefix.as_str()));
    let own = ports.own.get(&route.name).map(|port| (Some(*port), ""));
    shared.chain(own)
}

fn lies_below_another(route: &config::Route, config: &Config) -> bool {
    let prefix = route.prefix.as_str();
    config.routes.iter().any(|other| {
        let rest = prefix.strip_prefix(other.prefix.as_str());
        other.links == LinkMode::Rewrite && rest.is_some_and(|rest| rest.starts_with('/'))
    })
}

/// The name by which a request calls the proxy. The guard has checked that there is one.
fn host(head: &Parts) -> &str {
    let host = match head.uri.authority() {
        Some(authority) => authority.as_str(),
        None => head
            .headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default(),
    };
    // The port may be empty (RFC 3986, section 3.2.3).
    host.strip_suffix(':').unwrap_or(host)
}

/// A base URL of the proxy. `public_url` takes its place where a gateway in front of the proxy
/// terminates TLS.
fn base(is_tls: bool, host: &str, port: Option<u16>, prefix: &str) -> Option<ServiceUrl> {
    let scheme = if is_tls { "https" } else { "http" };
    let url = match port {
        Some(port) => format!("{scheme}://{host}:{port}{prefix}"),
        None => format!("{scheme}://{host}{prefix}"),
    };
    ServiceUrl::parse(&url).ok()
}
