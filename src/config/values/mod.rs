//! The small values of a configuration. Each is valid by construction.
//!
//! Every `parse` takes the user's text and returns the value, or a [`ValueError`] with a remedy. None of them reads a
//! file or a variable.

mod auto_source;
mod characters;
mod choice;
mod endpoint;
mod forward_proxy;
mod host_name;
mod listen;
mod names;
mod pasted;
mod quantity;
mod secret;
mod url;

pub use self::{
    auto_source::AutoSource,
    choice::{HttpVersion, LinkMode, LogFormat, ResolveOverride, RouteKind, Word},
    endpoint::EndpointUrl,
    forward_proxy::ForwardProxy,
    listen::Listen,
    names::{Audience, Prefix, Tenant},
    quantity::{ByteSize, parse_duration},
    secret::{GivenSecret, SecretRef, SecretRefError},
    url::ServiceUrl,
};
pub(super) use self::{
    forward_proxy::{ProxySetting, ProxyUrl},
    host_name::is_host_name,
    url::is_of_this_machine,
};

/// The reason why a value was refused, and a remedy. Contains no user info and no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {remedy}")]
pub struct ValueError {
    /// The problem, as a clause without a full stop.
    pub message: String,
    /// The remedy.
    pub remedy: String,
}

impl ValueError {
    pub(crate) fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            remedy: remedy.into(),
        }
    }
}
