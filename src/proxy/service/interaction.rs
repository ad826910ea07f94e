//! A request, as its service understands it.

use crate::rewrite::Plan;

/// The meaning of a request for its service, read from the method and from the path after the
/// route's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) struct Interaction {
    /// The resource type from a fixed list, such as `Patient` or `studies`, or `-`. Nothing else of
    /// the path may be logged.
    pub(in crate::proxy) resource: &'static str,
    /// The endpoint is public, so the request works before anyone has signed in.
    pub(in crate::proxy) is_public: bool,
    /// The request changes nothing at the service.
    pub(in crate::proxy) is_read: bool,
    /// The request is a search by POST, with its parameters in a form.
    pub(in crate::proxy) is_search: bool,
    /// The links that the response may contain. `None` for stored content.
    pub(in crate::proxy) response: Option<Plan>,
}
