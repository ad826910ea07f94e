//! Logging. No line, at any level, contains a token, a query string, a resource id or a UID.

pub(crate) mod color;
mod limit;
pub(crate) mod lines;
pub(crate) mod log;
mod text;

pub(crate) use limit::LogLimit;
