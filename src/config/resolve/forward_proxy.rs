//! The HTTP proxy that `network.proxy` or the environment names.

use super::{environment::Env, listeners::Listeners};
use crate::config::{
    report::{At, Place, Read, Report},
    values::{ForwardProxy, ProxySetting, ProxyUrl},
};

const KEY: &str = "network.proxy";

/// The variables that may name the proxy. As in curl and in the Azure CLI, a variable in lower case
/// wins. Plain http never leaves this machine, so `HTTP_PROXY` does not matter.
const VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// The variables that may list the hosts to be reached directly.
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];

pub(super) fn resolve(
    setting: Read<ProxySetting>,
    listeners: &Listeners,
    env: &Env<'_>,
    report: &mut Report,
) -> Option<ForwardProxy> {
    let (At { value: url, place }, named_by) = match setting {
        Read::Refused => return None,
        Read::Given(At { value, place }) => match value {
            ProxySetting::Off => return None,
            ProxySetting::Url(value) => (At { value, place }, KEY),
            ProxySetting::Env => of_environment(env, report)?,
        },
        Read::Absent => of_environment(env, report)?,
    };
    if let Some(own) = listeners.own(url.address()) {
        report.refuse(
            place,
            format!("`{named_by}` is this proxy itself, listening on {own}"),
            "write the address of your network's proxy, or set proxy = \"off\" below [network]",
        );
    }
    let exceptions = EXCEPTIONS.iter().find_map(|name| env(name));
    Some(ForwardProxy::new(
        &url,
        named_by,
        &exceptions.unwrap_or_default(),
    ))
}

fn of_environment(env: &Env<'_>, report: &mut Report) -> Option<(At<ProxyUrl>, &'static str)> {
    let (name, text) = VARIABLES
        .into_iter()
        .find_map(|name| Some((name, env(name)?)))?;
    let place = Place::Variable(name);
    match ProxyUrl::parse(&text) {
        Ok(value) => Some((At { value, place }, name)),
        Err(error) => {
            let remedy = format!(
                "{}; or unset the variable; or set proxy = \"off\" below [network]",
                error.remedy
            );
            report.refuse(place, format!("`{name}`: {}", error.message), remedy);
            None
        }
    }
}
