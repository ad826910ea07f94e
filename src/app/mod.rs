//! The composition root: makes the parts, joins them, and takes them down again.

mod signals;

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

use crate::{
    admin::Admin,
    clock::Clock,
    config::{Config, HttpVersion, Listen},
    credentials::{self, Credential},
    proxy::{Names, Ports, Proxy, Route},
    server::{self, BindError, Listener},
    token::{Source, TokenCache},
    upstream::{self, Connections, Origin, Pool},
};
use signals::Signals;

/// A client must send a head within this time of its first byte.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than what most clients keep an idle connection for, so that they close it first.
const KEEP_ALIVE: Duration = Duration::from_secs(120);
/// The admin address has few callers; this is against mistakes only.
const ADMIN_CONNECTIONS: usize = 64;

/// Why the proxy did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken or does not exist.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// No connection could ever be made.
    #[error(transparent)]
    Upstream(#[from] upstream::StartError),
    /// The system does not let the process listen to signals.
    #[error("cannot listen to signals: {0}")]
    Signals(io::Error),
}

/// A proxy that serves until it is stopped.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<String>,
    socket_addresses: Vec<SocketAddr>,
    admin_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    stop_admin: watch::Sender<bool>,
    serving: JoinSet<()>,
    admin: JoinSet<()>,
    background: JoinSet<()>,
}

/// Serves until SIGTERM or SIGINT and drains. A second signal ends it at once.
pub async fn run(config: &Config) -> Result<(), StartError> {
    run_then(config, |_| ()).await
}

/// Likewise, calling `started` once every address is bound.
pub async fn run_then(config: &Config, started: impl FnOnce(&Running)) -> Result<(), StartError> {
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    let running = start(config, Clock::default()).await?;
    started(&running);
    signals.stop().await;
    tracing::info!(drain_s = config.drain.as_secs_f32(), "stopping");
    tokio::select! {
        () = running.stop() => tracing::info!("stopped"),
        () = signals.stop() => tracing::warn!("stopped at once"),
    }
    Ok(())
}

/// Binds every address, starts to fetch the first tokens and serves.
pub async fn start(config: &Config, clock: Clock) -> Result<Running, StartError> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ahds-proxy starts");
    let connections = Connections::new(&config.network)?;
    let mut listeners = Vec::new();
    for address in &config.listen {
        listeners.extend(bind(address).await?);
    }
    let mut own_listeners = Vec::new();
    for route in &config.routes {
        own_listeners.push(match &route.listen {
            Some(address) => bind(address).await?,
            None => None,
        });
    }
    let admin_listener = match config.admin {
        Some(address) => Some(Listener::tcp(address).await?),
        None => None,
    };

    let mut tokens = TokenCache::new(clock.clone());
    let ports = ports(&listeners, &own_listeners);
    let routes = routes(config, &ports, &connections, &mut tokens, &clock);
    let sources: Vec<Arc<Source>> = tokens.sources().cloned().collect();

    let (stop, stopped) = watch::channel(false);
    let (stop_admin, admin_stopped) = watch::channel(false);
    let mut running = Running {
        addresses: all(&listeners, &own_listeners)
            .map(Listener::address)
            .collect(),
        socket_addresses: all(&listeners, &own_listeners)
            .filter_map(Listener::socket_address)
            .collect(),
        admin_address: admin_listener.as_ref().and_then(Listener::socket_address),
        stop,
        stop_admin,
        serving: JoinSet::new(),
        admin: JoinSet::new(),
        background: JoinSet::new(),
    };
    for source in &sources {
        running.background.spawn(source.clone().keep_fresh());
    }

    let proxy = Proxy::new(routes.clone(), config);
    let limits = server::Limits {
        head_timeout: HEAD_TIMEOUT,
        keep_alive: KEEP_ALIVE,
        write_timeout: config.network.idle_timeout,
        max_head: (config.limits.request_head * 2).max(server::MIN_HEAD),
    };
    let permits = Arc::new(Semaphore::new(config.limits.connections));
    let mut doors = Vec::new();
    for listener in listeners {
        tracing::info!(address = listener.address(), "listening");
        doors.push((listener, proxy.clone()));
    }
    for (listener, route) in own_listeners.into_iter().zip(&routes) {
        if let Some(listener) = listener {
            let address = listener.address();
            tracing::info!(address, route = route.name(), "listening for one route");
            doors.push((listener, proxy.at_root_of(route)));
        }
    }
    for (listener, proxy) in doors {
        let permits = permits.clone();
        let serve = server::serve(
            listener,
            proxy,
            limits,
            permits,
            stopped.clone(),
            config.drain,
        );
        running.serving.spawn(serve);
    }
    if let Some(listener) = admin_listener {
        tracing::info!(address = listener.address(), "admin address");
        let admin = Admin::new(config, sources, stopped);
        let permits = Arc::new(Semaphore::new(ADMIN_CONNECTIONS));
        let serve = server::serve(
            listener,
            admin,
            limits,
            permits,
            admin_stopped,
            Duration::from_secs(1),
        );
        running.admin.spawn(serve);
    }
    for route in &config.routes {
        tracing::info!(
            route = &*route.name,
            prefix = route.prefix.as_str(),
            upstream = %format_args!("{}{}", route.upstream.origin(), route.upstream.base_path()),
            audience = route.audience.as_ref().map(tracing::field::display),
            credential = &*route.credential,
            kind = config.credentials[&route.credential].kind(),
            "route"
        );
    }
    Ok(running)
}

