//! The one integration test binary: a module for each behaviour.

mod admin;
mod config;
mod cors;
mod failures;
mod forwarding;
mod guard;
mod headers;
mod routing;
mod support;
