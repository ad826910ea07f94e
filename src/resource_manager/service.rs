//! A service as Resource Manager describes it.

use serde::Deserialize;

use super::{cloud::Cloud, permissions::Access};
use crate::config::{Audience, DICOM_AUDIENCE, RouteKind, ServiceUrl, Tenant};

/// A FHIR or DICOM service that a caller can see.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) kind: RouteKind,
    /// `workspace/service`, or the name of an Azure API for FHIR.
    pub(crate) name: String,
    /// The resource id.
    pub(crate) id: String,
    /// The name of its subscription.
    pub(crate) subscription: String,
    /// Where it serves.
    pub(crate) url: ServiceUrl,
    /// The audience to request tokens for.
    pub(crate) audience: Audience,
    /// All audiences that it accepts.
    pub(crate) accepted: Vec<String>,
    /// The tenant whose tokens it accepts.
    pub(crate) tenant: Option<Tenant>,
    /// Whether it refuses public networks.
    pub(crate) is_private: bool,
    /// The data that the caller may use.
    pub(crate) access: Access,
}

/// The resource types that are services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Fhir,
    Dicom,
    /// Azure API for FHIR, the first generation.
    Account,
}

impl Type {
    pub(super) fn kind(self) -> RouteKind {
        match self {
            Self::Fhir | Self::Account => RouteKind::Fhir,
            Self::Dicom => RouteKind::Dicom,
        }
    }

    /// The resources of its data actions.
    pub(super) fn data_actions(self) -> &'static str {
        match self {
            Self::Fhir => "Microsoft.HealthcareApis/workspaces/fhirservices/resources",
            Self::Dicom => "Microsoft.HealthcareApis/workspaces/dicomservices/resources",
            Self::Account => "Microsoft.HealthcareApis/services/fhir/resources",
        }
    }
}

/// A service in a list, or by its id. A list may leave out most properties.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) id: String,
    #[serde(default)]
    properties: Properties,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    service_url: Option<String>,
    public_network_access: Option<String>,
    authentication_configuration: Option<Authentication>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Authentication {
    authority: Option<String>,
    audience: Option<String>,
    audiences: Option<Vec<String>>,
}

impl Entry {
    /// Whether it says how to authenticate.
    pub(super) fn is_whole(&self) -> bool {
        self.properties.authentication_configuration.is_some()
    }

    /// The service. `None` if its URL is not one of Azure Health Data Services.
    pub(super) fn service(self, kind: Type, subscription: &str, cloud: &Cloud) -> Option<Service> {
        let segments: Vec<&str> = self.id.split('/').collect();
        let after = |word: &str| {
            let at = segments
                .iter()
                .position(|segment| segment.eq_ignore_ascii_case(word))?;
            segments.get(at + 1).copied()
        };
        let workspace = after("workspaces");
        let name = segments.last().copied()?;
        let domain = cloud.services;
        let url = self
            .properties
            .service_url
            .unwrap_or_else(|| match (kind, workspace) {
                (Type::Fhir, Some(workspace)) => {
                    format!("https://{workspace}-{name}.fhir.{domain}")
                }
                (Type::Dicom, Some(workspace)) => {
                    format!("https://{workspace}-{name}.dicom.{domain}")
                }
                _ => format!("https://{name}.{domain}"),
            });
        let url = ServiceUrl::parse(&url).ok()?;
        url.azure_domain()?;
        let authentication = self
            .properties
            .authentication_configuration
            .unwrap_or_default();
        let mut accepted = authentication.audiences.unwrap_or_default();
        accepted.extend(authentication.audience);
        let audience = preferred(&accepted).and_then(|text| Audience::parse(text).ok());
        let default = match kind.kind() {
            RouteKind::Dicom => DICOM_AUDIENCE.to_owned(),
            _ => url.origin(),
        };
        let tenant = authentication.authority.as_deref().and_then(tenant_of);
        Some(Service {
            kind: kind.kind(),
            name: match workspace {
                Some(workspace) => format!("{workspace}/{name}"),
                None => name.to_owned(),
            },
            subscription: subscription.to_owned(),
            audience: match audience {
                Some(audience) => audience,
                None => Audience::parse(&default).ok()?,
            },
            accepted,
            url,
            tenant,
            is_private: self.properties.public_network_access.as_deref() == Some("Disabled"),
            access: Access::Unknown,
            id: self.id,
        })
    }
}

/// DICOM services accept several audiences. All accept the one that they share.
fn preferred(accepted: &[String]) -> Option<&str> {
    let mut all = accepted.iter();
    match all
        .clone()
        .find(|audience| audience.trim_end_matches('/') == DICOM_AUDIENCE)
    {
        Some(_) => Some(DICOM_AUDIENCE),
        None => all.next().map(String::as_str),
    }
}

/// `https://login.microsoftonline.com/TENANT`.
fn tenant_of(authority: &str) -> Option<Tenant> {
    let (_, rest) = authority.split_once("://")?;
    let tenant = rest.trim_end_matches('/').split_once('/')?.1;
    Tenant::parse(tenant).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(kind: Type, entry: serde_json::Value) -> Option<Service> {
        let entry: Entry = serde_json::from_value(entry).expect("an entry");
        entry.service(kind, "Demo", Cloud::of_authority(None))
    }

    #[test]
    fn the_id_names_a_fhir_service() {
        let id = "/subscriptions/s/resourceGroups/g/providers/Microsoft.HealthcareApis/Workspaces/\
                  ws/fhirservices/my-fhir";
        let entry = json!({
            "id": id, "name": "ws/my-fhir",
            "properties": {"authenticationConfiguration": {
                "authority": "https://login.microsoftonline.com/t-1/",
                "audience": "https://own.example/",
            }},
        });
        let service = service(Type::Fhir, entry).expect("a service");
        assert_eq!(service.name, "ws/my-fhir");
        assert_eq!(
            service.url.origin(),
            "https://ws-my-fhir.fhir.azurehealthcareapis.com"
        );
        assert_eq!(service.audience.as_str(), "https://own.example/");
        assert_eq!(service.tenant.expect("a tenant").as_str(), "t-1");
        assert!(!service.is_private);
    }

    #[test]
    fn a_dicom_service_gets_the_audience_that_all_share_if_it_is_listed() {
        let id = "/subscriptions/s/resourceGroups/g/providers/x/workspaces/ws/dicomservices/d";
        let of = |audiences: serde_json::Value| {
            let entry = json!({"id": id, "properties": {
                "serviceUrl": "https://ws-d.dicom.azurehealthcareapis.com",
                "publicNetworkAccess": "Disabled",
                "authenticationConfiguration": {"audiences": audiences},
            }});
            service(Type::Dicom, entry).expect("a service")
        };
        let both = of(json!([
            "https://azurehealthcareapis.com/",
            "https://dicom.healthcareapis.azure.com/"
        ]));
        assert_eq!(both.audience.as_str(), DICOM_AUDIENCE);
        assert!(both.is_private);
        let other = of(json!(["https://azurehealthcareapis.com/"]));
        assert_eq!(other.audience.as_str(), "https://azurehealthcareapis.com/");
        assert_eq!(of(json!([])).audience.as_str(), DICOM_AUDIENCE);
    }

    #[test]
    fn a_url_outside_of_azure_is_not_a_service() {
        let id = "/subscriptions/s/resourceGroups/g/providers/x/workspaces/ws/dicomservices/d";
        let entry = json!({"id": id, "properties": {"serviceUrl": "https://evil.example"}});
        assert!(service(Type::Dicom, entry).is_none());
    }
}
