//! The pipeline of one request. `Proxy::answer` reads top to bottom; each step is a plain
//! function in a file of its own.

mod alarm;
mod anonymous;
mod body;
mod challenge;
mod checks;
mod client_body;
mod decoded;
mod exchange;
mod failure;
mod guard;
mod headers;
mod kept;
mod links;
mod media;
mod names;
mod record;
mod request_id;
mod resource;
mod rewritten;
mod route;
mod throttled;
mod unpacked;
mod upload;

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
use hyper::body::Incoming;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use crate::{
    config::{self, RouteKind},
    server::Handler,
    token::Token,
    upstream::{Lease, SendError},
};
use alarm::Alarms;
use body::DownloadBody;
use client_body::ClientBody;
use exchange::Exchange;
use failure::Failure;
use guard::Verdict;
use links::Scan;
use record::Record;

pub use body::{DownloadError, ResponseBody, UploadBody};
pub use client_body::UploadError;
pub use exchange::Timeouts;
pub use guard::Guard;
pub use names::{Names, Ports};
pub use route::Route;

/// Answers the requests of all routes, or of one. Clones share everything.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// A request keeps what it began with when another configuration takes over.
    current: Arc<RwLock<Arc<Shared>>>,
    /// The only route, served at the root.
    own: Option<Arc<str>>,
}

/// An upstream's response, and the connection it comes over.
type Sent = (Response<Incoming>, Lease<UploadBody>);

#[derive(Debug)]
struct Shared {
    routes: Vec<Arc<Route>>,
    guard: Guard,
    timeouts: Timeouts,
    limits: config::Limits,
    requests: Arc<Semaphore>,
    alarms: Alarms,
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
    /// Puts the pipeline together.
    pub fn new(routes: Vec<Arc<Route>>, config: &config::Config) -> Self {
        Self {
            current: Arc::new(RwLock::new(Arc::new(Shared::new(
                routes,
                config,
                Arc::default(),
            )))),
            own: None,
        }
    }

    /// The same for a listener of a route's own.
    #[must_use]
    pub fn at_root_of(&self, route: Arc<str>) -> Self {
        Self {
            current: self.current.clone(),
            own: Some(route),
        }
    }

