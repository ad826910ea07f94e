//! The Azure resource behind a route's upstream, as `az` calls it.

use crate::config::{RouteKind, ServiceUrl};

/// A service of Azure Health Data Services, or an Azure API for FHIR.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    kind: &'static str,
    /// `workspace/service`, or the account.
    name: String,
}

impl Resource {
    /// Reads the names from the host: `workspace-service.fhir.…`. The name of a workspace has no
    /// hyphen.
    pub(crate) fn of(upstream: &ServiceUrl, kind: RouteKind) -> Option<Self> {
        let (name, _) = upstream.name_in_azure()?;
        let Some((service, _)) = name.split_once('.') else {
            return Some(Self {
                kind: "Microsoft.HealthcareApis/services",
                name,
            });
        };
        let (workspace, service) = service.split_once('-')?;
        Some(Self {
            kind: match kind {
                RouteKind::Fhir => "Microsoft.HealthcareApis/workspaces/fhirservices",
                RouteKind::Dicom => "Microsoft.HealthcareApis/workspaces/dicomservices",
                RouteKind::Http => return None,
            },
            name: format!("{workspace}/{service}"),
        })
    }

    /// `workspace/service`, or the account.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The workspace. An Azure API for FHIR has none.
    pub(super) fn workspace(&self) -> Option<&str> {
        self.name.split_once('/').map(|(workspace, _)| workspace)
    }

    /// A command that prints the resource id, which contains names that are not in the URL.
    pub(crate) fn id_command(&self) -> String {
        let Self { kind, name } = self;
        format!("az resource list --resource-type {kind} --query \"[?name=='{name}'].id\" -o tsv")
    }

    /// The start of a remedy with two commands, of which the second contains `RESOURCE-ID`. The shells of
    /// Windows have no common way to put the output of one command into another.
    pub(crate) fn id_first(&self) -> String {
        let id = self.id_command();
        format!(
            "First run `{id}`. If it prints nothing, choose the service's subscription with `az \
             account set --subscription NAME` and repeat it. Then replace RESOURCE-ID with its \
             output, and run:"
        )
    }

    /// The sentences with the command that prints `subject`: authority and audience of the resource's
    /// tokens.
    pub(crate) fn audience_command(&self, subject: &str) -> String {
        let show = |id: &str| {
            format!("az resource show --ids {id} --query properties.authenticationConfiguration")
        };
        if cfg!(windows) {
            let first = self.id_first();
            format!(
                "Two commands print {subject}. {first} {}",
                show("RESOURCE-ID")
            )
        } else {
            let id = self.id_command();
            let command = show(&format!("\"$({id})\""));
            format!("This command prints {subject}: {command}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_named_by_its_host() {
        for (url, kind, expected) in [
            (
                "https://ws-my-fhir.fhir.azurehealthcareapis.com",
                RouteKind::Fhir,
                Some(("workspaces/fhirservices", "ws/my-fhir")),
            ),
            (
                "https://ws-pacs.dicom.azurehealthcareapis.us/v2",
                RouteKind::Dicom,
                Some(("workspaces/dicomservices", "ws/pacs")),
            ),
            (
                "https://acct.azurehealthcareapis.com",
                RouteKind::Fhir,
                Some(("services", "acct")),
            ),
            (
                "https://nohyphen.fhir.azurehealthcareapis.com",
                RouteKind::Fhir,
                None,
            ),
            ("https://fhir.example", RouteKind::Fhir, None),
        ] {
            let upstream = ServiceUrl::parse(url).expect("a URL");
            let found = Resource::of(&upstream, kind);
            let found = found.as_ref().map(|resource| {
                let kind = resource.kind.strip_prefix("Microsoft.HealthcareApis/");
                (kind.expect("a prefix"), &*resource.name)
            });
            assert_eq!(found, expected, "{url}");
        }
    }
}
