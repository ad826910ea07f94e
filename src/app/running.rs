//! The parts of the proxy, wired together: they start, are replaced by a reload, and stop.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    bound_listeners::{BoundListener, BoundListeners},
    descriptors,
    parts::Parts,
    warnings::warnings,
};
use crate::{
    admin::{self, Admin, ReloadRequest},
    clock::Clock,
    config::{self, Config, Listen},
    instance::{self, Instance},
    proxy::{Ports, Proxy, Transport},
    server::{self, BindError, Connections, Listener, Tls},
    telemetry::log::START,
    token::Source,
    upstream,
};

/// The time from the first byte of a head to its end.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The time for which a connection may be idle. It is longer than that of most clients, so that the
/// client closes the connection first.
const KEEP_ALIVE: Duration = Duration::from_secs(120);
/// The timeouts of the admin address, which has few callers, and these are near and send small
/// requests.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The reason why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken or does not exist.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// No connection to another host can be made.
    #[error(transparent)]
    Upstream(#[from] upstream::StartError),
    /// The system does not let the process listen to signals.
    #[error("cannot listen to signals: {0}")]
    Signals(io::Error),
}

/// A proxy that serves until it is stopped.
#[derive(Debug)]
pub struct Running {
    config: Config,
    pub(super) clock: Clock,
    ports: Ports,
    tls: Option<Tls>,
    pub(super) proxy: Proxy,
    admin_pages: Option<Admin>,
    addresses: Vec<String>,
    socket_addresses: Vec<SocketAddr>,
    admin_address: Option<SocketAddr>,
    sources: Vec<Arc<Source>>,
    /// See [`instance`].
    secret: String,
    pub(super) reloads: mpsc::Receiver<ReloadRequest>,
    stop: watch::Sender<bool>,
    stop_admin: watch::Sender<bool>,
    serving: JoinSet<()>,
    admin: JoinSet<()>,
    background: JoinSet<()>,
}

/// Binds every address, starts to fetch the first tokens, and serves in the background.
pub async fn start(config: &Config, clock: Clock) -> Result<Running, StartError> {
    tracing::info!(target: START, version = env!("CARGO_PKG_VERSION"), "ahds-proxy starts");
    let tls = config.security.tls.as_ref();
    let tls = tls.map(|tls| Tls::new(tls.config.clone()));
    let bound_listeners = BoundListeners::open(config, tls.as_ref()).await?;
    let admin_listener = match config.admin {
        Some(address) => Some(Listener::tcp(address).await?),
        None => None,
    };
    let ports = bound_listeners.ports();
    let connections = upstream::Connections::new(&config.network)?;
    let built = Parts::new(config, &connections, &ports, &clock);

    let (reload_requests, reloads) = mpsc::channel(1);
    let (stop, stopped) = watch::channel(false);
    let (stop_admin, admin_stopped) = watch::channel(false);
    let fitted = Config {
        limits: descriptors::fit(&config.limits),
        ..config.clone()
    };
    let mut running = Running {
        config: config.clone(),
        clock,
        ports,
        tls,
        proxy: Proxy::new(built.routes, &fitted, bound_listeners.numbers()),
        admin_pages: None,
        addresses: bound_listeners.listeners().map(Listener::address).collect(),
        socket_addresses: bound_listeners
            .listeners()
            .filter_map(Listener::socket_address)
            .collect(),
        admin_address: admin_listener.as_ref().and_then(Listener::socket_address),
        sources: built.sources.clone(),
        secret: instance::new_secret(),
        reloads,
        stop,
        stop_admin,
        serving: JoinSet::new(),
        admin: JoinSet::new(),
        background: JoinSet::new(),
    };
    running.keep_fresh(&built.sources);
    let limits = server::Limits {
        head_timeout: HEAD_TIMEOUT,
        keep_alive: KEEP_ALIVE,
        write_timeout: config.network.idle_timeout,
        max_head: (config.limits.request_head * 2).max(server::MIN_HEAD),
    };
    running.serve(bound_listeners, &fitted, limits, &stopped);
    if let Some(listener) = admin_listener {
        let process = admin::Process {
            listeners: running.addresses.clone(),
            secret: running.secret.clone(),
            reloads: reload_requests,
        };
        let admin = Admin::new(config, built.sources, stopped, process);
        running.serve_admin(listener, admin, limits, admin_stopped);
    }
    announce(config, &warnings(config, running.clock.now()));
    Ok(running)
}

/// The keys that are read at start only, and in which two configurations differ.
fn unchangeable(old: &Config, new: &Config) -> Vec<&'static str> {
    let own = |config: &Config| -> Vec<(Arc<str>, Option<Listen>)> {
        let routes = config.routes.iter();
        let routes = routes.filter(|route| route.listen.is_some());
        routes
            .map(|route| (route.name.clone(), route.listen.clone()))
            .collect()
    };
    let is_tls = |config: &Config| config.security.tls.is_some();
    let connections = |config: &Config| config.limits.connections;
    let same = [
        ("listen", old.listen == new.listen),
        ("routes.NAME.listen", own(old) == own(new)),
        ("security.tls", is_tls(old) == is_tls(new)),
        ("admin", old.admin == new.admin),
        ("limits.connections", connections(old) == connections(new)),
        ("log", old.log == new.log),
        ("shutdown.drain", old.drain == new.drain),
    ];
    let differing = same.into_iter().filter(|(_, is_same)| !is_same);
    differing.map(|(key, _)| key).collect()
}

