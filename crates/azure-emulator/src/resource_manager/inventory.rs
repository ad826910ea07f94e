//! The subscriptions, workspaces and services that Resource Manager shows, and their JSON.

use serde_json::{Value, json};

/// All that a caller can see.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// The subscriptions, in the order of the list.
    pub subscriptions: Vec<Subscription>,
}

/// A subscription.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// A UUID.
    pub id: String,
    /// The display name.
    pub name: String,
    /// Its workspaces.
    pub workspaces: Vec<Workspace>,
    /// Its first-generation FHIR services (Azure API for FHIR).
    pub accounts: Vec<Service>,
    /// Whether the caller may list nothing in it: 403.
    pub is_closed: bool,
}

/// A workspace of Azure Health Data Services.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The name, without a hyphen.
    pub name: String,
    /// The resource group.
    pub group: String,
    /// Its FHIR services.
    pub fhir: Vec<Service>,
    /// Its DICOM services.
    pub dicom: Vec<Service>,
}

/// One service.
#[derive(Debug, Clone)]
pub struct Service {
    /// The name within its workspace or group.
    pub name: String,
    /// The tenant in `authenticationConfiguration.authority`.
    pub tenant: String,
    /// The audience, or several of a DICOM service.
    pub audiences: Vec<String>,
    /// Whether public access is off.
    pub is_private: bool,
    /// The data actions that the caller has; patterns with `*`.
    pub data_actions: Vec<String>,
    /// The data actions that are taken from these.
    pub not_data_actions: Vec<String>,
}

impl Service {
    /// A public service of the emulated tenant whose data the caller may read and write.
    pub fn new(name: &str, audience: &str) -> Self {
        Self {
            name: name.to_owned(),
            tenant: crate::TENANT.to_owned(),
            audiences: vec![audience.to_owned()],
            is_private: false,
            data_actions: vec!["*".to_owned()],
            not_data_actions: Vec::new(),
        }
    }
}

impl Inventory {
    /// One subscription with one workspace that has the emulated services.
    pub fn demo() -> Self {
        Self {
            subscriptions: vec![Subscription {
                id: crate::SUBSCRIPTION.to_owned(),
                name: "Demo".to_owned(),
                workspaces: vec![Workspace {
                    name: "demo".to_owned(),
                    group: "demo".to_owned(),
                    fhir: vec![Service::new("fhir", crate::FHIR_AUDIENCE)],
                    dicom: vec![Service::new("dicom", crate::DICOM_AUDIENCE)],
                }],
                accounts: Vec::new(),
                is_closed: false,
            }],
        }
    }
}

impl Subscription {
    /// An entry of `GET /subscriptions`.
    pub(super) fn entry(&self) -> Value {
        json!({
            "id": format!("/subscriptions/{}", self.id),
            "subscriptionId": self.id,
            "displayName": self.name,
            "tenantId": crate::TENANT,
            "state": "Enabled",
        })
    }

    pub(super) fn group(&self, group: &str) -> String {
        format!(
            "/subscriptions/{}/resourceGroups/{group}/providers/Microsoft.HealthcareApis",
            self.id
        )
    }
}

impl Workspace {
    pub(super) fn id(&self, subscription: &Subscription) -> String {
        let group = subscription.group(&self.group);
        format!("{group}/workspaces/{}", self.name)
    }

    pub(super) fn entry(&self, subscription: &Subscription) -> Value {
        json!({
            "id": self.id(subscription),
            "name": self.name,
            "type": "Microsoft.HealthcareApis/workspaces",
            "location": "westeurope",
            "properties": {"provisioningState": "Succeeded"},
        })
    }
}

/// The type of a service, in the terms of its resource id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Fhir,
    Dicom,
    Account,
}

impl Service {
    /// An entry of a list. FHIR services have no authentication settings there, as in the examples
    /// of the API's description.
    pub(super) fn entry(&self, kind: Kind, parent: &str) -> Value {
        let mut whole = self.whole(kind, parent);
        if kind == Kind::Fhir {
            whole["properties"] = json!({"provisioningState": "Succeeded"});
        }
        whole
    }

    /// The response to `GET` of its id. `parent` is the id of the workspace or the provider.
    pub(super) fn whole(&self, kind: Kind, parent: &str) -> Value {
        let authority = format!("{}/{}", crate::AUTHORITY, self.tenant);
        let access = if self.is_private {
            "Disabled"
        } else {
            "Enabled"
        };
        let audience = self.audiences.first();
        let workspace = parent.rsplit('/').next().unwrap_or_default();
        let Self { name, .. } = self;
        match kind {
            Kind::Fhir => json!({
                "id": format!("{parent}/fhirservices/{name}"),
                "name": format!("{workspace}/{name}"),
                "kind": "fhir-R4",
                "properties": {
                    "provisioningState": "Succeeded",
                    "publicNetworkAccess": access,
                    "authenticationConfiguration": {
                        "authority": authority, "audience": audience, "smartProxyEnabled": false,
                    },
                },
            }),
            Kind::Dicom => json!({
                "id": format!("{parent}/dicomservices/{name}"),
                "name": format!("{workspace}/{name}"),
                "properties": {
                    "provisioningState": "Succeeded",
                    "publicNetworkAccess": access,
                    "serviceUrl":
                        format!("https://{workspace}-{name}.dicom.azurehealthcareapis.com"),
                    "authenticationConfiguration": {
                        "authority": authority, "audiences": self.audiences,
                    },
                },
            }),
            Kind::Account => json!({
                "id": format!("{parent}/services/{name}"),
                "name": name,
                "kind": "fhir-R4",
                "properties": {
                    "provisioningState": "Succeeded",
                    "publicNetworkAccess": access,
                    "authenticationConfiguration": {
                        "authority": authority, "audience": audience,
                    },
                },
            }),
        }
    }

    /// The response to a request for the caller's permissions.
    pub(super) fn permissions(&self) -> Value {
        json!({"value": [{
            "actions": ["*/read"],
            "notActions": [],
            "dataActions": self.data_actions,
            "notDataActions": self.not_data_actions,
        }]})
    }
}
