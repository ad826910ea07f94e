//! The listeners: those that serve every route, and those of single routes.

use std::sync::Arc;

use crate::{
    config::{Config, Listen},
    proxy::Ports,
    server::{BindError, Listener, Tls},
};

/// A bound address, and the route that it serves alone, if it does.
#[derive(Debug)]
pub(super) struct BoundListener {
    pub(super) listener: Listener,
    /// Listeners that let in the same callers have the same number, counted from 0.
    pub(super) number: usize,
    pub(super) route: Option<Arc<str>>,
}

/// All of them, those of every route first.
#[derive(Debug)]
pub(super) struct BoundListeners(pub(super) Vec<BoundListener>);

impl BoundListeners {
    /// Binds every address; those of TCP speak TLS where there is a certificate.
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

    /// How many of them let in callers of their own.
    pub(super) fn numbers(&self) -> usize {
        self.0
            .iter()
            .map(|bound| bound.number + 1)
            .max()
            .unwrap_or(0)
    }

    /// The ports that clients may name; a Unix socket has none.
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

/// A caller that reaches one loopback address reaches them all.
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
