//! The client that requests a token. Error messages name its parts.

use crate::config::Audience;

/// The client, and the audience of the token that it requests.
#[derive(Debug, Clone, Copy)]
pub(super) struct Requester<'a> {
    pub(super) tenant: Option<&'a str>,
    pub(super) client_id: Option<&'a str>,
    pub(super) audience: &'a Audience,
}
