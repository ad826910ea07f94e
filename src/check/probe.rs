//! Two harmless requests to a route's service, one without a token and one with it.

use std::future::ready;
use std::time::Duration;

use http::{HeaderValue, Request, header};
use tokio::time::timeout;

use super::{Outcome, Response};
use crate::{
    config::{Config, Route, RouteKind},
    token::Token,
    upstream::{Connections, Origin, Pool, RequestBody, SendError},
};

/// The timeout of a request. It is short, since a user waits at a terminal.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends requests to the service behind a route.
pub(super) struct Probe<'a> {
    route: &'a Route,
    pool: Pool,
    timeout: Duration,
}

impl<'a> Probe<'a> {
    pub(super) fn new(
        connections: &Connections,
        origin: &Origin,
        route: &'a Route,
        config: &Config,
    ) -> Self {
        Self {
            route,
            pool: connections.pool(origin.clone(), route.http),
            timeout: config.network.response_timeout.min(PATIENCE),
        }
    }

    /// Sends a request without a token. `None` if every request to the service needs one.
    pub(super) async fn anonymous(&self) -> Option<Result<Response, Outcome>> {
        let target = anonymous_target(self.route)?;
        Some(self.get(target, None).await)
    }

    pub(super) async fn authorized(&self, token: &Token) -> Result<Response, Outcome> {
        let target = authorized_target(self.route);
        self.get(target, Some(&token.authorization)).await
    }

    async fn get(
        &self,
        target: String,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Outcome> {
        let accept = match self.route.kind {
            RouteKind::Fhir => "application/fhir+json",
            RouteKind::Dicom => "application/json",
            RouteKind::Http => "*/*",
        };
        let mut request = Request::get(&*target)
            .header(header::ACCEPT, accept)
            .header(
                header::USER_AGENT,
                concat!("ahds-proxy/", env!("CARGO_PKG_VERSION")),
            )
            .body(())
            .expect("a checked base path and constants make a request");
        let headers = request.headers_mut();
        for (name, value) in &self.route.headers {
            headers.insert(name, value.clone());
        }
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        let empty = RequestBody::empty;
        let sending = self.pool.send(&request, empty(), |_| ready(Some(empty())));
        match timeout(self.timeout, sending).await {
            Ok(Ok(response)) => {
                let (head, _unread) = response.into_parts();
                Ok(Response::new(target, head))
            }
            Ok(Err(error)) => Err(broken(&target, &error)),
            Err(_) => Err(Outcome::failed(
                format!(
                    "GET {target}: no response within {} s",
                    self.timeout.as_secs_f32()
                ),
                "Try again in a moment. If this continues, look at the service's metrics and Resource \
                 health in the portal, and check the firewalls on the way.",
            )),
        }
    }
}

fn broken(target: &str, error: &SendError) -> Outcome {
    let remedy = match error {
        SendError::Protocol => {
            "Check host and port of `upstream`. The server there does not speak HTTP."
        }
        _ => {
            "Try again in a moment. If this continues, a firewall or proxy on the way closes \
             connections."
        }
    };
    Outcome::failed(format!("GET {target}: {error}"), remedy)
}

/// A resource that each kind of service shows without a token.
fn anonymous_target(route: &Route) -> Option<String> {
    let base = route.upstream.base_path();
    match route.kind {
        RouteKind::Fhir => Some(format!("{base}/metadata")),
        RouteKind::Dicom => {
            let base = base
                .strip_suffix("/v1")
                .or_else(|| base.strip_suffix("/v2"))
                .unwrap_or(base);
            Some(format!("{base}/health/check"))
        }
        RouteKind::Http => None,
    }
}

/// The target of a request that costs little, changes nothing and needs the role for reading.
fn authorized_target(route: &Route) -> String {
    let base = route.upstream.base_path();
    match route.kind {
        RouteKind::Fhir => format!("{base}/Patient?_count=1&_elements=id"),
        RouteKind::Dicom => {
            let has_version = base.ends_with("/v1") || base.ends_with("/v2");
            let version = if has_version { "" } else { "/v2" };
            format!("{base}{version}/changefeed/latest?includemetadata=false")
        }
        RouteKind::Http if base.is_empty() => "/".to_owned(),
        RouteKind::Http => base.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load};

    fn route(kind: &str, upstream: &str) -> Route {
        let flags = Overrides {
            fhir: (kind == "fhir").then(|| upstream.to_owned()),
            dicom: (kind == "dicom").then(|| upstream.to_owned()),
            ..Overrides::default()
        };
        let config = load(&flags, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
        config.routes[0].clone()
    }

    #[test]
    fn asks_what_the_kind_of_service_has() {
        let fhir = "https://w-f.fhir.azurehealthcareapis.com";
        let dicom = "https://w-d.dicom.azurehealthcareapis.com";
        let search = "/Patient?_count=1&_elements=id";
        let latest = "/v2/changefeed/latest?includemetadata=false";
        for (kind, upstream, anonymous, authorized) in [
            ("fhir", fhir.to_owned(), "/metadata", search.to_owned()),
            (
                "fhir",
                format!("{fhir}/r4"),
                "/r4/metadata",
                format!("/r4{search}"),
            ),
            (
                "dicom",
                dicom.to_owned(),
                "/health/check",
                latest.to_owned(),
            ),
            (
                "dicom",
                format!("{dicom}/v2"),
                "/health/check",
                latest.to_owned(),
            ),
        ] {
            let route = route(kind, &upstream);
            assert_eq!(anonymous_target(&route).as_deref(), Some(anonymous));
            assert_eq!(authorized_target(&route), authorized);
        }
    }
}
