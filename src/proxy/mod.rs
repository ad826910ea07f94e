//! The pipeline of one request. `Proxy::answer` reads top to bottom; each step is a plain
//! function in a file of its own.

mod access_log;
mod body;
mod challenge;
mod checks;
mod concurrency;
mod decompress;
mod failure;
mod guard;
mod headers;
mod links;
mod minimum_rate;
mod progress;
mod replay;
mod request_id;
mod retry;
mod route;
mod send;
mod service;
mod throttled;
mod timers;

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body as _;
use http_body_util::Full;

use crate::{
    config::{self, RouteKind},
    server::{Handler, RequestBody},
    upstream::SendError,
};
use access_log::AccessLog;
use body::{ClientBody, Download, DownloadBody};
use concurrency::{ConcurrencyLimit, Permit};
use failure::Failure;
use guard::Caller;
use links::ListenerKind;
use progress::Progress;
use send::{send, upstream_request};
use service::Interaction;
use timers::Timers;

pub use body::{DownloadError, ResponseBody, UploadBody, UploadError};
pub use guard::{Guard, Transport};
pub use links::{BaseUrls, Ports};
pub use progress::Timeouts;
pub use route::Route;

/// Answers the requests of all routes, or of one. Clones share everything.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// A request keeps what it began with when another configuration takes over.
    current: Arc<RwLock<Arc<Shared>>>,
    /// The only route, served at the root.
    own: Option<Arc<str>>,
    /// The number of the listener.
    listener: usize,
    transport: Transport,
}

#[derive(Debug)]
struct Shared {
    routes: Vec<Arc<Route>>,
    guard: Guard,
    timeouts: Timeouts,
    limits: config::Limits,
    concurrency: ConcurrencyLimit,
    listeners: usize,
    timers: Timers,
    /// Told to every request that runs, whichever configuration it began with.
    is_cut_off: Arc<AtomicBool>,
}

/// What an answer of the proxy's own has to look like.
#[derive(Debug, Clone, Copy)]
struct Shape {
    kind: Option<RouteKind>,
    is_head_only: bool,
}

impl Shape {
    fn of(head: &Parts, kind: Option<RouteKind>) -> Self {
        Self {
            kind,
            is_head_only: head.method == Method::HEAD,
        }
    }
}

impl Proxy {
    /// Puts the pipeline together, for so many listeners that share out `limits.requests`.
    pub fn new(routes: Vec<Arc<Route>>, config: &config::Config, listeners: usize) -> Self {
        Self {
            current: Arc::new(RwLock::new(Arc::new(Shared::new(
                routes,
                config,
                listeners,
                Arc::default(),
            )))),
            own: None,
            listener: 0,
            transport: Transport::Plain,
        }
    }

    /// Serves one route at the root of its own listener.
    #[must_use]
    pub fn at_root_of(&self, route: Arc<str>) -> Self {
        Self {
            own: Some(route),
            ..self.clone()
        }
    }

    /// For the listener of that number, counted from 0.
    #[must_use]
    pub fn through(&self, listener: usize) -> Self {
        Self {
            listener,
            ..self.clone()
        }
    }

    /// For a listener of this transport.
    #[must_use]
    pub fn over(&self, transport: Transport) -> Self {
        Self {
            transport,
            ..self.clone()
        }
    }

    /// Serves every request from now on with these routes and this configuration.
    pub fn replace(&self, routes: Vec<Arc<Route>>, config: &config::Config) {
        let old = self.shared();
        let is_cut_off = old.is_cut_off.clone();
        let shared = Arc::new(Shared::new(routes, config, old.listeners, is_cut_off));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = shared;
    }

    /// Notes that what still runs is given up now, so that the log does not say the clients left.
    pub fn cut_off(&self) {
        self.shared().is_cut_off.store(true, Ordering::Relaxed);
    }

