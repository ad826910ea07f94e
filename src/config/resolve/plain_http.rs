//! Plain http is allowed on this machine only, where nobody can read along. Therefore
//! `network.resolve` may lead only connections with TLS to another machine.

use std::net::SocketAddr;

use http::uri::Scheme;

use crate::config::{
    Network, ResolveOverride, ServiceUrl,
    report::{At, Report},
};

/// A URL that receives secrets.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// The key in backticks, or another name of the endpoint.
    pub(super) name: String,
    /// Whether the key's value can be changed to https.
    pub(super) is_written: bool,
    pub(super) url: ServiceUrl,
}

impl Endpoint {
    /// The default address of a platform's metadata service.
    pub(super) fn metadata() -> Self {
        Self {
            name: "the instance metadata service".to_owned(),
            is_written: false,
            url: ServiceUrl::parse("http://169.254.169.254").expect("a constant URL"),
        }
    }

    pub(super) fn of_key(key: &str, url: &ServiceUrl) -> Self {
        Self {
            name: format!("`{key}`"),
            is_written: true,
            url: url.clone(),
        }
    }

    pub(super) fn of_variable(variable: &str, url: &ServiceUrl) -> Self {
        Self {
            name: format!("`{variable}`"),
            is_written: true,
            url: url.clone(),
        }
    }

    fn is_exposed_by(&self, to: &ResolveOverride) -> bool {
        *self.url.scheme() == Scheme::HTTP
            && self.url.port() == to.port
            && self.url.host() == to.host
            && !Network::is_near(to.address)
    }
}

/// Reports the entries of `network.resolve` that lead one of the endpoints to another machine.
pub(super) fn check(
    overrides: &[At<ResolveOverride>],
    endpoints: &[Endpoint],
    report: &mut Report,
) {
    for At { value, place } in overrides {
        let mut endpoints = endpoints.iter();
        let Some(exposed) = endpoints.find(|endpoint| endpoint.is_exposed_by(value)) else {
            continue;
        };
        let name = &exposed.name;
        let near = SocketAddr::from(([127, 0, 0, 1], value.address.port()));
        let https = if exposed.is_written {
            format!(", or an https URL in {name}")
        } else {
            String::new()
        };
        report.refuse(
            *place,
            format!(
                "`network.resolve` leads {name} to another machine over plain http, which would \
                 show tokens and secrets to everyone on the way"
            ),
            format!("write a loopback address here, such as {near}{https}"),
        );
    }
}
