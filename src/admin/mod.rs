//! The admin address: whether the process is alive, whether it can serve, and with which tokens.
//!
//! `/livez` and `/readyz` respond under any host name that a probe uses. Reasons and `/status` are
//! shown only under the names that the proxy itself accepts. No response contains a token.

use std::{
    fmt::Write as _,
    net::IpAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body::Body as _;
use http_body_util::Full;
use parking_lot::RwLock;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    config, instance,
    proxy::{Guard, page},
    server::{Handler, RequestBody},
    token::{Source, SourceStatus},
};

/// The handler of the admin address. Clones share its state.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    state: Arc<State>,
    /// Whether the caller is on this machine.
    is_local: bool,
}

#[derive(Debug)]
struct State {
    started: Instant,
    listeners: Vec<String>,
    /// See [`instance`].
    secret: String,
    reloads: mpsc::Sender<ReloadRequest>,
    draining: watch::Receiver<bool>,
    serving: RwLock<Arc<Serving>>,
}

/// A request to reload the configuration. The result is the reason why the old one keeps serving.
pub(crate) type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// The facts about the process that do not depend on the configuration.
#[derive(Debug)]
pub(crate) struct Process {
    /// The addresses of the listeners.
    pub(crate) listeners: Vec<String>,
    /// The secret of the process's record.
    pub(crate) secret: String,
    /// Takes the requests to reload.
    pub(crate) reloads: mpsc::Sender<ReloadRequest>,
}

/// The part of the state that depends on the configuration.
#[derive(Debug)]
struct Serving {
    guard: Guard,
    routes: Vec<RouteStatus>,
    sources: Vec<Arc<Source>>,
}

impl Serving {
    fn new(config: &config::Config, sources: Vec<Arc<Source>>) -> Self {
        Self {
            guard: Guard::new(&config.security),
            routes: config.routes.iter().map(RouteStatus::of).collect(),
            sources,
        }
    }
}

impl Admin {
    /// Creates the handler. `draining` turns true when the proxy stops accepting connections.
    /// `secret` is that of the process's record, and `reloads` takes the requests to reload.
    pub(crate) fn new(
        config: &config::Config,
        sources: Vec<Arc<Source>>,
        draining: watch::Receiver<bool>,
        process: Process,
    ) -> Self {
        Self {
            state: Arc::new(State {
                started: Instant::now(),
                listeners: process.listeners,
                secret: process.secret,
                reloads: process.reloads,
                draining,
                serving: RwLock::new(Arc::new(Serving::new(config, sources))),
            }),
            is_local: true,
        }
    }

    /// Switches to a new configuration and its tokens.
    pub(crate) fn replace(&self, config: &config::Config, sources: Vec<Arc<Source>>) {
        let serving = Arc::new(Serving::new(config, sources));
        *self.state.serving.write() = serving;
    }

    fn serving(&self) -> Arc<Serving> {
        self.state.serving.read().clone()
    }

