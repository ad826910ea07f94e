//! The client that a token is requested for; error messages name its parts.

use crate::config::Audience;

/// The client, and the audience of the token that it wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Requester<'a> {
    pub(super) tenant: Option<&'a str>,
    pub(super) client_id: Option<&'a str>,
    pub(super) audience: &'a Audience,
}
