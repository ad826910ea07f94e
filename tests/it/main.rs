//! The one integration test binary: a module for each behaviour.

mod config;
mod forwarding;
mod support;
mod tokens;
