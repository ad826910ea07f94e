//! Explains a 403: the caller lacks a role, or the service does not accept this network.

use super::{Outcome, caller::Caller};
use crate::{
    config::Route,
    resource_manager::{Resource, roles},
};

/// The error of the command if the id of the resource is empty. Without it, the empty scope would
/// be the whole subscription.
const NOT_FOUND: &str = "not in this subscription: az account set --subscription NAME";

/// The service refuses all requests from this network.
pub(super) fn from_here(seen: &str, is_html: bool, route: &Route) -> Outcome {
    let domain = route.upstream.azure_domain();
    let remedy = if domain.is_some() {
        format!(
            "Public access to the service is disabled, or its firewall does not list this network. \
             Connect to the network of its private endpoint (VPN) so that {} resolves to a private \
             address, or enable public access under Networking on the service's page in the portal.",
            route.upstream.host()
        )
    } else {
        "Ask the service's owner which networks the service accepts.".to_owned()
    };
    let remedy = if is_html {
        format!(
            "{remedy} The response is HTML, so a proxy on the way may have refused the request \
             instead."
        )
    } else {
        remedy
    };
    Outcome::failed(
        format!("{seen}, even without a token: the service refuses this network"),
        remedy,
    )
}

/// The service accepts this network and the token, but not this request of its holder.
pub(super) fn to_the_caller(seen: &str, caller: &Caller<'_>) -> Outcome {
    let claims = caller.claims;
    let identity = claims.identity.as_deref();
    let who = identity.unwrap_or("the token's identity");
    let route = caller.route;
    let Some((reader, writer)) = roles(route.kind) else {
        return Outcome::failed(
            format!("{seen}: {who} lacks a permission"),
            format!("Ask the service's owner to let {who} read."),
        );
    };
    let assignee = claims.object_id.as_deref().unwrap_or("OBJECT-ID");
    let remedy = match Resource::of(&route.upstream, route.kind) {
        Some(resource) => {
            let hint = if claims.object_id.is_some() {
                String::new()
            } else {
                format!(" Replace OBJECT-ID with the object id of {who}.")
            };
            let assign = if cfg!(windows) {
                assign_in_two_steps(&resource, reader, assignee)
            } else {
                assign_in_one_step(&resource, reader, assignee)
            };
            format!(
                "Assign the role \"{reader}\", or \"{writer}\" to write as well, in the service's \
                 subscription. It takes effect within ten minutes.{hint} {assign}"
            )
        }
        None => {
            format!(
                "Ask the service's owner to let {who} read. On Azure, that takes the role \
                 \"{reader}\"."
            )
        }
    };
    Outcome::failed(
        format!("{seen}: {who} has no role that allows this request"),
        remedy,
    )
}

/// For shells like that of POSIX.
fn assign_in_one_step(resource: &Resource, role: &str, assignee: &str) -> String {
    let id = resource.id_command();
    let assign = assign(role, assignee, &format!("\"${{ID:?{NOT_FOUND}}}\""));
    format!("Run: ID=\"$({id})\"; {assign}")
}

/// For PowerShell and cmd.exe.
fn assign_in_two_steps(resource: &Resource, role: &str, assignee: &str) -> String {
    let first = resource.id_first();
    format!("{first} {}", assign(role, assignee, "RESOURCE-ID"))
}

/// The command that assigns a role for the resource of this id.
fn assign(role: &str, assignee: &str, id: &str) -> String {
    format!("az role assignment create --role \"{role}\" --assignee {assignee} --scope {id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RouteKind, ServiceUrl};

    #[test]
    fn the_shells_of_windows_know_both_steps() {
        let url = ServiceUrl::parse("https://ws-fhir.fhir.azurehealthcareapis.com").expect("a URL");
        let resource = Resource::of(&url, RouteKind::Fhir).expect("a resource");
        let steps = assign_in_two_steps(&resource, "FHIR Data Reader", "5e77ab1e");
        let expected = "az role assignment create --role \"FHIR Data Reader\" --assignee 5e77ab1e \
                        --scope RESOURCE-ID";
        assert!(steps.ends_with(expected), "{steps}");
        assert!(
            steps.contains("`az resource list --resource-type"),
            "{steps}"
        );
        for of_posix in ["$", ";", "ID="] {
            assert!(!steps.contains(of_posix), "{of_posix}: {steps}");
        }
    }
}
