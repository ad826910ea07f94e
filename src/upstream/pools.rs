//! A pool for each origin that a credential calls.

use std::collections::HashMap;

use bytes::Bytes;
use http::{Request, Response, Uri, uri::PathAndQuery};
use parking_lot::Mutex;

use super::{
    connect::Connector, error::SendError, origin::Origin, pool::Pool, request_body::RequestBody,
    response_body::ResponseBody,
};
use crate::config::HttpVersion;

/// A pool for each origin to which a request with an absolute URI has been sent.
#[derive(Debug)]
pub struct Pools {
    connector: Connector,
    pools: Mutex<HashMap<String, Pool>>,
}

impl Pools {
    pub(super) fn new(connector: Connector) -> Self {
        Self {
            connector,
            pools: Mutex::default(),
        }
    }

    /// Sends a request with an absolute URI, as [`Pool::send`] does.
    pub async fn send(
        &self,
        mut head: Request<()>,
        body: Bytes,
    ) -> Result<Response<ResponseBody>, SendError> {
        let origin = Origin::of(head.uri()).ok_or(SendError::Protocol)?;
        let target = head.uri().path_and_query().cloned();
        *head.uri_mut() = Uri::from(target.unwrap_or_else(|| PathAndQuery::from_static("/")));
        let pool = {
            let mut pools = self.pools.lock();
            let key = format!("{}:{origin}", origin.scheme());
            let pool = pools
                .entry(key)
                .or_insert_with(|| Pool::new(self.connector.clone(), origin, HttpVersion::Auto));
            pool.clone()
        };
        let rebuild = |_| std::future::ready(Some(RequestBody::from(body.clone())));
        pool.send(&head, RequestBody::from(body.clone()), rebuild)
            .await
    }
}
