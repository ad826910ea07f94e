//! One rewriter for all formats of a body.

use bytes::Bytes;

use super::{form::FormRewriter, json::JsonRewriter, xml::XmlRewriter};

/// Changes the links of one body while it streams past.
#[derive(Debug)]
pub enum Rewriter {
    /// For a JSON document.
    Json(JsonRewriter),
    /// For an XML document.
    Xml(XmlRewriter),
    /// For a form (`application/x-www-form-urlencoded`).
    Form(FormRewriter),
}

impl Rewriter {
    /// Takes the next chunk of the body and returns the bytes that are decided.
    pub fn push(&mut self, chunk: &Bytes) -> Bytes {
        match self {
            Self::Json(rewriter) => rewriter.push(chunk),
            Self::Xml(rewriter) => rewriter.push(chunk),
            Self::Form(rewriter) => rewriter.push(chunk),
        }
    }

    /// Ends the body and returns the bytes that were held back.
    pub fn finish(self) -> Bytes {
        match self {
            Self::Json(rewriter) => rewriter.finish(),
            Self::Xml(rewriter) => rewriter.finish(),
            Self::Form(rewriter) => rewriter.finish(),
        }
    }
}
