//! One request, from its head to the head of its response, in these steps: locate, guard, admit,
//! authenticate, prepare, send, retry, relay. [`DownloadBody`] then streams the body of the
//! response.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header, request, response};
use http_body::Body as _;
use http_body_util::Full;

use super::{
    access_log::{LogEntry, Outcome},
    advice::{advise, advise_of_failure},
    body::{self, ClientBody, Download, DownloadBody, ResponseBody, UploadBody},
    checks,
    concurrency::{ConcurrencyLimit, Permit},
    failure::Failure,
    guard::{self, Caller, Guard, Transport},
    headers,
    lifecycle::Lifecycle,
    links::{self, Links, ListenerKind},
    page,
    progress::{Progress, Timeouts},
    request_id, retry,
    route::{self, Located, Route},
    send::{self, UpstreamResponse, send},
    service::Interaction,
    timers::Timers,
};
use crate::{
    config::{Config, Limits, RouteKind},
    rewrite::Plan,
    server::RequestBody,
    token::Token,
    upstream::SendError,
};

/// The parts of one configuration that requests need.
#[derive(Debug)]
pub(super) struct Pipeline {
    routes: Vec<Arc<Route>>,
    guard: Guard,
    timeouts: Timeouts,
    limits: Limits,
    concurrency: ConcurrencyLimit,
    /// The number of listeners that share `limits.requests`. A reload keeps it.
    listener_count: usize,
    timers: Timers,
    lifecycle: Arc<Lifecycle>,
}

/// The listener that a request came through.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    /// The route that the listener serves alone, at the root.
    pub(super) own_route: Option<Arc<str>>,
    /// The listener's number.
    pub(super) listener: usize,
    pub(super) transport: Transport,
}

impl Pipeline {
    pub(super) fn new(
        routes: Vec<Arc<Route>>,
        config: &Config,
        listener_count: usize,
        lifecycle: &Arc<Lifecycle>,
    ) -> Self {
        Self {
            concurrency: ConcurrencyLimit::new(
                config.limits.requests,
                routes.len(),
                listener_count,
            ),
            routes,
            guard: Guard::new(&config.security),
            timeouts: Timeouts {
                response: config.network.response_timeout,
                idle: config.network.idle_timeout,
            },
            limits: config.limits.clone(),
            listener_count,
            timers: Timers::default(),
            lifecycle: lifecycle.clone(),
        }
    }

    pub(super) fn listener_count(&self) -> usize {
        self.listener_count
    }

    /// Serves one request. An error becomes a response.
    pub(super) async fn run(
        &self,
        entry: &Entry,
        request: Request<RequestBody>,
    ) -> Response<ResponseBody> {
        let (head, body) = request.into_parts();
        let mut log = LogEntry::new(&head, &self.lifecycle);
        let located = self.locate(entry, head.uri.path());
        let error_format = ErrorFormat::new(&head, located);
        let has_pages = located.is_some_and(|located| located.route.pages);
        let caller = match self.guard.check(&head, entry.transport, has_pages) {
            Ok(Caller::Preflight(origin)) => {
                let response = guard::preflight_response(&origin, &head.headers);
                log.finish_own(response.status(), 0);
                return response.map(|()| ResponseBody::Own(Full::default()));
            }
            Ok(caller) => caller,
            Err(failure) => return error_format.respond(failure, log),
        };
        let wants_page = located.is_none() && page::is_wanted(&head);
        let forwarded = match located {
            Some(located) => self.forward(entry, located, head, body, &mut log).await,
            None => Err(self.no_such_route()),
        };
        let mut response = match forwarded {
            Ok(relayed) => relayed.into_response(log),
            Err(failure) => {
                if let Some(located) = located {
                    advise_of_failure(located.route, &failure);
                }
                let page = wants_page.then(|| page::of_routes(self.routes.iter().map(|r| &**r)));
                error_format.respond_with(page, failure, log)
            }
        };
        if let Caller::Page(origin) = caller {
            guard::allow_origin(response.headers_mut(), &origin);
        }
        response
    }

