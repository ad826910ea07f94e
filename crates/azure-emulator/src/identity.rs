//! Managed identities: the endpoints that Azure puts beside a machine or an app, over plain HTTP on
//! loopback. Each platform has a path of its own here, so that one listener serves all platforms:
//!
//! | path | platform |
//! |---|---|
//! | `GET /metadata/identity/oauth2/token` | the instance metadata service |
//! | `GET /msi/token` | App Service |
//! | `GET /arc/metadata/identity/oauth2/token` | the Azure Arc agent |
//! | `POST /oauth2/token` | Cloud Shell |

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{
    Entra, IDENTITY_CLIENT_ID, IDENTITY_OBJECT_ID, IDENTITY_RESOURCE_ID, Options,
    body::{self, Body},
    clock, entra,
    faults::{self, Faults},
    form, random,
    serve::Connection,
    traffic::{RequestBody, Traffic},
};

/// A day, as most managed identity tokens live.
const LIFETIME: i64 = 24 * 60 * 60;
const APP_SERVICE: &str = "/msi/token";
const FORM_CAP: usize = 16 * 1024;

/// The emulated endpoints, and the handle to their behaviour.
#[derive(Debug)]
pub struct ManagedIdentity {
    traffic: Traffic,
    faults: Faults,
    entra: Arc<Entra>,
    /// The value that App Service expects in `X-IDENTITY-HEADER`.
    header: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    lifetime: i64,
    is_assigned: bool,
    key_folder: Option<PathBuf>,
    key: Option<String>,
}

impl ManagedIdentity {
    pub(super) fn new(options: &Options, entra: Arc<Entra>) -> Self {
        Self {
            traffic: Traffic::new(options.remembered_requests),
            faults: Faults::default(),
            entra,
            header: random::hex::<16>(),
            state: Mutex::new(State {
                lifetime: LIFETIME,
                is_assigned: true,
                key_folder: None,
                key: None,
            }),
        }
    }

    /// Counters and recorded requests of all platforms.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Faults of all platforms.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The app's `IDENTITY_HEADER`.
    pub fn header(&self) -> &str {
        &self.header
    }

