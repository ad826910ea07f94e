//! The routes: their kind, the audience of their tokens, and whether the upstream may get a token.

use std::collections::BTreeMap;

use super::{credentials::Known, listeners::Listeners, upstream};
use crate::config::{
    Audience, LinkMode, Prefix, Route, RouteKind, ServiceUrl, Word as _,
    file::{RouteTable, SecurityTable},
    report::{At, Place, Read, ReplacedAudience, Report},
};

/// The audience that all DICOM services of the public cloud share.
pub const DICOM_AUDIENCE: &str = "https://dicom.healthcareapis.azure.com";

pub(super) fn resolve(
    tables: BTreeMap<String, At<RouteTable>>,
    listeners: &Listeners,
    security: &SecurityTable,
    credentials: &Known,
    report: &mut Report,
) -> Vec<Route> {
    // In the order of the file, so that the second of two equal prefixes is the one reported.
    let mut tables: Vec<_> = tables.into_iter().collect();
    tables.sort_by_key(|(_, table)| table.place);
    let mut routes: Vec<Route> = Vec::new();
    let mut prefixes = Vec::new();
    for (
        name,
        At {
            value: table,
            place,
        },
    ) in tables
    {
        if let Some(at) = table.upstream.given() {
            upstream::check(at, &name, listeners, security, report);
            upstream::check_kind(at, &name, &table.kind, report);
            report.notes.extend(upstream::doubt(&at.value, &name));
        }
        let prefix = prefix(&name, &table, place, &mut prefixes, report);
        if let Some(route) = route(&name, table, place, prefix, credentials, report) {
            routes.push(route);
        }
    }
    routes.sort_by(|a, b| a.name.cmp(&b.name));
    routes
}

/// The prefix of a route. Reports one that an earlier route has, whatever else is wrong with either.
fn prefix(
    name: &str,
    table: &RouteTable,
    place: Place,
    before: &mut Vec<(Prefix, String)>,
    report: &mut Report,
) -> Option<Prefix> {
    let (prefix, place) = match &table.prefix {
        Read::Given(at) => (at.value.clone(), at.place),
        Read::Refused => return None,
        // A name that is not a valid prefix has been reported as an invalid name.
        Read::Absent => (Prefix::parse(&format!("/{name}")).ok()?, place),
    };
    if let Some((_, other)) = before.iter().find(|(other, _)| *other == prefix) {
        report.refuse(
            place,
            format!("the routes `{other}` and `{name}` both have the prefix `{prefix}`"),
            "give one of them a `prefix` of its own",
        );
    }
    before.push((prefix.clone(), name.to_owned()));
    Some(prefix)
}

fn route(
    name: &str,
    table: RouteTable,
    place: Place,
    prefix: Option<Prefix>,
    credentials: &Known,
    report: &mut Report,
) -> Option<Route> {
    if table.upstream.is_absent() {
        report.refuse(
            place,
            format!("`routes.{name}` needs the key `upstream`"),
            "add `upstream = \"https://WS-FHIR.fhir.azurehealthcareapis.com\"` with your service's \
             URL to this table",
        );
    }
    let credential_place = table.credential.given().map_or(place, |at| at.place);
    let credential = match table.credential {
        Read::Refused => None,
        Read::Given(at) => Some(at.value),
        Read::Absent => Some("default".to_owned()),
    };
    let known = credential
        .as_deref()
        .map(|credential| credentials.check(credential, name, credential_place, report));
    let upstream_place = table.upstream.given().map_or(place, |at| at.place);
    let upstream = table.upstream.into_value();
    let kind = match table.kind {
        Read::Given(at) => at.value,
        Read::Refused => return None,
        Read::Absent => upstream::kind(upstream.as_ref()?, name),
    };
    if let Read::Given(at) = &table.pages
        && at.value
        && kind != RouteKind::Http
    {
        report.refuse(
            at.place,
            format!(
                "`routes.{name}.pages`: a {} service stores documents of other people, whose scripts \
                 must not run with your permissions",
                kind.as_str()
            ),
            "remove it; serve the application by a route of kind http, or from an origin of its own \
             that `allowed_origins` lists",
        );
    }
    let audience = match table.audience {
        Read::Given(at) => Some(at.value),
        Read::Refused => return None,
        Read::Absent => {
            let needed = known.flatten().is_some_and(|kind| kind.needs_audience);
            let default = default_audience(kind, upstream.as_ref(), name, needed);
            match report.replaced_audiences.remove(name) {
                Some(replaced) => Some(of_replaced(replaced, default, name, report)),
                None => default
                    .map_err(|(message, remedy)| report.refuse(upstream_place, message, remedy))
                    .ok()?,
            }
        }
    };
    Some(Route {
        name: name.into(),
        kind,
        prefix: prefix?,
        upstream: upstream?,
        audience,
        credential: credential?.into(),
        http: table.http,
        read_only: table.read_only,
        headers: table.headers,
        links: table.links.unwrap_or(match kind {
            RouteKind::Fhir | RouteKind::Dicom => LinkMode::Rewrite,
            RouteKind::Http => LinkMode::Keep,
        }),
        public_url: table.public_url.into_value(),
        listen: table.listen.into_value(),
        retry_throttled: table.retry_throttled,
        pages: table.pages.or(false),
    })
}

