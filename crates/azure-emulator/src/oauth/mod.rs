//! An authorization server that is not Entra, and an API that takes its tokens.
//!
//! | path | endpoint |
//! |---|---|
//! | `POST /token` | RFC 6749, section 4.4: a secret in the form or in `Basic`, or a SMART assertion; 200 |
//! | `GET /.well-known/smart-configuration` | leads to `/token` |
//! | `POST /o/client/register` | RFC 7591 with a software statement; 201 |
//! | `POST /o/client/token` | a secret in the form; 201, with `created_at` in milliseconds |
//! | `/emulator/…` | see `probe`; behind a check of the tokens issued here, which are opaque |
//!
//! All paths below `/o/` require an `X-Device-Info` header, as Adobe Pass does. This file has the
//! state, the routes and the handle for tests.

mod assertion;
mod register;
mod token;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::json;

use super::{
    Options,
    body::{self, Body},
    clock,
    faults::{self, Fault, Faults},
    probe, random,
    serve::Connection,
    traffic::{RequestBody, Traffic},
};

/// The largest request body accepted by an endpoint.
const BODY_CAP: usize = 256 * 1024;
/// The time between two requests that a throttled server lets through.
const THROTTLE: Duration = Duration::from_secs(1);

/// The emulated authorization server, and the handle to its behaviour.
#[derive(Debug)]
pub struct OAuth {
    traffic: Traffic,
    token_faults: Faults,
    registration_faults: Faults,
    metadata_faults: Faults,
    state: Mutex<State>,
    /// Seconds.
    token_lifetime: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// Client id to secret.
    clients: HashMap<String, String>,
    /// Client id to public key.
    client_keys: HashMap<String, Vec<u8>>,
    /// The `jti` of every assertion so far.
    assertions: HashSet<String>,
    /// Token to the second of its end.
    tokens: HashMap<String, i64>,
    registrations: u64,
    is_throttling: bool,
    last_passed: Option<Instant>,
}

