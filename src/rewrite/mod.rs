//! Makes the links in responses point to the proxy, and the links in requests point to the service.
//!
//! A service writes its own URL into responses. A client that followed such a link would bypass the
//! proxy and be refused, since it has no token. If a client sent the proxy's URL within a resource,
//! the service would store it. Only links of the protocol change ([`Plan`] lists them), byte by
//! byte in their places, while the body streams past. The content of a resource is the user's and
//! keeps its meaning and spelling.
//!
//! This module does no I/O and never waits.

mod bases;
mod document;
mod form;
mod json;
mod output;
mod plan;
mod rewriter;
mod search;
mod sink;
mod skip;
mod values;
mod word;
mod xml;

pub use self::{
    bases::Bases, form::FormRewriter, json::JsonRewriter, plan::Plan, rewriter::Rewriter,
    xml::XmlRewriter,
};