    fn respond(&self, head: &Parts) -> Response<Full<Bytes>> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            let mut refusal = text(
                StatusCode::METHOD_NOT_ALLOWED,
                "This method is not allowed. Use GET.\n",
            );
            let methods = HeaderValue::from_static("GET, HEAD");
            refusal.headers_mut().insert(header::ALLOW, methods);
            return refusal;
        }
        match head.uri.path() {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.readiness(head),
            "/status" if !self.is_local => text(
                StatusCode::FORBIDDEN,
                "/status is for connections to a loopback address only. Call it on the proxy's own machine as \
                 127.0.0.1 or [::1], and let `admin` listen there.\n",
            ),
            "/status" => match self.serving().guard.refusal(head) {
                Some(refusal) => refusal.map(Full::new),
                None => self.status(),
            },
            path => {
                let mut refusal = text(
                    StatusCode::NOT_FOUND,
                    "Not found. The paths are /livez, /readyz and /status.\n",
                );
                if path == "/" && page::is_wanted(head) {
                    page::put(
                        &mut refusal,
                        page::of_paths(&["/livez", "/readyz", "/status"]),
                    );
                }
                refusal
            }
        }
    }

    /// Reloads the configuration, for a caller that can read the process's record.
    async fn reload(&self, head: &Parts) -> Response<Full<Bytes>> {
        let given = head
            .headers
            .get(instance::HEADER)
            .map(HeaderValue::as_bytes);
        let expected = self.state.secret.as_bytes();
        let knows_secret =
            given.is_some_and(|given| verify_slices_are_equal(given, expected).is_ok());
        if !knows_secret || !self.is_local || self.serving().guard.refusal(head).is_some() {
            return text(
                StatusCode::FORBIDDEN,
                "Only the user who runs the proxy may reload it. Run: ahds-proxy reload\n",
            );
        }
        let (request, result) = oneshot::channel();
        let stopping = "the proxy is stopping".to_owned();
        let result = match self.state.reloads.send(request).await {
            Ok(()) => result.await.unwrap_or(Err(stopping)),
            Err(_) => Err(stopping),
        };
        match result {
            Ok(()) => text(StatusCode::OK, "configuration reloaded\n"),
            Err(reason) => text(StatusCode::UNPROCESSABLE_ENTITY, format!("{reason}\n")),
        }
    }

    fn readiness(&self, head: &Parts) -> Response<Full<Bytes>> {
        let serving = self.serving();
        let reasons = self.reasons(&serving);
        if reasons.is_empty() {
            return text(StatusCode::OK, "ok\n");
        }
        // The reasons name tenants and credentials, which web pages and other machines must not
        // see.
        if !self.is_local || serving.guard.refusal(head).is_some() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "not ready\n");
        }
        text(StatusCode::SERVICE_UNAVAILABLE, reasons)
    }

    /// Returns the reasons why requests cannot be served, a line each.
    fn reasons(&self, serving: &Serving) -> String {
        if *self.state.draining.borrow() {
            return "draining\n".to_owned();
        }
        let mut reasons = String::new();
        for source in &serving.sources {
            let status = source.status();
            if status.token.is_none() {
                let why = status.last_error.map_or_else(
                    || "the first token has not arrived yet".to_owned(),
                    |error| error.to_string(),
                );
                let _ = writeln!(reasons, "credential {}: {why}", status.credential);
            }
        }
        reasons
    }

    fn status(&self) -> Response<Full<Bytes>> {
        let serving = self.serving();
        let sources = serving.sources.iter();
        let status = Status {
            version: env!("CARGO_PKG_VERSION"),
            process_id: std::process::id(),
            uptime_seconds: self.state.started.elapsed().as_secs(),
            draining: *self.state.draining.borrow(),
            listeners: &self.state.listeners,
            routes: &serving.routes,
            tokens: sources
                .map(|source| TokenStatus::of(source.status()))
                .collect(),
        };
        let body = serde_json::to_vec(&status).expect("text and numbers are JSON");
        response(StatusCode::OK, "application/json", body)
    }
}

impl Handler for Admin {
    type Body = Full<Bytes>;

    fn for_peer(self, peer: Option<IpAddr>) -> Self {
        Self {
            is_local: peer.is_none_or(|peer| peer.to_canonical().is_loopback()),
            ..self
        }
    }

    async fn handle(self, request: Request<RequestBody>) -> Response<Full<Bytes>> {
        let head = request.into_parts().0;
        let mut response = if head.method == Method::POST && head.uri.path() == "/reload" {
            self.reload(&head).await
        } else {
            self.respond(&head)
        };
        if head.method == Method::HEAD {
            // Over HTTP/2, hyper would send the body in spite of HEAD.
            let length = response.body().size_hint().exact().unwrap_or_default();
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length.into());
            *response.body_mut() = Full::default();
        }
        response
    }
}