/// An error response of RFC 6749, section 5.2, or RFC 7591, section 3.2.2.
type Refusal = (StatusCode, &'static str);

impl OAuth {
    pub(super) fn new(options: &Options) -> Self {
        let known = (
            super::OAUTH_CLIENT_ID.to_owned(),
            super::OAUTH_CLIENT_SECRET.to_owned(),
        );
        Self {
            traffic: Traffic::new(options.remembered_requests),
            token_faults: Faults::default(),
            registration_faults: Faults::default(),
            metadata_faults: Faults::default(),
            state: Mutex::new(State {
                clients: HashMap::from([known]),
                ..State::default()
            }),
            token_lifetime: AtomicU64::new(options.token_lifetime.as_secs()),
        }
    }

    /// Counters and recorded requests of any kind.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Faults of both token endpoints.
    pub fn token_faults(&self) -> &Faults {
        &self.token_faults
    }

    /// Faults of the registration endpoint.
    pub fn registration_faults(&self) -> &Faults {
        &self.registration_faults
    }

    /// Faults of the SMART configuration.
    pub fn metadata_faults(&self) -> &Faults {
        &self.metadata_faults
    }

    /// Lets a client authenticate with a secret.
    pub fn add_client(&self, client_id: &str, secret: &str) {
        let mut state = self.state();
        state
            .clients
            .insert(client_id.to_owned(), secret.to_owned());
    }

    /// Lets a client authenticate with assertions that this key verifies: DER, for RS384 a PKCS#1
    /// `RSAPublicKey` or an X.509 `SubjectPublicKeyInfo`, for ES384 the latter.
    pub fn add_client_key(&self, client_id: &str, public_key: &[u8]) {
        let mut state = self.state();
        state
            .client_keys
            .insert(client_id.to_owned(), public_key.to_vec());
    }

    /// Forgets every client: their credentials fail with `invalid_client`. Tokens stay valid.
    pub fn revoke_clients(&self) {
        let mut state = self.state();
        state.clients.clear();
        state.client_keys.clear();
    }

    /// From now on, one request a second passes below `/o/`; others get 429 with a page of HTML.
    pub fn throttle(&self) {
        self.state().is_throttling = true;
    }

    /// How long tokens issued from now on live.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.token_lifetime
            .store(lifetime.as_secs(), Ordering::Relaxed);
    }

    /// How many clients have registered.
    pub fn registrations(&self) -> u64 {
        self.state().registrations
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> Response<Body> {
        let (running, request) = self.traffic.begin(request, &connection);
        let method = request.method().clone();
        let mut response = self.answer(request, &connection).await;
        body::set(&mut response, header::CACHE_CONTROL, "no-store");
        running.follow(&method, response)
    }

    async fn answer(
        &self,
        request: Request<RequestBody>,
        connection: &Arc<Connection>,
    ) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if path.starts_with(probe::PREFIX) {
            return if self.accepts(&request) {
                probe::answer(request, &self.traffic, connection).await
            } else {
                self.traffic.invalid_token();
                let mut response = body::text(StatusCode::UNAUTHORIZED, "no valid token");
                let challenge = "Bearer error=\"invalid_token\"";
                body::set(&mut response, header::WWW_AUTHENTICATE, challenge);
                response
            };
        }
        let faults = match path.as_str() {
            "/token" | "/o/client/token" => &self.token_faults,
            "/o/client/register" => &self.registration_faults,
            "/.well-known/smart-configuration" => &self.metadata_faults,
            _ => return body::text(StatusCode::NOT_FOUND, "no such endpoint"),
        };
        if let Some(fault) = faults.suffer(None, connection).await {
            return answer_fault(&fault);
        }
        let base = body::base_url(&request);
        if request.method() == Method::GET && path.starts_with("/.well-known/") {
            return body::json(StatusCode::OK, &smart_configuration(&base));
        }
        if request.method() != Method::POST {
            return body::text(StatusCode::METHOD_NOT_ALLOWED, "not with this method");
        }
        if path.starts_with("/o/") {
            if !self.passes_throttle() {
                return too_many();
            }
            if !request.headers().contains_key("x-device-info") {
                return refuse((StatusCode::BAD_REQUEST, "invalid_request"));
            }
        }
        let (head, content) = request.into_parts();
        let Ok(content) = Limited::new(content, BODY_CAP).collect().await else {
            return refuse((StatusCode::BAD_REQUEST, "invalid_request"));
        };
        let content: Bytes = content.to_bytes();
        let granted = match path.as_str() {
            "/o/client/register" => self.register(&head, &content),
            "/o/client/token" => self.device_token(&head, &content),
            _ => self.token(&base, &head, &content),
        };
        granted.unwrap_or_else(refuse)
    }

    /// Whether a request carries a token that was issued here and lives.
    fn accepts<T>(&self, request: &Request<T>) -> bool {
        let value = request.headers().get(header::AUTHORIZATION);
        let token = value
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "));
        let state = self.state();
        token
            .and_then(|token| state.tokens.get(token))
            .is_some_and(|expires| clock::unix() < *expires)
    }

    fn passes_throttle(&self) -> bool {
        let mut state = self.state();
        let passes = !state.is_throttling
            || state
                .last_passed
                .is_none_or(|last| last.elapsed() >= THROTTLE);
        if passes {
            state.last_passed = Some(Instant::now());
        }
        passes
    }

    /// A new token and the seconds it lives.
    fn issue(&self) -> (String, u64) {
        let lifetime = self.token_lifetime.load(Ordering::Relaxed);
        let token = random::hex::<24>();
        let expires = clock::unix().saturating_add_unsigned(lifetime);
        self.state().tokens.insert(token.clone(), expires);
        (token, lifetime)
    }
}

fn smart_configuration(base: &str) -> serde_json::Value {
    json!({
        "token_endpoint": format!("{base}/token"),
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": ["system/*.rs"],
        "capabilities": ["client-confidential-asymmetric", "permission-v2"],
    })
}

/// The description quotes secrets, which nobody may show.
fn refuse((status, error): Refusal) -> Response<Body> {
    let answer = json!({"error": error, "error_description": "said <script> of Jane Doe"});
    body::json(status, &answer)
}

/// As Adobe Pass throttles: a page, and no `Retry-After`.
fn too_many() -> Response<Body> {
    let page = "<html><body><h1>429 Too Many Requests</h1></body></html>";
    body::full(StatusCode::TOO_MANY_REQUESTS, "text/html", page)
}

fn answer_fault(fault: &Fault) -> Response<Body> {
    match fault {
        Fault::Unauthorized => refuse((StatusCode::UNAUTHORIZED, "invalid_client")),
        Fault::Forbidden => refuse((StatusCode::BAD_REQUEST, "unauthorized_client")),
        Fault::Throttle(wait) => {
            let mut response = too_many();
            let seconds = wait.as_secs().max(1).to_string();
            body::set(&mut response, header::RETRY_AFTER, &seconds);
            response
        }
        other => faults::respond(other),
    }
}
