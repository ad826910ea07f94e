//! The proxy itself. [`pipeline`] takes one request from its head to the head of its response, in
//! named steps. Each other file is one part of a step.

mod access_log;
mod advice;
mod body;
mod checks;
mod concurrency;
mod decompress;
mod failure;
mod guard;
mod headers;
mod lifecycle;
mod links;
mod minimum_rate;
pub(crate) mod page;
mod pipeline;
mod progress;
mod replay;
mod request_id;
mod response_fault;
mod retry;
mod route;
mod send;
mod service;
mod timers;

use std::sync::Arc;

use http::{Request, Response};
use parking_lot::RwLock;

use crate::{
    config::Config,
    server::{Handler, RequestBody},
};
use lifecycle::Lifecycle;
use pipeline::{Entry, Pipeline};

pub(crate) use body::ResponseBody;
pub(crate) use guard::{Guard, Transport};
pub(crate) use links::{BaseUrls, Ports};
pub(crate) use route::Route;

/// Serves the requests of all routes, or of one. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    /// The pipeline of the current configuration. A request in flight keeps the one it began with.
    current: Arc<RwLock<Arc<Pipeline>>>,
    lifecycle: Arc<Lifecycle>,
    entry: Entry,
}

impl Proxy {
    /// Serves `routes` through this many listeners, which share out `limits.requests`.
    pub(crate) fn new(routes: Vec<Arc<Route>>, config: &Config, listeners: usize) -> Self {
        let lifecycle = Arc::default();
        let pipeline = Pipeline::new(routes, config, listeners, &lifecycle);
        Self {
            current: Arc::new(RwLock::new(Arc::new(pipeline))),
            lifecycle,
            entry: Entry::default(),
        }
    }

    /// Serves one route at the root of a listener of its own.
    #[must_use]
    pub(crate) fn at_root_of(&self, route: Arc<str>) -> Self {
        let mut proxy = self.clone();
        proxy.entry.own_route = Some(route);
        proxy
    }

    /// Serves the listener with this number, counted from 0.
    #[must_use]
    pub(crate) fn through(&self, listener: usize) -> Self {
        let mut proxy = self.clone();
        proxy.entry.listener = listener;
        proxy
    }

    /// Serves a listener of this transport.
    #[must_use]
    pub(crate) fn over(&self, transport: Transport) -> Self {
        let mut proxy = self.clone();
        proxy.entry.transport = transport;
        proxy
    }

    /// Serves every request from now on with these routes and this configuration.
    pub(crate) fn replace(&self, routes: Vec<Arc<Route>>, config: &Config) {
        let listener_count = self.pipeline().listener_count();
        let pipeline = Arc::new(Pipeline::new(
            routes,
            config,
            listener_count,
            &self.lifecycle,
        ));
        *self.current.write() = pipeline;
    }

    /// Notes that the requests in flight are cut off now. Without this, the access log would say
    /// that their clients left.
    pub(crate) fn cut_off(&self) {
        self.lifecycle.cut_off();
    }

    /// Notes that the process is stopping: requests that wait for a token do not wait much longer.
    pub(crate) fn stop(&self) {
        self.lifecycle.stop();
    }

    /// The number of requests in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.lifecycle.in_flight()
    }

    fn pipeline(&self) -> Arc<Pipeline> {
        self.current.read().clone()
    }
}

impl Handler for Proxy {
    type Body = ResponseBody;

    async fn handle(self, request: Request<RequestBody>) -> Response<ResponseBody> {
        self.pipeline().run(&self.entry, request).await
    }

    fn cut_off(&self) {
        Self::cut_off(self);
    }
}
