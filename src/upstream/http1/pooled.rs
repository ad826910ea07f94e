//! A connection on loan from its pool.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use super::wire::Wire;

/// Takes back the connections that can serve another request.
pub(in super::super) trait WirePool: Send + Sync {
    fn put_back(self: Arc<Self>, wire: Box<Wire>);
}

/// A connection for one request. On drop it goes back to its pool if the request is sent and the
/// response received, and is closed otherwise.
pub(in super::super) struct PooledWire {
    /// The connection. `None` only while this value is dropped.
    wire: Option<Box<Wire>>,
    pool: Arc<dyn WirePool>,
    is_reusable: bool,
}

impl PooledWire {
    pub(in super::super) fn new(wire: Box<Wire>, pool: Arc<dyn WirePool>) -> Self {
        Self {
            wire: Some(wire),
            pool,
            is_reusable: false,
        }
    }

    /// Notes that the connection may go back to its pool.
    pub(super) fn set_reusable(&mut self) {
        self.is_reusable = true;
    }
}

impl Deref for PooledWire {
    type Target = Wire;

    fn deref(&self) -> &Wire {
        self.wire.as_deref().expect("only drop takes it")
    }
}

impl DerefMut for PooledWire {
    fn deref_mut(&mut self) -> &mut Wire {
        self.wire.as_deref_mut().expect("only drop takes it")
    }
}

impl Drop for PooledWire {
    fn drop(&mut self) {
        if let Some(mut wire) = self.wire.take().filter(|_| self.is_reusable) {
            wire.shrink();
            self.pool.clone().put_back(wire);
        }
    }
}

impl fmt::Debug for PooledWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledWire").finish_non_exhaustive()
    }
}
