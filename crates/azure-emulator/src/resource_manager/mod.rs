//! Azure Resource Manager: the calls with which a client finds FHIR and DICOM services
//! (Microsoft.HealthcareApis of azure-rest-api-specs, 2024-03-31) and the caller's permissions.

mod inventory;

use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::{Value, json};

use self::inventory::Kind;
pub use self::inventory::{Inventory, Service, Subscription, Workspace};
use super::{
    Options,
    body::{self, Body},
    faults::{Fault, Faults},
    form,
    serve::Connection,
    tokens::TokenCheck,
    traffic::{RequestBody, Traffic},
};

/// Entries on one page. Real pages are longer, but are not full either.
const PAGE: usize = 2;

/// The emulated Resource Manager, and the handle to its behaviour.
#[derive(Debug)]
pub struct ResourceManager {
    traffic: Traffic,
    faults: Faults,
    tokens: TokenCheck,
    inventory: Mutex<Inventory>,
}

impl ResourceManager {
    pub(super) fn new(options: &Options) -> Self {
        let audience = format!("https://{}", super::RESOURCE_MANAGER_HOST);
        Self {
            traffic: Traffic::new(options.remembered_requests),
            faults: Faults::default(),
            tokens: TokenCheck::new(&[&audience, &format!("{audience}/")]),
            inventory: Mutex::new(Inventory::demo()),
        }
    }

    /// Counters and recorded requests.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Faults of every request.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Replaces all that callers can see.
    pub fn set_inventory(&self, inventory: Inventory) {
        *self
            .inventory
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = inventory;
    }

    pub(super) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> Response<Body> {
        let (running, request) = self.traffic.begin(request, &connection);
        let method = request.method().clone();
        let response = self.answer(&request, &connection).await;
        running.follow(&method, response)
    }