    async fn forward(
        &self,
        entry: &Entry,
        located: Located<'_>,
        head: request::Parts,
        body: RequestBody,
        log: &mut LogEntry,
    ) -> Result<Relayed, Failure> {
        let route = located.route;
        let interaction = Interaction::of(route.kind, &head.method, located.rest(&head));
        log.set_route(&route.name, interaction.resource);
        let permit = self.admit(entry, located, &interaction, &head, &body)?;
        let token = self.authenticate(route, &interaction).await?;
        let progress = Arc::new(Progress::new(self.timeouts));
        log.set_progress(&progress);
        let exchange = Exchange {
            route,
            links: links_of(entry, route, &head),
            response_plan: interaction.response,
            is_binary: interaction.resource == "Binary",
            is_head_request: head.method == Method::HEAD,
            request_has_body: !body.is_end_stream(),
            token,
            progress,
            timers: &self.timers,
            lifecycle: &self.lifecycle,
        };
        let (mut request, body_rewrite) = exchange.prepare(located, &interaction, head)?;
        let client = ClientBody::new(body, exchange.progress.clone(), self.limits.request_body);
        let upload = exchange.upload(&mut request, client, body_rewrite).await?;
        let first_response = exchange.send(&request, upload).await?;
        let final_response = exchange.retry(&mut request, first_response).await?;
        let (response_head, download) = exchange.relay(&request, final_response)?;
        // The response's head counts as progress. All sending and waiting is in this time.
        let upstream_time = exchange.progress.moved();
        log.set_head(response_head.status, &response_head.headers, upstream_time);
        Ok(Relayed {
            head: response_head,
            is_head_request: exchange.is_head_request,
            download,
            progress: exchange.progress,
            permit,
        })
    }

    /// Finds the route that a path belongs to.
    fn locate(&self, entry: &Entry, path: &str) -> Option<Located<'_>> {
        match &entry.own_route {
            Some(name) => route::by_name(&self.routes, name, path),
            None => route::find(&self.routes, path),
        }
    }

    /// Makes the cheap checks, and counts the request against `limits.requests`.
    fn admit(
        &self,
        entry: &Entry,
        located: Located<'_>,
        interaction: &Interaction,
        head: &request::Parts,
        body: &RequestBody,
    ) -> Result<Permit, Failure> {
        let has_body = !body.is_end_stream();
        checks::target(head)?;
        checks::head_size(head, self.limits.request_head)?;
        route::check_path(located.rest(head))?;
        checks::method(located.route, head, interaction, has_body)?;
        checks::transfer_coding(head)?;
        checks::body_size(body, self.limits.request_body.limit())?;
        let permit = self.concurrency.acquire(located.number, entry.listener);
        permit.ok_or_else(|| Failure::too_many_requests(self.limits.requests))
    }

    /// Waits for the route's token. A request to a public endpoint does not wait: it gets the token in
    /// use, or none.
    async fn authenticate(
        &self,
        route: &Route,
        interaction: &Interaction,
    ) -> Result<Option<Arc<Token>>, Failure> {
        if interaction.is_public {
            return Ok(route.source.at_hand());
        }
        if let Some(token) = route.source.current() {
            return Ok(Some(token));
        }
        tracing::debug!(route = &*route.name, "the request waits for a token");
        // Boxed, since most requests do not wait and need no memory for it.
        let waiting = Box::pin(self.lifecycle.wait_for(route.source.token()));
        let token = waiting.await.ok_or_else(Failure::stopping)?;
        Ok(Some(token?))
    }

    fn no_such_route(&self) -> Failure {
        Failure::no_such_route(self.routes.iter().map(|route| route.prefix()))
    }
}

