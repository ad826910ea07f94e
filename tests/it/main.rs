//! The one integration test binary: a module for each behaviour.

mod admin;
#[cfg(unix)]
mod azure_cli;
mod config;
mod cors;
mod failures;
mod forwarding;
mod guard;
mod headers;
#[cfg(unix)]
mod privacy;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod request_log;
mod routing;
mod streaming;
mod support;
mod tokens;
