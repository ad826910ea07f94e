//! The local URLs and first requests that commands print, ready to be copied.

use crate::{app::Running, config::RouteKind, shell};

/// The start of the URLs that clients call.
pub(super) fn base_url(running: &Running) -> String {
    let is_tls = running
        .addresses()
        .iter()
        .any(|address| address.starts_with("https://"));
    let scheme = if is_tls { "https" } else { "http" };
    match running.socket_addresses().first() {
        Some(address) if address.ip().is_loopback() => {
            format!("{scheme}://localhost:{}", address.port())
        }
        Some(address) => format!("{scheme}://{address}"),
        None => "http://localhost".to_owned(),
    }
}

/// The option with which curl reaches the proxy, if it listens on a Unix socket only.
pub(super) fn curl_option(running: &Running) -> String {
    let path = running
        .addresses()
        .iter()
        .find_map(|address| address.strip_prefix("unix:"));
    match path {
        Some(path) if running.socket_addresses().is_empty() => {
            format!(" --unix-socket {}", shell::quoted(path))
        }
        _ => String::new(),
    }
}

/// A request that shows something of a service.
pub(super) fn first_request(kind: RouteKind) -> &'static str {
    match kind {
        RouteKind::Fhir => "/Patient?_count=5",
        RouteKind::Dicom => "/v2/studies?limit=5",
        RouteKind::Http => "/",
    }
}
