//! The one integration test binary: a module for each behaviour.

mod admin;
mod architecture;
mod config;
mod cors;
mod failures;
mod forwarding;
mod guard;
mod headers;
mod limits;
mod own_answers;
mod routing;
mod slow_clients;
mod support;
