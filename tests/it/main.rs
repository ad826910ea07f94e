//! The one integration test binary: a module for each behaviour.

#[cfg(unix)]
mod azure_cli;
mod config;
mod forwarding;
#[cfg(unix)]
mod privacy;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod request_log;
mod streaming;
mod support;
mod tokens;