/// The links to rewrite, with the proxy's name as the client called it. `None` if the route keeps
/// links as they are.
fn links_of(entry: &Entry, route: &Route, head: &request::Parts) -> Option<Arc<Links>> {
    let listener = ListenerKind {
        is_own: entry.own_route.is_some(),
        is_tls: entry.transport == Transport::Tls,
    };
    let base_urls = route.base_urls.as_ref()?;
    Some(base_urls.links(head, listener))
}

/// One exchange with the upstream.
struct Exchange<'a> {
    route: &'a Route,
    links: Option<Arc<Links>>,
    /// The links to rewrite in the response. The request then asks for a whole response that is not
    /// compressed.
    response_plan: Option<Plan>,
    /// The request is for a resource whose content type clients choose.
    is_binary: bool,
    is_head_request: bool,
    request_has_body: bool,
    token: Option<Arc<Token>>,
    progress: Arc<Progress>,
    timers: &'a Timers,
    lifecycle: &'a Lifecycle,
}

impl Exchange<'_> {
    /// Makes the request that the upstream gets, with the upstream's name, the token and the
    /// upstream's base URLs in links. Returns how to rewrite the links in its body.
    fn prepare(
        &self,
        located: Located<'_>,
        interaction: &Interaction,
        head: request::Parts,
    ) -> Result<(Request<()>, Option<links::BodyRewrite>), Failure> {
        let route = self.route;
        let links = self.links.as_deref();
        let query = head.uri.query();
        let rewritten_query = links
            .zip(query)
            .and_then(|(links, query)| links.in_query(query));
        let target = route.target(located.rest(&head), rewritten_query.as_deref().or(query))?;
        let body_rewrite = links
            .filter(|_| self.request_has_body)
            .and_then(|links| links.in_request_body(route.kind, &head, interaction));
        let mut request = send::upstream_request(route, head, target, self.token.as_deref());
        if let Some(links) = links {
            links.in_request_headers(self.response_plan, request.headers_mut());
        }
        Ok((request, body_rewrite))
    }

    /// Makes the body that the upstream gets, and corrects the headers that describe it.
    async fn upload(
        &self,
        request: &mut Request<()>,
        client: ClientBody,
        body_rewrite: Option<links::BodyRewrite>,
    ) -> Result<UploadBody, Failure> {
        let Some(rewrite) = body_rewrite else {
            return Ok(UploadBody::new(client));
        };
        let headers = request.headers_mut();
        let rewriting = body::rewrite(client, &rewrite, headers, &self.progress, self.timers);
        // Boxed, since few requests need this future, and all would carry the memory for it.
        Ok(Box::pin(rewriting).await?)
    }

    async fn send(
        &self,
        request: &Request<()>,
        upload: UploadBody,
    ) -> Result<UpstreamResponse, Failure> {
        send(self.route, request, upload, &self.progress, self.timers).await
    }

    /// Sends the request again if its token was refused, or if the service is throttled.
    async fn retry(
        &self,
        request: &mut Request<()>,
        first_response: UpstreamResponse,
    ) -> Result<UpstreamResponse, Failure> {
        let mut response = first_response;
        if response.status() == StatusCode::UNAUTHORIZED {
            let retrying = retry::with_new_token(
                self.route,
                request,
                self.token.as_ref(),
                &self.progress,
                self.timers,
                self.lifecycle,
            );
            // Boxed for the same reason as in `upload`.
            if let Some(second_response) = Box::pin(retrying).await? {
                response = second_response;
            }
        }
        // After the wait there would be no body to send.
        let may_wait = self.route.retry_throttled && !self.request_has_body;
        if may_wait && retry::is_throttled(self.route, request, &response) {
            let retrying =
                retry::after_waiting(self.route, request, response, &self.progress, self.timers);
            response = Box::pin(retrying).await?;
        }
        Ok(response)
    }

    /// Makes the response that the client gets, without the headers of the upstream's connection
    /// and with links that lead back to the proxy.
    fn relay(
        &self,
        request: &Request<()>,
        response: UpstreamResponse,
    ) -> Result<(response::Parts, Download), Failure> {
        let (mut head, body) = response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // The request had no Upgrade header, which is never forwarded.
            return Err(SendError::Protocol.into());
        }
        checks::response_transfer_coding(&head.headers)?;
        headers::strip_response(head.status, &mut head.headers);
        if !self.route.pages {
            headers::sandbox(&mut head.headers);
        }
        if !body.takes_rest_of_request() {
            // The proxy does not read the rest of the request from the client either, so the
            // client's connection ends with this response.
            headers::announce_end(&mut head.headers);
        }
        let (path, has_body) = (request.uri().path(), !body.is_end_stream());
        advise(self.route, path, self.is_binary, has_body, &mut head);
        // Whatever the upstream speaks. hyper sets the version that the client speaks.
        head.version = http::Version::HTTP_11;
        if let Some(links) = &self.links {
            links.in_response_headers(&mut head.headers);
        }
        let rewrite = self.body_rewrite(&head, !body.is_end_stream());
        tracing::debug!(
            route = &*self.route.name,
            plan = ?self.response_plan,
            is_body_rewritten = rewrite.is_some(),
            "links of the response"
        );
        let download = match rewrite {
            None => Download::Plain(body),
            Some(_) if self.is_head_request => {
                links::describe_rewritten_response(&mut head.headers);
                Download::Plain(body)
            }
            Some(rewrite) => Download::rewritten(body, &rewrite, &mut head.headers),
        };
        Ok((head, download))
    }

    /// The way to rewrite the links in a response's body. `None` if it stays as it is.
    fn body_rewrite(&self, head: &response::Parts, has_body: bool) -> Option<links::BodyRewrite> {
        // The headers of a response to HEAD describe the body that GET would get.
        let plan = self
            .response_plan
            .filter(|_| has_body || self.is_head_request)?;
        self.links.as_ref()?.in_response_body(plan, head)
    }
}