/// The body of `/status`.
#[derive(Serialize)]
struct Status<'a> {
    version: &'static str,
    process_id: u32,
    uptime_seconds: u64,
    draining: bool,
    listeners: &'a [String],
    routes: &'a [RouteStatus],
    tokens: Vec<TokenStatus>,
}

#[derive(Debug, Serialize)]
struct RouteStatus {
    name: Arc<str>,
    prefix: String,
    upstream: String,
    audience: Option<String>,
    credential: Arc<str>,
}

impl RouteStatus {
    fn of(route: &config::Route) -> Self {
        Self {
            name: route.name.clone(),
            prefix: route.prefix.as_str().to_owned(),
            upstream: route.upstream.to_string(),
            audience: route.audience.as_ref().map(ToString::to_string),
            credential: route.credential.clone(),
        }
    }
}

/// The state of a token, without the token.
#[derive(Serialize)]
struct TokenStatus {
    credential: Arc<str>,
    kind: &'static str,
    audience: Option<String>,
    valid: bool,
    tenant: Option<String>,
    identity: Option<String>,
    expires_on: Option<String>,
    last_error: Option<String>,
}

impl TokenStatus {
    fn of(status: SourceStatus) -> Self {
        let token = status.token.as_ref();
        Self {
            credential: status.credential,
            kind: status.kind,
            audience: status.audience.map(|audience| audience.to_string()),
            valid: token.is_some(),
            tenant: token.and_then(|token| token.claims.tenant.clone()),
            identity: token.and_then(|token| token.claims.identity.clone()),
            expires_on: token
                .filter(|token| token.states_expiry)
                .and_then(|token| timestamp(token.expires_on)),
            last_error: status.last_error.map(|error| error.to_string()),
        }
    }
}

/// Formats a time as RFC 3339, in whole seconds.
fn timestamp(time: SystemTime) -> Option<String> {
    let timestamp = jiff::Timestamp::try_from(time).ok()?;
    Some(format!("{timestamp:.0}"))
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", body)
}

fn response(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use http_body_util::BodyExt as _;

    use super::*;

    async fn get(admin: &Admin, path: &str) -> (u16, String) {
        let head = Request::get(path).header("host", "localhost").body(());
        let response = admin.respond(&head.expect("a request").into_parts().0);
        let (status, body) = (response.status(), response.into_body());
        let body = body.collect().await.expect("a body").to_bytes();
        (status.as_u16(), String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn callers_elsewhere_learn_whether_it_works_and_nothing_of_whom() {
        let text = "[routes.fhir]\nupstream = \"https://ws-fhir.fhir.azurehealthcareapis.com\"";
        let config = config::parse(Path::new("a.toml"), text, &|_| None).expect("valid");
        let (drain, draining) = watch::channel(false);
        let process = Process {
            listeners: Vec::new(),
            secret: "of this process".to_owned(),
            reloads: mpsc::channel(1).0,
        };
        let admin = Admin::new(&config, Vec::new(), draining, process);
        drain.send_replace(true);
        for (peer, is_local) in [
            (Some("127.0.0.1"), true),
            (Some("::1"), true),
            (Some("::ffff:127.0.0.9"), true),
            (None, true),
            (Some("10.1.2.3"), false),
            (Some("::ffff:10.1.2.3"), false),
            (Some("fe80::1"), false),
        ] {
            let peer = peer.map(|peer| peer.parse().expect("an address"));
            let admin = admin.clone().for_peer(peer);
            assert_eq!(get(&admin, "/livez").await.0, 200);
            let (status, reasons) = get(&admin, "/readyz").await;
            assert_eq!(
                (status, reasons == "draining\n"),
                (503, is_local),
                "{peer:?}"
            );
            let (status, about) = get(&admin, "/status").await;
            assert_eq!(status == 200, is_local, "{peer:?}");
            assert_eq!(about.contains("127.0.0.1 or [::1]"), !is_local);
            assert_eq!(about.contains("ws-fhir"), is_local, "{about}");
        }
    }
}
