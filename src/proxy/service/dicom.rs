//! `DICOMweb` as Azure serves it (learn.microsoft.com/azure/healthcare-apis/dicom).

use http::Method;

use super::{
    interaction::Interaction,
    path::{is_name, is_read_method, resource, segments},
};
use crate::rewrite::Plan;

/// The resources that may be logged, in byte order.
const RESOURCES: &[&str] = &[
    "changefeed",
    "export",
    "extendedquerytags",
    "instances",
    "operations",
    "partitions",
    "series",
    "studies",
    "workitems",
];

pub(super) fn interaction(method: &Method, path: &str) -> Interaction {
    let is_read = is_read_method(method);
    Interaction {
        resource: resource(path, RESOURCES),
        is_public: is_read && is_public(path),
        is_read,
        is_search: false,
        response: response(method, path),
    }
}

/// Whether a path is the health check, or the `OpenAPI` document of a version.
fn is_public(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/') else {
        return false;
    };
    let path = path.strip_suffix('/').unwrap_or(path);
    path == "health/check" || path.strip_suffix("/api.yaml").is_some_and(is_name)
}

fn response(method: &Method, path: &str) -> Option<Plan> {
    // A version comes first, then a partition if the service has partitions.
    let mut segments = segments(path).filter(|segment| !segment.is_empty()).take(5);
    let noun = segments.find(|segment| {
        matches!(
            &**segment,
            "studies" | "operations" | "export" | "extendedquerytags" | "workitems"
        )
    })?;
    if noun != "studies" {
        return Some(Plan::DicomOperation);
    }
    if !matches!(*method, Method::POST | Method::PUT) {
        return None;
    }
    Some(match segments.next() {
        Some(operation) if operation.starts_with('$') => Plan::DicomOperation,
        _ => Plan::DicomStore,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_in_the_order_that_a_binary_search_needs() {
        assert!(RESOURCES.is_sorted());
    }
}
