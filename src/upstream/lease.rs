//! A connection in use by one request, from its head to the end of the response's body.

use std::sync::Arc;

use http::{Request, Response};
use hyper::{body::Incoming, client::conn::TrySendError};

use super::{PoolBody, connection::Connection, pool::Shared};

/// Gives the connection back when dropped. Keep it as long as the response's body.
#[derive(Debug)]
pub struct Lease<B: PoolBody> {
    pool: Arc<Shared<B>>,
    connection: Option<Connection<B>>,
    is_reused: bool,
}

impl<B: PoolBody> Lease<B> {
    /// Of a connection that was opened for this request.
    pub(super) fn fresh(pool: Arc<Shared<B>>, connection: Connection<B>) -> Self {
        Self::new(pool, connection, false)
    }

    /// Of a connection that has served before, so that the server may be closing it right now.
    pub(super) fn reused(pool: Arc<Shared<B>>, connection: Connection<B>) -> Self {
        Self::new(pool, connection, true)
    }

    fn new(pool: Arc<Shared<B>>, connection: Connection<B>, is_reused: bool) -> Self {
        if let Connection::Http2(connection) = &connection {
            connection.add_request();
        }
        Self {
            pool,
            connection: Some(connection),
            is_reused,
        }
    }

    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Sends nothing more over this connection.
    pub(super) fn give_up(&self) {
        if let Some(Connection::Http2(connection)) = &self.connection {
            self.pool.forget(connection);
        }
    }

    pub(super) async fn send(
        &mut self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, TrySendError<Request<B>>> {
        let connection = self.connection.as_mut();
        let connection = connection.expect("a lease has its connection until it is dropped");
        connection.send(request, &self.pool.origin).await
    }
}

impl<B: PoolBody> Drop for Lease<B> {
    fn drop(&mut self) {
        match self.connection.take() {
            Some(Connection::Http1(sender)) if sender.is_closed() => {}
            Some(Connection::Http1(sender)) if sender.is_ready() => self.pool.put(sender),
            // The last bytes are still on their way, or they never come: then it ends here.
            Some(Connection::Http1(mut sender)) => {
                let pool = self.pool.clone();
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move {
                        if sender.ready().await.is_ok() {
                            pool.put(sender);
                        }
                    });
                }
            }
            Some(Connection::Http2(connection)) => self.pool.release(&connection),
            None => {}
        }
    }
}
