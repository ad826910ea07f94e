//! The service behind the listeners: a function from a request to a response.

use std::net::IpAddr;

use http::{Request, Response};
use http_body::Body;

use super::request_body::RequestBody;

/// Handles requests. A handler never fails, since an error is a response, too.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The response's body.
    type Body: Body<
            Data = bytes::Bytes,
            Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + Unpin,
        > + Send
        + Unpin
        + 'static;

    /// Returns the handler for one connection. `peer` is `None` over a Unix socket.
    #[must_use]
    fn for_peer(self, _peer: Option<IpAddr>) -> Self {
        self
    }

    /// Handles one request. The future is dropped when the client leaves.
    fn handle(
        self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static;

    /// Called when the drain time is over, before the requests still in flight are dropped.
    fn cut_off(&self) {}
}
