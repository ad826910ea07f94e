//! The page that a browser gets at an address where nothing is served: a list of what is.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, header, request::Parts};

use super::{Route, headers};
use crate::config::RouteKind;

/// Whether a person in a browser sends the request.
pub(crate) fn is_wanted(head: &Parts) -> bool {
    let accept = head.headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
    matches!(head.method, Method::GET | Method::HEAD)
        && accept.is_some_and(|accept| accept.windows(9).any(|part| part == b"text/html"))
}

/// The page about a listener for clients.
pub(super) fn of_routes<'a>(routes: impl Iterator<Item = &'a Route>) -> Bytes {
    let mut items = String::new();
    for route in routes {
        let prefix = route.prefix();
        let example = match route.kind {
            RouteKind::Fhir => {
                format!(", for example <a href=\"{prefix}/metadata\">{prefix}/metadata</a>")
            }
            RouteKind::Dicom | RouteKind::Http => String::new(),
        };
        // Writing into a String cannot fail.
        let _ = writeln!(items, "<li>{prefix}/{example}</li>");
    }
    page("This path has no service. The services are at:", &items)
}

/// The page about the admin address.
pub(crate) fn of_paths(paths: &[&str]) -> Bytes {
    let mut items = String::new();
    for path in paths {
        let _ = writeln!(items, "<li><a href=\"{path}\">{path}</a></li>");
    }
    page(
        "This is the admin address. The services are at the addresses of `listen`. The pages here are:",
        &items,
    )
}

/// `items` contains no text from outside: a prefix has neither `<` nor `&`.
fn page(text: &str, items: &str) -> Bytes {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>ahds-proxy</title>\n\
         <h1>ahds-proxy</h1>\n<p>{text}</p>\n<ul>\n{items}</ul>\n</html>\n"
    )
    .into()
}

/// Puts a page in place of a response's body.
pub(crate) fn put<B: From<Bytes>>(response: &mut Response<B>, page: Bytes) {
    *response.body_mut() = page.into();
    let headers: &mut HeaderMap = response.headers_mut();
    headers::sandbox(headers);
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, html);
}