    /// Serves every request from now on with these routes and this configuration.
    pub fn replace(&self, routes: Vec<Arc<Route>>, config: &config::Config) {
        let is_cut_off = self.shared().is_cut_off.clone();
        let shared = Arc::new(Shared::new(routes, config, is_cut_off));
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

    async fn answer(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let shared = self.shared();
        let (head, body) = request.into_parts();
        let mut record = Record::new(
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

        let page = match shared.guard.check(&head) {
            Ok(Verdict::Local) => None,
            Ok(Verdict::Page(origin)) => Some(origin),
            Ok(Verdict::Preflight(origin)) => {
                let response = guard::preflight_response(&origin, &head.headers);
                record.refuse(response.status(), 0);
                return response.map(|()| ResponseBody::Own(Full::default()));
            }
            Err(failure) => return refuse(failure, shape, record),
        };
        let forwarded = match routed {
            Some((route, rest)) => {
                let target = Target {
                    route: route.clone(),
                    rest_at: path.len() - rest.len(),
                    is_own: self.own.is_some(),
                };
                shared.forward(&target, head, body, &mut record).await
            }
            None => Err(Failure::no_such_route(
                shared.routes.iter().map(|route| route.prefix()),
            )),
        };
        let mut response = match forwarded {
            Ok(answered) => answered.into_response(record),
            Err(failure) => refuse(failure, shape, record),
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
    /// By the route's own listener.
    is_own: bool,
}

impl Shared {
    fn new(routes: Vec<Arc<Route>>, config: &config::Config, is_cut_off: Arc<AtomicBool>) -> Self {
        Self {
            is_cut_off,
            routes,
            guard: Guard::new(&config.security),
            timeouts: Timeouts {
                response: config.network.response_timeout,
                idle: config.network.idle_timeout,
            },
            requests: Arc::new(Semaphore::new(config.limits.requests)),
            alarms: Alarms::default(),
            limits: config.limits.clone(),
        }
    }

    async fn forward(
        &self,
        target: &Target,
        head: Parts,
        body: Incoming,
        record: &mut Record,
    ) -> Result<Answered, Failure> {
        let route = &*target.route;
        let rest = &head.uri.path()[target.rest_at..];
        record.set_route(&route.name, resource::of(route.kind, rest));
        checks::head_size(&head, self.limits.request_head)?;
        let links = route.names.as_ref();
        let links = links.map(|names| names.links(&head, target.is_own));
        let links = links.as_deref();
        let query = head.uri.query();
        let rewritten = links.and_then(|links| links.in_query(query?));
        let uri = route.target(rest, rewritten.as_deref().or(query))?;
        checks::method(route, &head, rest)?;
        checks::transfer_coding(&head)?;
        checks::body_size(&body, self.limits.request_body)?;
        let permit = self.permit()?;

        let token = if anonymous::is_open(route.kind, &head.method, rest) {
            route.source.at_hand()
        } else {
            let token = route.source.token().await;
            Some(token.map_err(|unavailable| Failure::no_token(&unavailable))?)
        };

        let exchange = Arc::new(Exchange::new(self.timeouts));
        record.set_exchange(&exchange);
        let plan = links.and_then(|_| links::plan(route.kind, &head.method, rest));
        let search = links
            .filter(|_| !body.is_end_stream())
            .and_then(|links| links.in_request_body(route.kind, &head, rest));
        let is_repeatable = throttled::is_repeatable(&head.method) && body.is_end_stream();
        let is_head = head.method == Method::HEAD;
        let mut request = upstream_request(route, head, uri, token.as_deref());
        if let Some(links) = links {
            links.in_request_headers(plan, request.headers_mut());
        }
        let client = ClientBody::new(body, exchange.clone(), self.limits.request_body);
        let upload = match search {
            None => UploadBody::new(client),
            // Boxed, since most requests would only carry the room for it about.
            Some(scan) => {
                let headers = request.headers_mut();
                let rewriting = upload::rewrite(client, &scan, headers, &exchange, &self.alarms);
                Box::pin(rewriting).await?
            }
        };

        let mut answer = send(route, &request, upload, &exchange, self).await?;
        if answer.0.status() == StatusCode::UNAUTHORIZED {
            let again = self.authorize_again(route, &mut request, token.as_ref(), &exchange);
            if let Some(second) = Box::pin(again).await? {
                answer = second;
            }
        }
        if route.retry_throttled
            && is_repeatable
            && throttled::wait(&answer.0, route.source.now()).is_some()
        {
            let again = self.repeat_throttled(route, request, answer, &exchange);
            answer = Box::pin(again).await?;
        }
        let (response, lease) = answer;

        let (mut head, body) = response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked: Upgrade is not passed on.
            return Err(Failure::not_sent(&SendError::Protocol));
        }
        headers::strip_response(&mut head.headers);
        if head.status == StatusCode::UNAUTHORIZED {
            challenge::explain(route, &mut head.headers);
        }
        head.version = http::Version::HTTP_11;
        let mut scan = None;
        if let Some(links) = links {
            links.in_answer_headers(&mut head.headers);
            // What is said of a body to GET is said to HEAD.
            let has_body = is_head || !body.is_end_stream();
            let plan = plan.filter(|_| has_body);
            scan = plan.and_then(|plan| links.in_answer_body(plan, &mut head));
        }
        record.set_head(head.status, &head.headers, exchange.moved());
        Ok(Answered {
            head,
            scan: scan.filter(|_| !is_head).map(Box::new),
            body,
            exchange,
            lease,
            permit,
        })
    }

    /// Sends a request with a new token in place of the one that the upstream has refused, or with
    /// one at all. `None` where that is no use or not possible, and the refusal is the answer.
    async fn authorize_again(
        &self,
        route: &Route,
        request: &mut Request<()>,
        refused: Option<&Arc<Token>>,
        exchange: &Exchange,
    ) -> Result<Option<Sent>, Failure> {
        let token = match refused {
            Some(refused) => route.source.replace(refused).await,
            None => route.source.token().await.map(Some),
        };
        let token = token.map_err(|unavailable| Failure::no_token(&unavailable))?;
        // The next request profits from a new token even if this one cannot be repeated.
        let Some(token) = token else {
            return Ok(None);
        };
        let Some(body) = exchange.take_kept().await else {
            return Ok(None);
        };
        authorize(request, &token);
        exchange.moved();
        let upload = UploadBody::whole(body, None);
        send(route, request, upload, exchange, self).await.map(Some)
    }

    /// Sends a request again after the time that a busy upstream asks for, a few times.
    async fn repeat_throttled(
        &self,
        route: &Route,
        mut request: Request<()>,
        mut answer: Sent,
        exchange: &Exchange,
    ) -> Result<Sent, Failure> {
        let mut time_left = throttled::MAX_WAIT;
        for _ in 0..throttled::MAX_REPEATS {
            let wait = throttled::wait(&answer.0, route.source.now());
            let Some((wait, left)) =
                wait.and_then(|wait| Some((wait, time_left.checked_sub(wait)?)))
            else {
                break;
            };
            time_left = left;
            drop(answer);
            sleep(wait).await;
            if request.headers().contains_key(header::AUTHORIZATION) {
                // The one before may have expired meanwhile.
                let token = route.source.token().await;
                let token = token.map_err(|unavailable| Failure::no_token(&unavailable))?;
                authorize(&mut request, &token);
            }
            exchange.moved();
            let upload = UploadBody::whole(Vec::new(), None);
            answer = send(route, &request, upload, exchange, self).await?;
        }
        Ok(answer)
    }

    fn permit(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.requests
            .clone()
            .try_acquire_owned()
            .map_err(|_| Failure::too_many_requests(self.limits.requests))
    }
}

impl Handler for Proxy {
    type Body = ResponseBody;

    async fn handle(self, request: Request<Incoming>) -> Response<ResponseBody> {
        self.answer(request).await
    }

    fn cut_off(&self) {
        Self::cut_off(self);
    }
}

/// An upstream's response and all that must last as long as its body.
struct Answered {
    head: http::response::Parts,
    body: Incoming,
    /// Boxed, since most bodies are not searched.
    scan: Option<Box<Scan>>,
    exchange: Arc<Exchange>,
    lease: Lease<UploadBody>,
    permit: OwnedSemaphorePermit,
}

impl Answered {
    fn into_response(self, mut record: Record) -> Response<ResponseBody> {
        if self.body.is_end_stream() {
            record.set_outcome(record::Outcome::Complete);
        }
        let body = DownloadBody::new(
            self.body,
            self.scan,
            self.exchange,
            record,
            self.lease,
            self.permit,
        );
        Response::from_parts(self.head, ResponseBody::Upstream(body))
    }
}

fn refuse(failure: Failure, shape: Shape, record: Record) -> Response<ResponseBody> {
    let mut response = failure.into_response(shape.kind);
    let length = response.body().len();
    if shape.is_head_only {
        // hyper would send the body all the same over HTTP/2.
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, length.into());
        *response.body_mut() = Bytes::new();
    }
    record.refuse(response.status(), response.body().len());
    response.map(|body| ResponseBody::Own(Full::new(body)))
}

/// The request as the upstream sees it: its own name, our token, the rest as it came.
fn upstream_request(
    route: &Route,
    head: Parts,
    target: http::Uri,
    token: Option<&Token>,
) -> Request<()> {
    let mut headers = head.headers;
    headers::strip_request(&mut headers);
    for (name, value) in &route.headers {
        headers.insert(name, value.clone());
    }
    let mut request = Request::new(());
    *request.method_mut() = head.method;
    *request.uri_mut() = target;
    *request.headers_mut() = headers;
    if let Some(token) = token {
        authorize(&mut request, token);
    }
    request
}

fn authorize(request: &mut Request<()>, token: &Token) {
    let authorization = token.authorization.clone();
    request
        .headers_mut()
        .insert(header::AUTHORIZATION, authorization);
}

/// Sends a request and waits for the response's head, for as long as something moves.
async fn send(
    route: &Route,
    head: &Request<()>,
    upload: UploadBody,
    exchange: &Exchange,
    shared: &Shared,
) -> Result<Sent, Failure> {
    let is_repeatable = head.method().is_safe() && upload.is_end_stream();
    let again = || head.clone().map(|()| UploadBody::whole(Vec::new(), None));
    let again = is_repeatable.then_some(again);
    let request = head.clone().map(|()| upload);
    let sending = route.pool.send(request, again);
    let sent = exchange.while_moving(&shared.alarms, sending).await;
    let sent = sent.map_err(|late| Failure::late(late, exchange.timeouts()))?;
    sent.map_err(|error| match shared.limits.request_body {
        Some(limit) if exchange.is_too_large() => Failure::body_too_large(limit),
        _ if exchange.is_broken_off() => Failure::malformed_body(),
        _ if exchange.is_damaged() => Failure::damaged_body(),
        _ => Failure::not_sent(&error),
    })
}