    fn shared(&self) -> Arc<Shared> {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn answer(&self, request: Request<RequestBody>) -> Response<ResponseBody> {
        let shared = self.shared();
        let (head, body) = request.into_parts();
        let mut access_log = AccessLog::new(
            Instant::now(),
            &head.method,
            &head.headers,
            &shared.is_cut_off,
        );
        let path = head.uri.path();
        let routed = match &self.own {
            Some(name) => route::by_name(&shared.routes, name, path),
            None => route::find(&shared.routes, path),
        };
        let shape = Shape::of(&head, routed.map(|(route, _)| route.kind));

        let has_pages = routed.is_some_and(|(route, _)| route.pages);
        let page = match shared.guard.check(&head, self.transport, has_pages) {
            Ok(Caller::Local) => None,
            Ok(Caller::Page(origin)) => Some(origin),
            Ok(Caller::Preflight(origin)) => {
                let response = guard::preflight_response(&origin, &head.headers);
                access_log.refuse(response.status(), 0);
                return response.map(|()| ResponseBody::Own(Full::default()));
            }
            Err(failure) => return refuse(failure, shape, access_log),
        };
        let forwarded = match routed {
            Some((route, rest)) => {
                let target = Target {
                    route: route.clone(),
                    rest_at: path.len() - rest.len(),
                    listener: self.listener,
                    entry: ListenerKind {
                        is_own: self.own.is_some(),
                        is_tls: self.transport == Transport::Tls,
                    },
                };
                shared.forward(&target, head, body, &mut access_log).await
            }
            None => Err(Failure::no_such_route(
                shared.routes.iter().map(|route| route.prefix()),
            )),
        };
        let mut response = match forwarded {
            Ok(answered) => answered.into_response(access_log),
            Err(failure) => refuse(failure, shape, access_log),
        };
        if let Some(origin) = page {
            guard::allow_origin(response.headers_mut(), &origin);
        }
        response
    }
}

/// Where a request goes.
struct Target {
    route: Arc<Route>,
    /// Where in the path the upstream's part of it begins.
    rest_at: usize,
    listener: usize,
    entry: ListenerKind,
}

impl Shared {
    fn new(
        routes: Vec<Arc<Route>>,
        config: &config::Config,
        listeners: usize,
        is_cut_off: Arc<AtomicBool>,
    ) -> Self {
        Self {
            is_cut_off,
            concurrency: ConcurrencyLimit::new(config.limits.requests, routes.len(), listeners),
            listeners,
            routes,
            guard: Guard::new(&config.security),
            timeouts: Timeouts {
                response: config.network.response_timeout,
                idle: config.network.idle_timeout,
            },
            timers: Timers::default(),
            limits: config.limits.clone(),
        }
    }

    async fn forward(
        &self,
        target: &Target,
        head: Parts,
        body: RequestBody,
        access_log: &mut AccessLog,
    ) -> Result<Answered, Failure> {
        let route = &*target.route;
        let rest = &head.uri.path()[target.rest_at..];
        let interaction = Interaction::of(route.kind, &head.method, rest);
        access_log.set_route(&route.name, interaction.resource);
        checks::target(&head)?;
        checks::head_size(&head, self.limits.request_head)?;
        let links = route.names.as_ref();
        let links = links.map(|names| names.links(&head, target.entry));
        let links = links.as_deref();
        let query = head.uri.query();
        let rewritten = links.and_then(|links| links.in_query(query?));
        let uri = route.target(rest, rewritten.as_deref().or(query))?;
        checks::method(route, &head, &interaction, !body.is_end_stream())?;
        checks::transfer_coding(&head)?;
        checks::body_size(&body, self.limits.request_body)?;
        let place = self.place(target)?;

        let token = if interaction.is_public {
            route.source.at_hand()
        } else {
            let token = route.source.token().await;
            Some(token.map_err(|unavailable| Failure::no_token(&unavailable))?)
        };

        let progress = Arc::new(Progress::new(self.timeouts));
        access_log.set_exchange(&progress);
        let plan = links.and_then(|_| interaction.response);
        let search = links
            .filter(|_| !body.is_end_stream())
            .and_then(|links| links.in_request_body(route.kind, &head, interaction));
        let is_repeatable = throttled::is_repeatable(&head.method) && body.is_end_stream();
        let is_head = head.method == Method::HEAD;
        let mut request = upstream_request(route, head, uri, token.as_deref());
        if let Some(links) = links {
            links.in_request_headers(plan, request.headers_mut());
        }
        let client = ClientBody::new(body, progress.clone(), self.limits.request_body);
        let upload = match search {
            None => UploadBody::new(client),
            // Boxed, since most requests would only carry the room for it about.
            Some(rewrite) => {
                let headers = request.headers_mut();
                let rewriting = body::rewrite(client, &rewrite, headers, &progress, &self.timers);
                Box::pin(rewriting).await?
            }
        };

        let mut answer = send(route, &request, upload, &progress, self).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            let again = retry::authorized(self, route, &mut request, token.as_ref(), &progress);
            if let Some(second) = Box::pin(again).await? {
                answer = second;
            }
        }
        if route.retry_throttled
            && is_repeatable
            && throttled::wait(&answer, route.source.now()).is_some()
        {
            let again = retry::unhurried(self, route, request, answer, &progress);
            answer = Box::pin(again).await?;
        }

