//! The upstreams of routes: whether each may get a token, and whether it is the base of a service of
//! the route's kind.

use super::listeners::Listeners;
use crate::config::{
    RouteKind, ServiceUrl, Word as _,
    file::SecurityTable,
    report::{At, Place, Read, Report},
};

/// The first segments of the paths that a DICOM service has below its version.
const DICOM_PATHS: [&str; 8] = [
    "changefeed",
    "export",
    "extendedquerytags",
    "instances",
    "operations",
    "series",
    "studies",
    "workitems",
];

/// Reports an upstream that must not get a token.
pub(super) fn check(
    at: &At<ServiceUrl>,
    name: &str,
    listeners: &Listeners,
    security: &SecurityTable,
    report: &mut Report,
) {
    let (url, key) = (&at.value, format!("routes.{name}.upstream"));
    if !url.is_secure() {
        report.refuse(
            at.place,
            format!("`{key}`: plain http would show the token to everyone on the way"),
            format!(
                "write https://{}{}; http is for loopback only",
                url.authority(),
                url.base_path()
            ),
        );
    }
    let host = url.host();
    let trusts = |hosts: &[At<String>]| hosts.iter().any(|trusted| trusted.value == host);
    let trusted = match &security.trusted_upstreams {
        Read::Absent => false,
        Read::Refused => true,
        Read::Given(hosts) => trusts(&hosts.value),
    };
    if url.azure_domain().is_none() && !url.is_loopback() && !trusted {
        report.refuse(
            at.place,
            format!(
                "`{key}`: the host `{host}` is not part of Azure Health Data Services, so it gets \
                 no token"
            ),
            format!(
                "check its spelling (*.azurehealthcareapis.com), or set \
                 `trusted_upstreams = [\"{host}\"]` below [security] if you trust it with a token"
            ),
        );
    }
    if let Some(own) = listeners.own(url) {
        report.refuse(
            at.place,
            format!("`{key}` is this proxy itself, listening on {own}"),
            "write the service's own address, or listen on another port",
        );
    }
}

/// Reports an upstream that is a service of another kind than the route, and one whose path does not
/// end at the base of a service.
pub(super) fn check_kind(
    at: &At<ServiceUrl>,
    name: &str,
    written: &Read<RouteKind>,
    report: &mut Report,
) {
    let url = &at.value;
    let (key, place, kind) = match written {
        Read::Refused => return,
        Read::Given(written) => ("kind", written.place, written.value),
        Read::Absent => (
            "upstream",
            at.place,
            kind_of_name(name).unwrap_or(kind(url, name)),
        ),
    };
    if let Some((workspace, domain)) = url.name_below_domain()
        && kind == RouteKind::Dicom
    {
        report.refuse(
            at.place,
            format!(
                "`routes.{name}.upstream`: {} is the host of a workspace, not of a DICOM service in it",
                url.host()
            ),
            format!(
                "write https://{workspace}-SERVICE.dicom.{domain}; `ahds-proxy init` and the portal show \
                 the URL"
            ),
        );
        return;
    }
    let by_host = url.azure_domain().and_then(|_| kind_of_host(url));
    if let Some(found) = by_host
        && found != kind
        && kind != RouteKind::Http
    {
        let right = match place {
            Place::Flag(_) => format!("give this URL to --{}", found.as_str()),
            _ if key == "kind" => format!("write kind = \"{}\"", found.as_str()),
            _ => format!("put this URL into [routes.{}]", found.as_str()),
        };
        report.refuse(
            place,
            format!(
                "`routes.{name}.{key}`: {} is the host of a {} service, but this route is for {}",
                url.host(),
                found.title(),
                kind.title()
            ),
            format!(
                "{right}, or write the URL of the {} service, such as {}",
                kind.title(),
                example(kind)
            ),
        );
        return;
    }
    if let Some(base) = base_of(url, kind) {
        report.refuse(
            at.place,
            format!(
                "`routes.{name}.upstream`: the path `{}` is not the base of a {} service; clients add \
                 the rest of the path themselves",
                url.base_path(),
                kind.title()
            ),
            format!("write {}{base}", url.origin()),
        );
    }
}

/// A warning about an upstream that is valid, and probably not the service that is meant.
pub(super) fn doubt(url: &ServiceUrl, name: &str) -> Option<String> {
    let (service, _) = url.name_in_azure()?;
    let host = url.host();
    if service == "ws-fhir.fhir" || service == "ws-dicom.dicom" {
        // A workspace's name has at least three characters.
        return Some(format!(
            "`routes.{name}.upstream` is the placeholder of the documentation ({host}); write the URL of \
             your own service, which `ahds-proxy init` finds and the portal shows"
        ));
    }
    let services = url.hosts_in_workspace()?;
    Some(format!(
        "`routes.{name}.upstream`: {host} is the host of a workspace (or of the retired Azure API for FHIR); \
         write the URL of a service in it, whose host is {services}; `ahds-proxy init` and the portal show \
         the URL"
    ))
}

/// The path that ends at the base of the service, if the URL's path does not.
fn base_of(url: &ServiceUrl, kind: RouteKind) -> Option<String> {
    let path = url.base_path();
    let is_azure = url.azure_domain().is_some();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let end = match kind {
        RouteKind::Fhir => segments.iter().position(|segment| {
            let is_type = segment.starts_with(|first: char| first.is_ascii_uppercase());
            *segment == "metadata" || *segment == "Patient" || is_azure && is_type
        }),
        RouteKind::Dicom => segments
            .windows(2)
            .position(|pair| pair[0] == pair[1] && is_version(pair[0]))
            .map(|first| first + 1)
            .or_else(|| {
                segments
                    .iter()
                    .position(|segment| DICOM_PATHS.contains(segment))
            }),
        RouteKind::Http => None,
    }?;
    let kept = segments[..end].iter().map(|segment| format!("/{segment}"));
    Some(kept.collect())
}

/// Whether a segment of a DICOM path is a version, such as `v2`.
fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

fn example(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::Fhir => "https://WS-FHIR.fhir.azurehealthcareapis.com",
        RouteKind::Dicom => "https://WS-DICOM.dicom.azurehealthcareapis.com",
        RouteKind::Http => "https://HOST",
    }
}

/// The kind by the upstream's host, else by the route's name.
pub(super) fn kind(upstream: &ServiceUrl, name: &str) -> RouteKind {
    kind_of_host(upstream)
        .or_else(|| kind_of_name(name))
        .unwrap_or(RouteKind::Http)
}

pub(super) fn kind_of_host(upstream: &ServiceUrl) -> Option<RouteKind> {
    let host = upstream.host();
    // Azure API for FHIR has the account's name directly below the domain.
    let is_account = upstream.name_below_domain().is_some();
    if host.contains(".fhir.") || is_account {
        Some(RouteKind::Fhir)
    } else if host.contains(".dicom.") {
        Some(RouteKind::Dicom)
    } else {
        None
    }
}

fn kind_of_name(name: &str) -> Option<RouteKind> {
    match name {
        "fhir" => Some(RouteKind::Fhir),
        "dicom" => Some(RouteKind::Dicom),
        _ => None,
    }
}
