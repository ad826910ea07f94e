//! The failures of an HTTP proxy on the way to a server, each with its remedy.

use std::{io, time::Duration};

use http::StatusCode;

use super::origin::Origin;
use crate::config::ForwardProxy;

/// The reason why no connection through a proxy was made.
#[derive(Debug)]
pub struct ProxyError {
    proxy: ForwardProxy,
    host: String,
    /// The kind of failure.
    pub failure: ProxyFailure,
}

/// The ways in which a proxy can fail.
#[derive(Debug)]
pub enum ProxyFailure {
    /// The proxy's name does not resolve.
    Dns,
    /// No address of the proxy accepts the connection.
    Tcp(io::Error),
    /// The proxy did not accept a connection within `network.connect_timeout`.
    Unreached(Duration),
    /// The proxy did not respond to CONNECT within `network.connect_timeout`.
    Silent(Duration),
    /// The proxy closed the connection without a response.
    Closed,
    /// The response of the proxy is not HTTP.
    NotHttp,
    /// The proxy demands a user name and a password, and the configuration has none.
    NoCredentials,
    /// The proxy does not accept the user name and the password.
    WrongCredentials,
    /// The proxy demands credentials of another scheme than Basic.
    OtherScheme(&'static str),
    /// The proxy responded with another status than 2xx.
    Refused(StatusCode),
}

impl ProxyError {
    pub(super) fn new(proxy: &ForwardProxy, origin: &Origin, failure: ProxyFailure) -> Self {
        Self {
            proxy: proxy.clone(),
            host: origin.host().to_owned(),
            failure,
        }
    }

    /// The problem, as a clause without a full stop.
    pub fn problem(&self) -> String {
        let Self { proxy, host, .. } = self;
        match &self.failure {
            ProxyFailure::Dns => format!("the name of the proxy {proxy} does not resolve"),
            ProxyFailure::Tcp(reason) => {
                format!("the proxy {proxy} does not accept connections: {reason}")
            }
            ProxyFailure::Unreached(after) => format!(
                "the proxy {proxy} did not accept a connection within {}s",
                after.as_secs_f32()
            ),
            ProxyFailure::Silent(after) => format!(
                "the proxy {proxy} opened no connection to {host} within {}s",
                after.as_secs_f32()
            ),
            ProxyFailure::Closed => {
                format!("the proxy {proxy} closed the connection without a response")
            }
            ProxyFailure::NotHttp => format!("the response of the proxy {proxy} is not HTTP"),
            ProxyFailure::NoCredentials => {
                format!("the proxy {proxy} requires a user name and a password (status 407)")
            }
            ProxyFailure::WrongCredentials => format!(
                "the proxy {proxy} does not accept the user name and the password in {} (status \
                 407)",
                proxy.named_by()
            ),
            ProxyFailure::OtherScheme(scheme) => format!(
                "the proxy {proxy} requires a sign-in by {scheme} (status 407), but ahds-proxy \
                 supports only Basic"
            ),
            ProxyFailure::Refused(status) if is_of_the_server(*status) => format!(
                "the proxy {proxy} cannot connect to {host} (status {})",
                status.as_u16()
            ),
            ProxyFailure::Refused(status) => format!(
                "the proxy {proxy} refuses to connect to {host} (status {})",
                status.as_u16()
            ),
        }
    }

    /// The remedy, as a sentence.
    pub fn remedy(&self) -> String {
        let Self { proxy, host, .. } = self;
        let named_by = proxy.named_by();
        match &self.failure {
            ProxyFailure::Dns | ProxyFailure::Tcp(_) | ProxyFailure::Unreached(_) => format!(
                "Check host and port in {named_by}, the network and the VPN. If {host} can be \
                 reached without a proxy, list it in NO_PROXY."
            ),
            ProxyFailure::Silent(_) => format!(
                "Ask the proxy's administrator whether it may connect to {host}. If it is slow, \
                 raise network.connect_timeout."
            ),
            ProxyFailure::Closed | ProxyFailure::NotHttp => format!(
                "Check that host and port in {named_by} are those of an HTTP proxy without TLS."
            ),
            ProxyFailure::NoCredentials => format!(
                "Write them in {named_by}, as http://USER:PASSWORD@{proxy}, with special \
                 characters percent-encoded (@ as %40)."
            ),
            ProxyFailure::WrongCredentials => {
                "Correct them there, with special characters percent-encoded (@ as %40).".to_owned()
            }
            ProxyFailure::OtherScheme(_) => format!(
                "Run a local proxy that signs in for you, such as Px or Cntlm, and write its \
                 address in {named_by}."
            ),
            ProxyFailure::Refused(StatusCode::FORBIDDEN) => format!(
                "Ask the proxy's administrator to allow {host}. If it can be reached without a \
                 proxy, list it in NO_PROXY."
            ),
            ProxyFailure::Refused(status) if is_of_the_server(*status) => format!(
                "Check the name {host}, and ask the proxy's administrator whether the proxy can \
                 reach it. If it can be reached without a proxy, list it in NO_PROXY."
            ),
            ProxyFailure::Refused(_) => format!(
                "Check that host and port in {named_by} are those of an HTTP proxy, and ask its \
                 administrator whether it may connect to {host}."
            ),
        }
    }
}

/// Whether a proxy responds with this status if it cannot reach the server.
fn is_of_the_server(status: StatusCode) -> bool {
    status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
}
