//! Binds the listeners: those that serve every route, and those that serve one.

use std::sync::Arc;

use crate::{
    config::{Config, Listen},
    proxy::Ports,
    server::{BindError, Listener, Tls},
};

/// A bound address.
#[derive(Debug)]
pub(super) struct BoundListener {
    pub(super) listener: Listener,
    /// The number of the listener, counted from 0. Listeners for the same callers have the same
    /// number.
    pub(super) number: usize,
    /// The route that the listener serves alone. `None` if it serves every route.
    pub(super) route: Option<Arc<str>>,
}

/// All listeners. Those that serve every route come first.
#[derive(Debug)]
pub(super) struct BoundListeners(pub(super) Vec<BoundListener>);

impl BoundListeners {
    /// Binds every address. TCP addresses speak TLS if there is a certificate.
    pub(super) async fn open(config: &Config, tls: Option<&Tls>) -> Result<Self, BindError> {
        let shared = config.listen.iter().map(|listen| (listen, None));
        let own = config.routes.iter().filter_map(|route| {
            let listen = route.listen.as_ref()?;
            Some((listen, Some(route.name.clone())))
        });
        let mut bound_listeners: Vec<BoundListener> = Vec::new();
        for (listen, route) in shared.chain(own) {
            match bind(listen, tls).await {
                Ok(listener) => {
                    let number = number(&bound_listeners, &listener);
                    bound_listeners.push(BoundListener {
                        listener,
                        number,
                        route,
                    });
                }
                Err(error) if is_optional(listen) && error.is_missing_address() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self(bound_listeners))
    }

    pub(super) fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.0.iter().map(|bound| &bound.listener)
    }

    /// The number of groups of listeners with different callers.
    pub(super) fn numbers(&self) -> usize {
        self.0
            .iter()
            .map(|bound| bound.number + 1)
            .max()
            .unwrap_or(0)
    }

    /// The ports that clients may name. A Unix socket has none.
    pub(super) fn ports(&self) -> Ports {
        let is_tls = self.listeners().any(Listener::is_tls);
        let mut ports = Ports {
            is_tls,
            ..Ports::default()
        };
        for BoundListener {
            listener, route, ..
        } in &self.0
        {
            let Some(address) = listener.socket_address() else {
                continue;
            };
            match route {
                Some(route) => {
                    ports.own.insert(route.clone(), address.port());
                }
                None => ports.shared.push(address.port()),
            }
        }
        ports
    }
}

async fn bind(listen: &Listen, tls: Option<&Tls>) -> Result<Listener, BindError> {
    match (listen, tls) {
        (Listen::Tcp { address, .. }, None) => Listener::tcp(*address).await,
        (Listen::Tcp { address, .. }, Some(tls)) => Listener::tls(*address, tls.clone()).await,
        (Listen::Unix(path), _) => Listener::unix(path.clone()),
    }
}

/// The number of a new listener. All loopback addresses share a number, since a caller that reaches
/// one reaches all.
fn number(bound_listeners: &[BoundListener], listener: &Listener) -> usize {
    let is_loopback = |listener: &Listener| {
        let address = listener.socket_address();
        address.is_some_and(|address| address.ip().is_loopback())
    };
    let twin = bound_listeners
        .iter()
        .find(|bound| is_loopback(listener) && is_loopback(&bound.listener));
    let next = bound_listeners.iter().map(|bound| bound.number + 1).max();
    twin.map_or(next.unwrap_or(0), |bound| bound.number)
}

fn is_optional(listen: &Listen) -> bool {
    matches!(listen, Listen::Tcp { optional: true, .. })
}