    /// How long tokens issued from now on live.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.state().lifetime = i64::try_from(lifetime.as_secs()).unwrap_or(LIFETIME);
    }

    /// Takes the identity from the machine, or gives it back.
    pub fn set_assigned(&self, is_assigned: bool) {
        self.state().is_assigned = is_assigned;
    }

    /// Where the Arc agent writes its keys; without a folder it names one that is not there.
    pub fn set_key_folder(&self, folder: impl Into<PathBuf>) {
        self.state().key_folder = Some(folder.into());
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
        let is_app = request.uri().path() == APP_SERVICE;
        let response = match self.faults.suffer(None, &connection).await {
            Some(fault) => faults::respond(&fault),
            None => match self.answer(request).await {
                Ok(reply) => body::json(StatusCode::OK, &reply),
                Err(refusal) => refusal.into_response(is_app),
            },
        };
        running.follow(&method, response)
    }

    async fn answer(&self, request: Request<RequestBody>) -> Result<Value, Refusal> {
        let headers = request.headers().clone();
        let query = form::parse(request.uri().query().unwrap_or_default());
        let is_get = *request.method() == Method::GET;
        match request.uri().path() {
            "/metadata/identity/oauth2/token" if is_get => {
                check_metadata_header(&headers)?;
                check_version(&query, &["2018-02-01", "2019-08-01", "2021-12-13"])?;
                self.issue(&query, "msi_res_id")
            }
            APP_SERVICE if is_get => {
                let sent = headers.get("x-identity-header");
                if sent.map(HeaderValue::as_bytes) != Some(self.header.as_bytes()) {
                    let status = StatusCode::UNAUTHORIZED;
                    return Err(Refusal::new(status, "wrong X-IDENTITY-HEADER"));
                }
                check_version(&query, &["2019-08-01"])?;
                self.issue(&query, "mi_res_id")
            }
            "/arc/metadata/identity/oauth2/token" if is_get => {
                check_metadata_header(&headers)?;
                check_version(&query, &["2019-11-01", "2020-06-01"])?;
                self.check_key(&headers)?;
                self.issue(&query, "msi_res_id")
            }
            "/oauth2/token" if *request.method() == Method::POST => {
                check_metadata_header(&headers)?;
                let body = Limited::new(request.into_body(), FORM_CAP).collect().await;
                let body = body.map_err(|_| Refusal::bad("the form is too long"))?;
                self.issue(&form::parse(&String::from_utf8_lossy(&body.to_bytes())), "")
            }
            _ => Err(Refusal::new(StatusCode::NOT_FOUND, "no such endpoint")),
        }
    }

    /// Issues the token that the fields request, with numbers as strings.
    fn issue(
        &self,
        fields: &[(String, String)],
        resource_parameter: &str,
    ) -> Result<Value, Refusal> {
        let audience =
            form::get(fields, "resource").ok_or_else(|| Refusal::bad("resource is missing"))?;
        for (name, value) in fields {
            let known = match name.as_str() {
                "client_id" => IDENTITY_CLIENT_ID,
                "object_id" => IDENTITY_OBJECT_ID,
                name if name == resource_parameter => IDENTITY_RESOURCE_ID,
                "resource" | "api-version" => continue,
                _ => return Err(Refusal::bad("unknown parameter")),
            };
            if !value.eq_ignore_ascii_case(known) {
                return Err(Refusal::bad("Identity not found"));
            }
        }
        let (lifetime, is_assigned) = {
            let state = self.state();
            (state.lifetime, state.is_assigned)
        };
        if !is_assigned {
            return Err(Refusal::bad("Identity not found"));
        }
        if !self.entra.knows(audience) {
            return Err(Refusal::bad(format!(
                "AADSTS500011: The resource principal named {audience} was not found."
            )));
        }
        let token = entra::issue(audience, IDENTITY_CLIENT_ID, lifetime);
        let now = clock::unix();
        Ok(json!({
            "access_token": token,
            "client_id": IDENTITY_CLIENT_ID,
            "expires_in": lifetime.to_string(),
            "expires_on": (now + lifetime).to_string(),
            "ext_expires_in": lifetime.to_string(),
            "not_before": now.to_string(),
            "resource": audience,
            "token_type": "Bearer",
        }))
    }

    /// The Arc agent's challenge: a new key for each, in a file that the caller has to read.
    fn check_key(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut state = self.state();
        let expected = state.key.take().map(|key| format!("Basic {key}"));
        let sent = headers.get(header::AUTHORIZATION);
        if sent.is_some()
            && sent.map(HeaderValue::as_bytes) == expected.as_ref().map(String::as_bytes)
        {
            return Ok(());
        }
        let key = random::hex::<16>();
        let folder = state.key_folder.as_deref();
        let folder = folder.unwrap_or(Path::new("/nonexistent"));
        let file = folder.join(format!("{}.key", random::guid()));
        if std::fs::write(&file, &key).is_ok() {
            state.key = Some(key);
        }
        Err(Refusal {
            challenge: Some(format!("Basic realm={}", file.display())),
            ..Refusal::new(StatusCode::UNAUTHORIZED, "a key is needed")
        })
    }
}

/// The reason why there is no token.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    message: String,
    challenge: Option<String>,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            challenge: None,
        }
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// App Service has a form of its own.
    fn into_response(self, is_app: bool) -> Response<Body> {
        let value = if is_app {
            json!({"statusCode": self.status.as_u16(), "message": self.message})
        } else {
            let is_entras = self.message.starts_with("AADSTS");
            let error = if is_entras {
                "invalid_resource"
            } else {
                "invalid_request"
            };
            json!({"error": error, "error_description": self.message})
        };
        let mut response = body::json(self.status, &value);
        if let Some(challenge) = self.challenge {
            body::set(&mut response, header::WWW_AUTHENTICATE, &challenge);
        }
        response
    }
}

/// Neither a page in a browser nor a server that was made to send a request can pass this.
fn check_metadata_header(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers.get("metadata").map(HeaderValue::as_bytes);
    if !value.is_some_and(|value| value.eq_ignore_ascii_case(b"true")) {
        return Err(Refusal::bad("Required metadata header not specified"));
    }
    if headers.contains_key("x-forwarded-for") {
        return Err(Refusal::bad("Request was forwarded"));
    }
    Ok(())
}

fn check_version(query: &[(String, String)], known: &[&str]) -> Result<(), Refusal> {
    if form::get(query, "api-version").is_some_and(|version| known.contains(&version)) {
        return Ok(());
    }
    Err(Refusal::bad("Invalid or missing api-version"))
}
