//! The one integration test binary: a module for each behaviour.

mod admin;
mod architecture;
#[cfg(unix)]
mod azure_cli;
#[cfg(unix)]
mod certificate;
mod config;
mod cors;
mod failures;
mod forwarding;
mod guard;
mod headers;
mod limits;
#[cfg(unix)]
mod managed_identity;
mod own_answers;
#[cfg(unix)]
mod privacy;
#[cfg(unix)]
mod process;
mod refusals;
#[cfg(unix)]
mod request_log;
mod routing;
mod slow_clients;
mod streaming;
mod support;
mod tokens;
#[cfg(unix)]
mod workload_identity;
