//! Makes the links in responses point to the proxy, and those in requests to the service.
//!
//! A service writes its own address into its responses. A client that followed such a link would
//! leave the proxy and be refused for want of a token; a client that sent the proxy's address back
//! within a resource would have it stored for good. Only links of the protocol are changed
//! ([`Plan`] lists them), byte by byte where they stand, while the body streams past: what is
//! stored in a resource is the user's and passes as it is, in both its meaning and its spelling.
//!
//! Nothing here reads, writes or waits: bytes in, bytes out.

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
