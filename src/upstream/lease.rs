//! A place on an HTTP/2 connection, from a request's head to the end of the response's body.

use std::sync::Arc;

use http::{Request, Response};
use hyper::{body::Incoming, client::conn::TrySendError};

use super::{PoolBody, connection::Http2, pool::Shared};

/// Counts as a request until it is dropped.
#[derive(Debug)]
pub(super) struct Lease<B: PoolBody> {
    pool: Arc<Shared<B>>,
    connection: Http2<B>,
}

impl<B: PoolBody> Lease<B> {
    pub(super) fn new(pool: Arc<Shared<B>>, connection: Http2<B>) -> Self {
        connection.add_request();
        Self { pool, connection }
    }

    /// Sends nothing more over this connection.
    pub(super) fn give_up(&self) {
        self.pool.forget(&self.connection);
    }

    /// The connection, which has refused the request.
    pub(super) fn refused(&self) -> Http2<B> {
        self.connection.set_refusing(true);
        self.connection.clone()
    }

    pub(super) async fn send(
        &mut self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, TrySendError<Request<B>>> {
        let response = self.connection.send(request, &self.pool.origin).await?;
        self.connection.set_refusing(false);
        Ok(response)
    }
}

impl<B: PoolBody> Drop for Lease<B> {
    fn drop(&mut self) {
        self.pool.release(&self.connection);
    }
}