        let (mut head, body) = answer.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked: Upgrade is not passed on.
            return Err(Failure::not_sent(&SendError::Protocol));
        }
        checks::transfer_coding_of_answer(&head.headers)?;
        headers::strip_response(head.status, &mut head.headers);
        if !route.pages {
            headers::confine(&mut head.headers);
        }
        if !body.takes_request() {
            // Nor is it read from the client, whose connection ends with the answer.
            headers::announce_end(&mut head.headers);
        }
        if head.status == StatusCode::UNAUTHORIZED {
            challenge::explain(route, &mut head.headers);
        }
        head.version = http::Version::HTTP_11;
        let mut rewrite = None;
        if let Some(links) = links {
            links.in_answer_headers(&mut head.headers);
            // What is said of a body to GET is said to HEAD.
            let has_body = is_head || !body.is_end_stream();
            let plan = plan.filter(|_| has_body);
            rewrite = plan.and_then(|plan| links.in_answer_body(plan, &head));
        }
        let headers = &mut head.headers;
        let body = match &rewrite {
            Some(rewrite) if !is_head => {
                Download::searched(body, rewrite, headers, &progress, &self.timers).await?
            }
            Some(_) => {
                links::mark_answer(headers);
                Download::Plain(body)
            }
            None => Download::Plain(body),
        };
        access_log.set_head(head.status, &head.headers, progress.moved());
        Ok(Answered {
            head,
            is_head,
            body,
            progress,
            place,
        })
    }

    fn place(&self, target: &Target) -> Result<Permit, Failure> {
        let mut routes = self.routes.iter();
        let number = routes.position(|route| Arc::ptr_eq(route, &target.route));
        let place = self
            .concurrency
            .acquire(number.unwrap_or_default(), target.listener);
        place.ok_or_else(|| Failure::too_many_requests(self.limits.requests))
    }
}

impl Handler for Proxy {
    type Body = ResponseBody;

    async fn handle(self, request: Request<RequestBody>) -> Response<ResponseBody> {
        self.answer(request).await
    }

    fn cut_off(&self) {
        Self::cut_off(self);
    }
}

/// An upstream's response and all that must last as long as its body.
struct Answered {
    head: http::response::Parts,
    /// The client takes nothing but the head.
    is_head: bool,
    body: Download,
    progress: Arc<Progress>,
    place: Permit,
}

impl Answered {
    fn into_response(self, mut access_log: AccessLog) -> Response<ResponseBody> {
        if self.is_head || self.body.is_all_out() {
            access_log.set_outcome(access_log::Outcome::Complete);
        }
        let body = DownloadBody::new(self.body, self.progress, access_log, self.place);
        Response::from_parts(self.head, ResponseBody::Upstream(body))
    }
}

fn refuse(failure: Failure, shape: Shape, access_log: AccessLog) -> Response<ResponseBody> {
    let mut response = failure.into_response(shape.kind);
    let length = response.body().len();
    if shape.is_head_only {
        // hyper would send the body all the same over HTTP/2.
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
        *response.body_mut() = Bytes::new();
    }
    access_log.refuse(response.status(), response.body().len());
    response.map(|body| ResponseBody::Own(Full::new(body)))
}