/// `None` where the address is not there and need not be.
async fn bind(address: &Listen) -> Result<Option<Listener>, StartError> {
    let bound = match address {
        Listen::Tcp { address, .. } => Listener::tcp(*address).await,
        Listen::Unix(path) => Listener::unix(path.clone()),
    };
    match bound {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if is_optional(address) && error.is_missing_address() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_optional(address: &Listen) -> bool {
    matches!(address, Listen::Tcp { optional: true, .. })
}

fn all<'a>(
    listeners: &'a [Listener],
    own_listeners: &'a [Option<Listener>],
) -> impl Iterator<Item = &'a Listener> {
    listeners.iter().chain(own_listeners.iter().flatten())
}

/// The ports by which each route can be called.
fn ports(listeners: &[Listener], own_listeners: &[Option<Listener>]) -> Vec<Ports> {
    let port = |listener: &Listener| Some(listener.socket_address()?.port());
    let shared: Vec<u16> = listeners.iter().filter_map(port).collect();
    own_listeners
        .iter()
        .map(|own| Ports {
            shared: shared.clone(),
            own: own.as_ref().and_then(port),
        })
        .collect()
}

/// One credential for each name, one token source for each credential and audience, one pool for
/// each upstream and HTTP version, however many routes share them.
fn routes(
    config: &Config,
    ports: &[Ports],
    connections: &Connections,
    tokens: &mut TokenCache,
    clock: &Clock,
) -> Vec<Arc<Route>> {
    credentials::withhold(config.secret_variables.iter().cloned());
    let endpoints = credentials::IdentityEndpoints::new(connections);
    let credentials: BTreeMap<&Arc<str>, Arc<Credential>> = config
        .credentials
        .iter()
        .map(|(name, keys)| (name, Arc::new(Credential::new(keys, &endpoints, clock))))
        .collect();
    let mut pools: BTreeMap<(String, HttpVersion), Pool<_>> = BTreeMap::new();
    config
        .routes
        .iter()
        .zip(Names::of_routes(config, ports))
        .map(|(route, names)| {
            let credential = &credentials[&route.credential];
            let source = tokens.source(&route.credential, credential, route.audience.as_ref());
            let upstream = &route.upstream;
            let pool = pools
                .entry((upstream.origin(), route.http))
                .or_insert_with(|| {
                    let origin =
                        Origin::new(upstream.scheme().clone(), upstream.authority().clone());
                    connections.pool(origin, route.http)
                });
            Arc::new(Route::new(route, names, source, pool.clone()))
        })
        .collect()
}

impl Running {
    /// Every address listened on, as `ip:port` with the real port, or `unix:/path`.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Those that are TCP.
    pub fn socket_addresses(&self) -> &[SocketAddr] {
        &self.socket_addresses
    }

    /// The admin address, unless it is off.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Stops accepting and waits until running requests have finished or the drain time is over. The
    /// admin address answers until then.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.serving.join_next().await.is_some() {}
        self.stop_admin.send_replace(true);
        while self.admin.join_next().await.is_some() {}
        self.background.shutdown().await;
    }
}