/// The audience of a route whose upstream a flag or variable has replaced: the new one's default, if
/// it has one. Tokens for another service would be refused.
fn of_replaced(
    replaced: ReplacedAudience,
    default: Result<Option<Audience>, (String, String)>,
    name: &str,
    report: &mut Report,
) -> Audience {
    let ReplacedAudience {
        audience: old,
        replaced_by,
    } = replaced;
    let default = default.ok().flatten();
    let audience = default.clone().unwrap_or_else(|| old.clone());
    let consequence = match default {
        Some(new) if new == old => return audience,
        Some(new) => format!("tokens are now for {new}, not for its `audience` {old}"),
        None => format!(
            "tokens are still for its `audience` {old}, since the new service has no default"
        ),
    };
    let replaced_by = match replaced_by {
        "URL" => "the URL among the arguments",
        named => named,
    };
    report.notes.push(format!(
        "{replaced_by} replaces the service of [routes.{name}]: {consequence}; to use another \
         audience, write `upstream` and `audience` into the file"
    ));
    audience
}

/// The default audience. Without an upstream the route is not used, and only an audience that no
/// upstream could provide is an error.
fn default_audience(
    kind: RouteKind,
    upstream: Option<&ServiceUrl>,
    name: &str,
    needed: bool,
) -> Result<Option<Audience>, (String, String)> {
    let key = format!("routes.{name}.audience");
    let guess = match kind {
        RouteKind::Fhir => match upstream {
            // Host names have no case, and Azure shows its audiences in lower case.
            Some(upstream) => upstream.origin().to_ascii_lowercase(),
            None => return Ok(None),
        },
        RouteKind::Dicom => match upstream.and_then(ServiceUrl::azure_domain) {
            Some(domain @ ("azurehealthcareapis.us" | "azurehealthcareapis.cn")) => {
                return Err((
                    format!(
                        "`{key}` is missing: no audience is known for DICOM services below {domain}"
                    ),
                    "add `audience = \"…\"` to this route; the service's page in the portal shows \
                     it under Authentication"
                        .to_owned(),
                ));
            }
            _ => DICOM_AUDIENCE.to_owned(),
        },
        RouteKind::Http if needed => {
            return Err((
                format!("`{key}` is missing: a route of kind http has no default for it"),
                "add `audience = \"…\"` to this route, or `kind = \"fhir\"` or \"dicom\" if it is \
                 one"
                .to_owned(),
            ));
        }
        RouteKind::Http => return Ok(None),
    };
    Audience::parse(&guess).map(Some).map_err(|error| {
        (
            format!(
                "`{key}` is missing, and {guess} is not a valid audience: {}",
                error.message
            ),
            "add `audience = \"…\"` to this route".to_owned(),
        )
    })
}