    async fn answer(
        &self,
        request: &Request<RequestBody>,
        connection: &Arc<Connection>,
    ) -> Response<Body> {
        if let Some(fault) = self.faults.suffer(None, connection).await {
            return match fault {
                Fault::Unauthorized => {
                    refusal(StatusCode::UNAUTHORIZED, "InvalidAuthenticationTokenTenant")
                }
                Fault::Throttle(wait) => {
                    let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests");
                    let seconds = wait.as_secs().to_string();
                    body::set(&mut response, header::RETRY_AFTER, &seconds);
                    response
                }
                Fault::Forbidden => refusal(StatusCode::FORBIDDEN, "AuthorizationFailed"),
                other => super::faults::respond(&other),
            };
        }
        if self.tokens.check(request.headers()).is_err() {
            self.traffic.invalid_token();
            return refusal(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken");
        }
        let query = form::parse(request.uri().query().unwrap_or_default());
        if *request.method() != Method::GET {
            return refusal(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed");
        }
        if form::get(&query, "api-version").is_none() {
            return refusal(StatusCode::BAD_REQUEST, "MissingApiVersionParameter");
        }
        let inventory = self
            .inventory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match respond(&inventory, request.uri().path()) {
            Ok(Content::List(entries)) => {
                body::json(StatusCode::OK, &page(request, &query, entries))
            }
            Ok(Content::Whole(value)) => body::json(StatusCode::OK, &value),
            Err((status, code)) => refusal(status, code),
        }
    }
}

enum Content {
    List(Vec<Value>),
    Whole(Value),
}

type Refusal = (StatusCode, &'static str);

const NOT_FOUND: Refusal = (StatusCode::NOT_FOUND, "ResourceNotFound");

/// Resource Manager compares ids without regard to case.
fn respond(inventory: &Inventory, path: &str) -> Result<Content, Refusal> {
    let lower = path.to_ascii_lowercase();
    let segments: Vec<&str> = lower.trim_matches('/').split('/').collect();
    let [first, rest @ ..] = &segments[..] else {
        return Err(NOT_FOUND);
    };
    if *first != "subscriptions" {
        return Err(NOT_FOUND);
    }
    let [id, rest @ ..] = rest else {
        let entries = inventory.subscriptions.iter().map(Subscription::entry);
        return Ok(Content::List(entries.collect()));
    };
    let subscription = inventory.subscriptions.iter().find(|known| known.id == *id);
    let subscription = subscription.ok_or((StatusCode::NOT_FOUND, "SubscriptionNotFound"))?;
    if subscription.is_closed {
        return Err((StatusCode::FORBIDDEN, "AuthorizationFailed"));
    }
    match rest {
        ["providers", "microsoft.healthcareapis", "workspaces"] => {
            let workspaces = subscription.workspaces.iter();
            let entries = workspaces.map(|workspace| workspace.entry(subscription));
            Ok(Content::List(entries.collect()))
        }
        ["providers", "microsoft.healthcareapis", "services"] => {
            let parent = subscription.group("accounts");
            let accounts = subscription.accounts.iter();
            let entries = accounts.map(|account| account.entry(Kind::Account, &parent));
            Ok(Content::List(entries.collect()))
        }
        [
            "resourcegroups",
            "accounts",
            "providers",
            "microsoft.healthcareapis",
            "services",
            name,
            rest @ ..,
        ] => {
            let parent = subscription.group("accounts");
            one(&subscription.accounts, Kind::Account, &parent, name, rest)
        }
        [
            "resourcegroups",
            group,
            "providers",
            "microsoft.healthcareapis",
            "workspaces",
            name,
            list,
            rest @ ..,
        ] => {
            let workspaces = subscription.workspaces.iter();
            let mut workspaces = workspaces.filter(|known| known.group == *group);
            let workspace = workspaces
                .find(|known| known.name == *name)
                .ok_or(NOT_FOUND)?;
            let parent = workspace.id(subscription);
            let (services, kind) = match *list {
                "fhirservices" => (&workspace.fhir, Kind::Fhir),
                "dicomservices" => (&workspace.dicom, Kind::Dicom),
                _ => return Err(NOT_FOUND),
            };
            match rest {
                [] => {
                    let entries = services.iter().map(|service| service.entry(kind, &parent));
                    Ok(Content::List(entries.collect()))
                }
                [name, rest @ ..] => one(services, kind, &parent, name, rest),
            }
        }
        _ => Err(NOT_FOUND),
    }
}

/// A service, or the caller's permissions for it.
fn one(
    services: &[Service],
    kind: Kind,
    parent: &str,
    name: &str,
    rest: &[&str],
) -> Result<Content, Refusal> {
    let service = services.iter().find(|service| service.name == name);
    let service = service.ok_or(NOT_FOUND)?;
    match rest {
        [] => Ok(Content::Whole(service.whole(kind, parent))),
        ["providers", "microsoft.authorization", "permissions"] => {
            Ok(Content::Whole(service.permissions()))
        }
        _ => Err(NOT_FOUND),
    }
}

/// One page of a list. The link to the next is absolute.
fn page(request: &Request<RequestBody>, query: &form::Fields, entries: Vec<Value>) -> Value {
    let skipped = form::get(query, "$skiptoken").and_then(|token| token.parse().ok());
    let skipped: usize = skipped.unwrap_or_default();
    let version = form::get(query, "api-version").unwrap_or_default();
    let total = entries.len();
    let value: Vec<Value> = entries.into_iter().skip(skipped).take(PAGE).collect();
    let mut page = json!({"value": value});
    if skipped + PAGE < total {
        page["nextLink"] = json!(format!(
            "{}{}?api-version={version}&$skiptoken={}",
            body::base_url(request),
            request.uri().path(),
            skipped + PAGE
        ));
    }
    page
}

fn refusal(status: StatusCode, code: &str) -> Response<Body> {
    let message = "The request was refused by the emulator.";
    body::json(
        status,
        &json!({"error": {"code": code, "message": message}}),
    )
}
