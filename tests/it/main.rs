//! The integration test binary, with a module for each behaviour.

#[cfg(unix)]
mod aadsts;
mod admin;
#[cfg(unix)]
mod advice;
mod anonymous;
mod architecture;
#[cfg(unix)]
mod auto;
#[cfg(unix)]
mod azure_cli;
#[cfg(unix)]
mod azure_developer_cli_stub;
#[cfg(unix)]
mod azure_powershell_stub;
mod broken_answers;
mod browsers;
#[cfg(unix)]
mod certificate;
#[cfg(unix)]
mod check;
#[cfg(unix)]
mod command;
mod compressed_uploads;
mod config;
mod connection_limit;
mod cors;
#[cfg(unix)]
mod device_code;
mod documents;
mod failures;
mod fairness;
#[cfg(unix)]
mod first_screen;
mod forward_proxy;
mod forwarding;
mod guard;
mod half_closed;
mod headers;
#[cfg(unix)]
mod init;
mod least_rate;
mod limits;
mod links;
#[cfg(unix)]
mod managed_identity;
mod media_types;
mod mislabelled;
mod oauth2;
mod own_answers;
mod places;
#[cfg(unix)]
mod privacy;
#[cfg(unix)]
mod process;
mod raw_http2_targets;
mod raw_targets;
mod read_only;
mod references;
mod refusals;
mod registration;
#[cfg(unix)]
mod request_log;
mod routing;
#[cfg(unix)]
mod situations;
mod slow_clients;
mod smart;
mod streaming;
mod support;
mod throttling;
mod tls;
mod tokens;
mod trailers;
#[cfg(unix)]
mod truth;
mod turned_away;
mod unauthorized;
mod unread_requests;
mod upstream_connections;
#[cfg(unix)]
mod workload_identity;
