//! Logging. No line, at any level, holds a token, a query string, a resource id or a UID.

pub mod lines;
pub mod log;
mod text;
