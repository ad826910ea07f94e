//! Advice about a response of the service that says that something is wrong: a warning with the next
//! command in the log, and a hint in `Proxy-Status` where the response itself explains nothing.

use http::{HeaderMap, HeaderName, HeaderValue, response};

use super::{
    failure::Failure,
    response_fault::{Fault, versions},
    route::Route,
};

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const CHECK: &str = "Run: ahds-proxy check --online";

/// Logs what to do about a response, if something is wrong. `path` is the path on the upstream, and
/// `is_binary` says that clients chose the content type themselves.
pub(super) fn advise(
    route: &Route,
    path: &str,
    is_binary: bool,
    has_body: bool,
    head: &mut response::Parts,
) {
    let Some(fault) = Fault::of(route.kind, path, is_binary, has_body, head) else {
        return;
    };
    let (message, remedy) = match fault {
        Fault::Claims => {
            let remedy = claims_remedy(route);
            explain(&mut head.headers, &format!("{CLAIMS}; {remedy}"));
            (CLAIMS, remedy)
        }
        Fault::Unauthorized => ("the service refuses the token", CHECK.to_owned()),
        Fault::Forbidden => (
            "the service refuses this identity or this network",
            CHECK.to_owned(),
        ),
        Fault::ServerError => (
            "the service responded with a server error",
            format!(
                "Try again. If the error lasts, run: {}",
                &CHECK["Run: ".len()..]
            ),
        ),
        Fault::Html => (
            "the response is HTML, so another server may respond in place of the service",
            format!("Look for a captive portal or an HTTP proxy. {CHECK}"),
        ),
        Fault::Version => {
            let remedy = version_remedy(route, path);
            explain(&mut head.headers, &format!("{VERSION}; {remedy}"));
            (VERSION, remedy)
        }
        Fault::NoResource => {
            let remedy = no_resource_remedy(route);
            explain(&mut head.headers, &format!("{NO_RESOURCE}; {remedy}"));
            (NO_RESOURCE, remedy)
        }
    };
    if let Some(suppressed) = route.faults.allow(fault) {
        tracing::warn!(
            route = &*route.name,
            status = head.status.as_u16(),
            remedy,
            more_since_last = (suppressed > 0).then_some(suppressed),
            "{message}"
        );
    }
}

/// Logs why a request got no response from the service, with the remedy.
pub(super) fn advise_of_failure(route: &Route, failure: &Failure) {
    let Some((status, reason)) = failure.of_upstream() else {
        return;
    };
    if let Some(suppressed) = route.faults.allow_no_response() {
        tracing::warn!(
            route = &*route.name,
            status = status.as_u16(),
            reason,
            more_since_last = (suppressed > 0).then_some(suppressed),
            "a request got no response from the service"
        );
    }
}

const CLAIMS: &str = "the service requires a sign-in under another policy (claims challenge)";
const VERSION: &str = "paths of a DICOM service begin with its version, once";

const NO_RESOURCE: &str = "this path of the DICOM service names no resource";

fn no_resource_remedy(route: &Route) -> String {
    let prefix = route.prefix();
    let version = if versions(&route.base_path) == 0 {
        "/v2"
    } else {
        ""
    };
    format!("for example, call {prefix}{version}/studies or {prefix}{version}/changefeed")
}

fn version_remedy(route: &Route, path: &str) -> String {
    let prefix = route.prefix();
    if versions(path) == 0 {
        format!("for example, call {prefix}/v2/studies instead of {prefix}/studies")
    } else {
        format!(
            "remove the version from the paths below {prefix}, since `upstream` in [routes.{}] has it",
            route.name
        )
    }
}

fn claims_remedy(route: &Route) -> String {
    let claims = route
        .source
        .status()
        .token
        .map(|token| token.claims.clone());
    let tenant = claims
        .and_then(|claims| claims.tenant)
        .and_then(|tenant| option("tenant", &tenant));
    let scope = route.source.audience();
    let scope = scope.and_then(|audience| option("scope", &format!("{audience}/.default")));
    format!(
        "if you signed in with az, run `az logout` and `az login{}{}`; for an application, ask an \
         administrator",
        scope.unwrap_or_default(),
        tenant.unwrap_or_default()
    )
}

/// An option of a command. `None` for a value that another program could take for something else.
fn option(name: &str, value: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_:/".contains(c);
    let is_safe =
        value.starts_with(|c: char| c.is_ascii_alphanumeric()) && value.chars().all(is_plain);
    is_safe.then(|| format!(" --{name} {value}"))
}

/// Adds a hint to a response of the service. It has no `error`, which only responses of the proxy's
/// own have (RFC 9209, section 2.1).
fn explain(headers: &mut HeaderMap, details: &str) {
    // No hint contains a character that would end the quoted string, apart from one that is refused.
    let text = details.replace(['"', '\\'], "'");
    if let Ok(value) = HeaderValue::from_str(&format!("ahds-proxy; details=\"{text}\"")) {
        headers.append(PROXY_STATUS, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_of_a_token_never_becomes_an_option_of_its_own() {
        assert_eq!(option("tenant", "t-1").as_deref(), Some(" --tenant t-1"));
        for value in ["", "-x", "a b", "a;b", "a$b", "a\"b"] {
            assert_eq!(option("tenant", value), None, "{value}");
        }
    }
}
