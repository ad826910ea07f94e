//! The one integration test binary: a module for each behaviour.

#[cfg(unix)]
mod azure_cli;
mod config;
mod forwarding;
#[cfg(unix)]
mod process;
mod support;
mod tokens;
