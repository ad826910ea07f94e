//! The caller whose token a service has judged.

use std::time::SystemTime;

use crate::{config::Route, credentials::Claims};

/// The holder of the token, and the route that it was sent to.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    pub(super) route: &'a Route,
    /// The kind of credential that gave the token.
    pub(super) kind: &'static str,
    /// Whether `auto` has chosen the credential.
    pub(super) is_auto: bool,
    pub(super) claims: &'a Claims,
    /// Whether the service has refused an anonymous request with 403.
    pub(super) is_closed: bool,
    pub(super) now: SystemTime,
}
