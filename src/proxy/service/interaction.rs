//! A request, as its service understands it.

use crate::rewrite::Plan;

/// A request as the service understands it, read from the method and from the path behind the route's
/// prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) struct Interaction {
    /// The resource type, `Patient` or `studies`, from a fixed list, or `-`: all of the path that may be
    /// logged.
    pub(in crate::proxy) resource: &'static str,
    /// The endpoint is public, so the request works before anyone has signed in.
    pub(in crate::proxy) is_public: bool,
    /// The request changes nothing at the service.
    pub(in crate::proxy) is_read: bool,
    /// The request is a search by POST, with its parameters in a form.
    pub(in crate::proxy) is_search: bool,
    /// The links that the response may hold. `None` for content that the service has in store.
    pub(in crate::proxy) response: Option<Plan>,
}