/// An upstream's response, with the values that must live as long as its body.
struct Relayed {
    head: response::Parts,
    /// The client gets only the head.
    is_head_request: bool,
    download: Download,
    progress: Arc<Progress>,
    permit: Permit,
}

impl Relayed {
    fn into_response(self, mut log: LogEntry) -> Response<ResponseBody> {
        // hyper does not poll a body that it knows to be empty.
        if self.is_head_request || self.download.is_all_out() {
            log.set_outcome(Outcome::Complete);
        }
        let body = DownloadBody::new(self.download, self.progress, log, self.permit);
        Response::from_parts(self.head, ResponseBody::Upstream(body))
    }
}

/// The form of an error response to one request.
#[derive(Debug, Clone, Copy)]
struct ErrorFormat {
    kind: Option<RouteKind>,
    is_head_request: bool,
}

impl ErrorFormat {
    fn new(head: &request::Parts, located: Option<Located<'_>>) -> Self {
        Self {
            kind: located.map(|located| located.route.kind),
            is_head_request: head.method == Method::HEAD,
        }
    }

    fn respond(self, failure: Failure, log: LogEntry) -> Response<ResponseBody> {
        self.respond_with(None, failure, log)
    }

    /// Responds with a page, if there is one, in place of the failure's text.
    fn respond_with(
        self,
        page: Option<Bytes>,
        failure: Failure,
        mut log: LogEntry,
    ) -> Response<ResponseBody> {
        let mut response = failure.into_response(self.kind);
        if let Some(page) = page {
            page::put(&mut response, page);
        }
        request_id::set(response.headers_mut(), log.request_id());
        if self.is_head_request {
            // Over HTTP/2, hyper would send the body in spite of HEAD.
            let length = response.body().len().into();
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length);
            *response.body_mut() = Bytes::new();
        }
        log.finish_own(response.status(), response.body().len());
        response.map(|body| ResponseBody::Own(Full::new(body)))
    }
}
