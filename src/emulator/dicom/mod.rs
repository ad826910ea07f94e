//! The Dicom service: stub.

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;

use super::{
    Options,
    body::{self, Body},
    faults::Faults,
    probe,
    serve::Connection,
    tokens::TokenCheck,
    traffic::Traffic,
};

/// The service.
#[derive(Debug)]
pub struct Dicom {
    traffic: Traffic,
    faults: Faults,
    tokens: TokenCheck,
}

impl Dicom {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            traffic: Traffic::new(options.remembered_requests),
            faults: Faults::default(),
            tokens: TokenCheck::new(&[]),
        }
    }
    pub(super) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> Response<Body> {
        let (running, request) = self.traffic.begin(request, &connection);
        let method = request.method().clone();
        let _ = self.tokens.check(request.headers());
        let _ = self.faults.suffer(None, &connection).await;
        let response = if request.uri().path().starts_with(probe::PREFIX) {
            probe::answer(request, &self.traffic, &connection).await
        } else {
            body::empty(StatusCode::NOT_FOUND)
        };
        running.follow(&method, response)
    }
}
