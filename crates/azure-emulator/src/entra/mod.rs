//! Entra's token service, and the two calls of Resource Manager that `az login` makes.
//!
//! `token.rs` and `user.rs` have the grants, `error.rs` the errors, `metadata.rs` the documents
//! that need no secret. This file has the state, the routes and the handle for tests.

mod error;
mod metadata;
mod token;
mod user;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::watch;

use self::error::EntraError;
use super::{
    Options,
    body::{self, Body},
    faults::{Fault, Faults},
    form,
    jwt::SigningKey,
    serve::Connection,
    traffic::{RequestBody, Traffic},
};

/// The largest form accepted.
const FORM_CAP: usize = 256 * 1024;

/// A token request as it arrived.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// The path, with the tenant in it.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The form's fields in their order, secrets included.
    pub form: Vec<(String, String)>,
    /// The audience asked for, if the request named one.
    pub audience: Option<String>,
}

impl TokenRequest {
    /// The first form field of a name.
    pub fn field(&self, name: &str) -> Option<&str> {
        form::get(&self.form, name)
    }
}

/// The emulated Entra, and the handle to its behaviour.
#[derive(Debug)]
pub struct Entra {
    traffic: Traffic,
    faults: Faults,
    state: Mutex<State>,
    /// Seconds.
    token_lifetime: AtomicU64,
    /// The number of token requests so far.
    token_requests: watch::Sender<u64>,
    remembered: usize,
}

#[derive(Debug, Default)]
struct State {
    /// Client id to secret.
    clients: HashMap<String, String>,
    /// Client id to public key.
    client_keys: HashMap<String, Vec<u8>>,
    audiences: HashSet<String>,
    requests: Vec<TokenRequest>,
    requests_by_audience: BTreeMap<String, u64>,
    refresh_tokens: HashMap<String, RefreshToken>,
    device_codes: HashMap<String, DeviceCode>,
    approve_at_poll: Option<u32>,
    refresh_in: Option<u64>,
}

#[derive(Debug, Clone)]
struct RefreshToken {
    client_id: String,
    revoked: bool,
}

#[derive(Debug, Clone)]
struct DeviceCode {
    user_code: String,
    client_id: String,
    scope: String,
    polls: u32,
    approved: bool,
    /// Seconds since 1970.
    expires: i64,
}

impl Entra {
    pub(super) fn new(options: &Options) -> Self {
        let clients =
            HashMap::from([(super::CLIENT_ID.to_owned(), super::CLIENT_SECRET.to_owned())]);
        let audiences = [
            super::FHIR_AUDIENCE,
            super::DICOM_AUDIENCE,
            "https://dicom.healthcareapis.azure.com/",
            "https://management.azure.com",
            "https://management.azure.com/",
            "https://management.core.windows.net",
            "https://management.core.windows.net/",
        ];
        Self {
            traffic: Traffic::new(options.remembered_requests),
            faults: Faults::default(),
            state: Mutex::new(State {
                clients,
                audiences: audiences.map(String::from).into(),
                approve_at_poll: options.approve_device_code_at_poll,
                ..State::default()
            }),
            token_lifetime: AtomicU64::new(options.token_lifetime.as_secs()),
            token_requests: watch::Sender::new(0),
            remembered: options.remembered_requests,
        }
    }

    /// Counters and recorded requests of any kind.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Faults of the token endpoint. Metadata is always served.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Lets another application log in.
    pub fn add_client(&self, client_id: &str, secret: &str) {
        self.state()
            .clients
            .insert(client_id.to_owned(), secret.to_owned());
    }

    /// Changes a secret, as an administrator would: the old one fails with AADSTS7000215.
    pub fn rotate_secret(&self, secret: &str) {
        self.add_client(super::CLIENT_ID, secret);
    }

    /// From now on the client's assertions must be signed by this key: a PKCS#1 `RSAPublicKey`
    /// or an X.509 `SubjectPublicKeyInfo`, DER. Without one any signature will do.
    pub fn set_client_key(&self, client_id: &str, public_key: &[u8]) {
        self.state()
            .client_keys
            .insert(client_id.to_owned(), public_key.to_vec());
    }

    /// Makes an audience known; tokens for unknown ones are refused with AADSTS500011.
    pub fn add_audience(&self, audience: &str) {
        self.state().audiences.insert(audience.to_owned());
    }