/// Logs the routes, and the warnings about the configuration.
fn announce(config: &Config, warnings: &[String]) {
    let network = &config.network;
    if let Some(proxy) = &network.proxy {
        let named_by = proxy.named_by();
        tracing::info!(target: START, address = %proxy, named_by, "HTTP proxy for connections to other machines");
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    for route in &config.routes {
        tracing::info!(
            target: START,
            route = &*route.name,
            prefix = route.prefix.as_str(),
            upstream = %route.upstream,
            audience = route.audience.as_ref().map(tracing::field::display),
            credential = &*route.credential,
            kind = config.credentials[&route.credential].kind().name,
            proxy = network.proxy_to_service(&route.upstream).map(tracing::field::display),
            "route"
        );
    }
}

impl Running {
    /// Serves with another configuration from now on. If it cannot be served, the old one stays as
    /// a whole. Connections and requests in flight stay, and new tokens are fetched. The log names
    /// the changes that need a restart.
    pub fn reload(&mut self, config: &Config) {
        let connections = upstream::Connections::new(&config.network);
        let result = connections
            .map_err(|error| error.to_string())
            .and_then(|connections| {
                let warnings = warnings(config, self.clock.now());
                self.replace(config, &connections, &warnings)
            });
        if let Err(reason) = result {
            tracing::error!("the old configuration keeps serving: {reason}");
        }
    }

    pub(super) fn replace(
        &mut self,
        config: &Config,
        connections: &upstream::Connections,
        warnings: &[String],
    ) -> Result<(), String> {
        let mut addresses = self.socket_addresses.clone();
        addresses.extend(self.admin_address);
        let bound = config::Bound {
            is_remote: self.config.security.allow_remote,
            is_tls: self.tls.is_some(),
            addresses: &addresses,
        };
        config.fits(bound).map_err(|unfit| unfit.to_string())?;
        let parts = Parts::new(config, connections, &self.ports, &self.clock);
        for key in unchangeable(&self.config, config) {
            tracing::warn!(
                "the change of `{key}` takes effect after a restart; all other changes are in force"
            );
        }
        if let (Some(tls), Some(new)) = (&self.tls, &config.security.tls) {
            tls.replace(new.config.clone());
        }
        self.background.abort_all();
        self.keep_fresh(&parts.sources);
        let fitted = Config {
            limits: descriptors::fit(&config::Limits {
                connections: self.config.limits.connections,
                ..config.limits.clone()
            }),
            ..config.clone()
        };
        self.proxy.replace(parts.routes, &fitted);
        if let Some(admin) = &self.admin_pages {
            admin.replace(config, parts.sources);
        }
        tracing::info!("configuration reloaded");
        announce(config, warnings);
        Ok(())
    }

    /// The source of a route's tokens, as of the start.
    pub(crate) fn source(&self, route: &config::Route) -> Option<&Arc<Source>> {
        let mut sources = self.sources.iter();
        sources.find(|source| source.serves(&route.credential, route.audience.as_ref()))
    }

    /// Describes this process for the other commands of its user. `None` without an admin address.
    pub(crate) fn instance(&self, start: instance::Start) -> Option<Instance> {
        Some(Instance::new(
            self.admin_address?,
            self.secret.clone(),
            start,
        ))
    }

    fn serve(
        &mut self,
        bound_listeners: BoundListeners,
        config: &Config,
        limits: server::Limits,
        stopped: &watch::Receiver<bool>,
    ) {
        let connections = Connections::new(
            config.limits.connections,
            "Raise limits.connections, or open fewer connections.",
        );
        for BoundListener {
            listener,
            number,
            route,
        } in bound_listeners.0
        {
            let address = listener.address();
            tracing::info!(target: START, address, route = route.as_deref(), "listening");
            let mut proxy = self.proxy.through(number);
            if let Some(route) = route {
                proxy = proxy.at_root_of(route);
            }
            if listener.is_tls() {
                proxy = proxy.over(Transport::Tls);
            } else if listener.socket_address().is_none() {
                proxy = proxy.over(Transport::Unix);
            }
            self.serving.spawn(server::serve(
                listener,
                proxy,
                limits,
                connections.clone(),
                stopped.clone(),
                config.drain,
            ));
        }
    }

    fn serve_admin(
        &mut self,
        listener: Listener,
        admin: Admin,
        limits: server::Limits,
        stopped: watch::Receiver<bool>,
    ) {
        tracing::info!(target: START, address = listener.address(), "admin address");
        self.admin_pages = Some(admin.clone());
        let connections = Connections::new(
            descriptors::ADMIN_CONNECTIONS,
            "Configure the probes and monitors of the admin address to close their connections.",
        );
        let limits = server::Limits {
            head_timeout: ADMIN_TIMEOUT,
            keep_alive: ADMIN_TIMEOUT,
            write_timeout: ADMIN_TIMEOUT,
            ..limits
        };
        self.admin.spawn(server::serve(
            listener,
            admin,
            limits,
            connections,
            stopped,
            Duration::from_secs(1),
        ));
    }

    fn keep_fresh(&mut self, sources: &[Arc<Source>]) {
        for source in sources {
            self.background.spawn(source.clone().keep_fresh());
        }
    }

    /// The listeners, as `ip:port` or `https://ip:port` with the real port, or as `unix:/path`.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// The addresses of the TCP listeners.
    pub fn socket_addresses(&self) -> &[SocketAddr] {
        &self.socket_addresses
    }

    /// The admin address, unless it is off.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Stops accepting connections, and waits until the requests in flight have finished or the
    /// drain time is over. The admin address responds until then.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.serving.join_next().await.is_some() {}
        self.stop_admin.send_replace(true);
        while self.admin.join_next().await.is_some() {}
        self.background.shutdown().await;
    }
}
