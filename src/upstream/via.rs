//! The way of a connection, for messages.

use std::fmt;

use crate::config::ForwardProxy;

/// The HTTP proxy through which a connection goes, if there is one. Its text follows the name of a
/// host, and is empty for a direct connection.
#[derive(Debug, Clone)]
pub struct Via(Option<ForwardProxy>);

impl Via {
    pub(super) fn new(proxy: Option<&ForwardProxy>) -> Self {
        Self(proxy.cloned())
    }

    pub(super) fn proxy(&self) -> Option<&ForwardProxy> {
        self.0.as_ref()
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(proxy) => write!(f, " through the proxy {proxy}"),
            None => Ok(()),
        }
    }
}