    /// How long tokens issued from now on live.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.token_lifetime
            .store(lifetime.as_secs(), Ordering::Relaxed);
    }

    /// Puts `refresh_in` into replies.
    pub fn set_refresh_in(&self, refresh_in: Option<Duration>) {
        self.state().refresh_in = refresh_in.map(|time| time.as_secs());
    }

    /// The user enters every pending device code.
    pub fn approve_device_codes(&self) {
        for code in self.state().device_codes.values_mut() {
            code.approved = true;
        }
    }

    /// Every refresh token issued so far fails with AADSTS700082.
    pub fn revoke_refresh_tokens(&self) {
        for token in self.state().refresh_tokens.values_mut() {
            token.revoked = true;
        }
    }

    /// The number of token requests so far, failed ones included.
    pub fn token_requests(&self) -> u64 {
        *self.token_requests.borrow()
    }

    /// The number of token requests for one audience.
    pub fn token_requests_for(&self, audience: &str) -> u64 {
        let state = self.state();
        state
            .requests_by_audience
            .get(audience)
            .copied()
            .unwrap_or(0)
    }

    /// The latest token requests, oldest first.
    pub fn recorded(&self) -> Vec<TokenRequest> {
        self.state().requests.clone()
    }

    /// Waits until that many token requests have arrived. It never gives up: wrap it in a timeout.
    pub async fn until_token_requests(&self, count: u64) {
        let mut requests = self.token_requests.subscribe();
        let _ = requests.wait_for(|now| *now >= count).await;
    }

    /// An access token for an audience without a request, of any lifetime: zero or less is expired.
    pub fn issue(&self, audience: &str, lifetime_seconds: i64) -> String {
        issue(audience, super::CLIENT_ID, lifetime_seconds)
    }

    pub(super) fn knows(&self, audience: &str) -> bool {
        self.state().audiences.contains(audience)
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
        body::set(&mut response, header::CACHE_CONTROL, "no-store, no-cache");
        running.follow(&method, response)
    }

    async fn answer(
        &self,
        request: Request<RequestBody>,
        connection: &Connection,
    ) -> Response<Body> {
        let base = body::base_url(&request);
        let path = request.uri().path().trim_start_matches('/').to_owned();
        let (tenant, endpoint) = path.split_once('/').unwrap_or(("", &path));
        let get = *request.method() == Method::GET;
        let reply = match endpoint {
            ".well-known/openid-configuration" | "v2.0/.well-known/openid-configuration" if get => {
                check_tenant(tenant).map(|()| metadata::openid_configuration(&base, tenant))
            }
            "discovery/v2.0/keys" | "discovery/keys" if get => Ok(SigningKey::shared().key_set()),
            "discovery/instance" if get => Ok(metadata::instances(&base, super::TENANT)),
            "subscriptions" if get && tenant.is_empty() => Ok(metadata::subscriptions()),
            "tenants" if get && tenant.is_empty() => Ok(metadata::tenants()),
            "oauth2/v2.0/token" | "oauth2/token" if !get => {
                return self.token(request, connection, &base).await;
            }
            "oauth2/v2.0/devicecode" if !get => {
                let tenant = tenant.to_owned();
                match read_form(request).await {
                    Ok(form) => check_tenant(&tenant).and_then(|()| self.device_code(&base, &form)),
                    Err(error) => Err(error),
                }
            }
            _ => return body::text(StatusCode::NOT_FOUND, "no such endpoint"),
        };
        reply_with(reply)
    }

    /// The token endpoint: the part around the grants.
    async fn token(
        &self,
        request: Request<RequestBody>,
        connection: &Connection,
        base: &str,
    ) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let headers = request.headers().clone();
        let form = match read_form(request).await {
            Ok(form) => form,
            Err(error) => return error.into_response(),
        };
        let (asked, v1) = token::audience_of(&path, &form);
        let request = TokenRequest {
            audience: asked.or_else(|| self.device_code_audience(&form)),
            path,
            headers,
            form,
        };
        let audience = request.audience.clone();
        self.remember(request.clone());

        let reply = match self.faults.suffer(audience.as_deref(), connection).await {
            Some(fault) => return answer_fault(fault),
            None => self.grant(base, &request, v1),
        };
        reply_with(reply)
    }

    fn remember(&self, request: TokenRequest) {
        {
            let mut state = self.state();
            if let Some(audience) = &request.audience {
                *state
                    .requests_by_audience
                    .entry(audience.clone())
                    .or_default() += 1;
            }
            if self.remembered > 0 {
                if state.requests.len() == self.remembered {
                    state.requests.remove(0);
                }
                state.requests.push(request);
            }
        }
        self.token_requests.send_modify(|count| *count += 1);
    }
}

/// An access token for an application.
pub(super) fn issue(audience: &str, client_id: &str, lifetime_seconds: i64) -> String {
    let claims = token::application_claims(audience, client_id, lifetime_seconds);
    SigningKey::shared().sign(&claims)
}

fn reply_with(reply: Result<Value, EntraError>) -> Response<Body> {
    match reply {
        Ok(value) => body::json(StatusCode::OK, &value),
        Err(error) => error.into_response(),
    }
}

fn answer_fault(fault: Fault) -> Response<Body> {
    match fault {
        Fault::Unauthorized => EntraError::wrong_secret(super::CLIENT_ID).into_response(),
        Fault::Forbidden => EntraError::blocked().into_response(),
        Fault::Throttle(wait) => {
            let mut response = EntraError::throttled().into_response();
            let seconds = wait.as_secs().max(1).to_string();
            body::set(&mut response, header::RETRY_AFTER, &seconds);
            response
        }
        other => super::faults::respond(&other),
    }
}

/// The tenants this authority knows. The collective ones serve user logins.
fn check_tenant(tenant: &str) -> Result<(), EntraError> {
    if tenant == super::TENANT || tenant == "common" || tenant == "organizations" {
        Ok(())
    } else {
        Err(EntraError::unknown_tenant(tenant))
    }
}

async fn read_form(request: Request<RequestBody>) -> Result<form::Fields, EntraError> {
    let body = Limited::new(request.into_body(), FORM_CAP)
        .collect()
        .await
        .map_err(|_| EntraError::malformed())?
        .to_bytes();
    let text = std::str::from_utf8(&body).map_err(|_| EntraError::malformed())?;
    Ok(form::parse(text))
}
