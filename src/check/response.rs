//! Judges a response by its status and headers.

use http::{HeaderMap, StatusCode, header, response::Parts};

use super::{Outcome, caller::Caller, forbidden, unauthorized};
use crate::config::{Route, RouteKind, Word as _};

/// The head of a response, and the target of its request.
#[derive(Debug)]
pub(super) struct Response {
    target: String,
    status: StatusCode,
    headers: HeaderMap,
}

impl Response {
    pub(super) fn new(target: String, head: Parts) -> Self {
        Self {
            target,
            status: head.status,
            headers: head.headers,
        }
    }

    pub(super) fn is_forbidden(&self) -> bool {
        self.status == StatusCode::FORBIDDEN
    }

    pub(super) fn judge_anonymous(&self, route: &Route) -> Outcome {
        match self.status {
            _ if self.comes_from_between(route) => self.name_intruder(route),
            status if status.is_success() => Outcome::ok(self.seen()),
            StatusCode::UNAUTHORIZED => Outcome::ok(format!(
                "{}: the service responds, and requires a token",
                self.seen()
            )),
            StatusCode::FORBIDDEN => forbidden::from_here(&self.seen(), self.is_html(), route),
            _ => self.judge(route),
        }
    }

    pub(super) fn judge_authorized(&self, caller: &Caller<'_>) -> Outcome {
        let route = caller.route;
        match self.status {
            _ if self.comes_from_between(route) => self.name_intruder(route),
            status if status.is_success() => Outcome::ok(self.seen()),
            StatusCode::UNAUTHORIZED => unauthorized::explain(&self.seen(), &self.headers, caller),
            StatusCode::FORBIDDEN if caller.is_closed => {
                forbidden::from_here(&self.seen(), self.is_html(), route)
            }
            StatusCode::FORBIDDEN => forbidden::to_the_caller(&self.seen(), caller),
            // An unknown service need not have anything at its root.
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
                if route.kind == RouteKind::Http =>
            {
                Outcome::ok(format!("{}: the token was not refused", self.seen()))
            }
            status if status.is_redirection() && route.kind == RouteKind::Http => Outcome::ok(
                format!("{}: a redirect, which ahds-proxy passes on", self.seen()),
            ),
            _ => self.judge(route),
        }
    }

    /// The request, and the status of the response.
    fn seen(&self) -> String {
        format!("GET {}: {}", self.target, self.status.as_u16())
    }

    fn judge(&self, route: &Route) -> Outcome {
        let seen = self.seen();
        let name = &route.name;
        match self.status.as_u16() {
            300..=399 => Outcome::failed(
                format!("{seen}: the service redirects to another URL"),
                format!(
                    "Set `upstream` in [routes.{name}] to the service's own URL, since ahds-proxy \
                     follows no redirects. If the URL is right, a captive portal has responded: sign \
                     in to this network in a browser."
                ),
            ),
            404 => Outcome::failed(
                format!(
                    "{seen}: there is no {} service at this path",
                    route.kind.as_str()
                ),
                format!(
                    "Check `upstream` and `kind` in [routes.{name}]. The URL of an Azure service has \
                     no path, except for the version of a DICOM service."
                ),
            ),
            408 | 504 => Outcome::failed(
                format!("{seen}: the service did not finish in time"),
                "Try again in a moment. If this continues, look at the service's load under Metrics in \
                 the portal.",
            ),
            429 => {
                let wait = self.headers.get(header::RETRY_AFTER);
                let wait = wait.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
                let wait = wait.map_or_else(
                    || "Wait a moment".to_owned(),
                    |seconds| format!("Wait {seconds} s"),
                );
                Outcome::failed(
                    format!("{seen}: the service is throttling requests"),
                    format!(
                        "{wait} and check again. If this continues, send fewer requests at a time."
                    ),
                )
            }
            500..=599 => Outcome::failed(
                format!("{seen}: the service responds with a server error"),
                "Try again in a moment. If this continues, look at Resource health in the portal and \
                 at https://azure.status.microsoft.",
            ),
            _ => Outcome::failed(
                format!("{seen}: the service does not accept this request"),
                format!("Check `upstream`, `kind` and `headers` in [routes.{name}]."),
            ),
        }
    }

    fn is_html(&self) -> bool {
        self.headers.get(header::CONTENT_TYPE).is_some_and(|value| {
            value
                .as_bytes()
                .to_ascii_lowercase()
                .starts_with(b"text/html")
        })
    }

    /// Whether a proxy on the way to the service has responded. The service itself writes no HTML,
    /// except for the error pages of its front end.
    fn comes_from_between(&self, route: &Route) -> bool {
        match self.status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED
            | StatusCode::NETWORK_AUTHENTICATION_REQUIRED => true,
            status => route.kind != RouteKind::Http && status.is_success() && self.is_html(),
        }
    }

    fn name_intruder(&self, route: &Route) -> Outcome {
        Outcome::failed(
            format!(
                "{}: a proxy or captive portal has responded in the service's place",
                self.seen()
            ),
            format!(
                "Sign in to this network in a browser, or ask the network's administrator to allow {}.",
                route.upstream.host()
            ),
        )
    }
}
