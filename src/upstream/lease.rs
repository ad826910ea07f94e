//! One request's share of an HTTP/2 connection.

use std::sync::Arc;

use http::{Request, Response};
use hyper::{body::Incoming, client::conn::TrySendError};

use super::{connection::Http2, pool::Shared, request_body::Watched};

/// Counts as a request on its connection from the request's head to the end of the response's body.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Arc<Shared>,
    connection: Http2,
}

impl Lease {
    pub(super) fn new(pool: Arc<Shared>, connection: Http2) -> Self {
        connection.add_request();
        Self { pool, connection }
    }

    /// Keeps every later request off this connection.
    pub(super) fn give_up(&self) {
        self.pool.forget(&self.connection);
    }

    /// Notes that the connection has refused the request, and returns the connection.
    pub(super) fn refused(&self) -> Http2 {
        self.connection.set_refusing(true);
        self.connection.clone()
    }

    pub(super) async fn send(
        &mut self,
        request: Request<Watched>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Watched>>> {
        let response = self.connection.send(request, &self.pool.origin).await?;
        self.connection.set_refusing(false);
        Ok(response)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.pool.release(&self.connection);
    }
}
