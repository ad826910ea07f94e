//! Documents that need no secret: discovery for OAuth clients, tenants and subscriptions for `az`.

use serde_json::{Value, json};

use super::super::{ENTRA_HOST, SUBSCRIPTION, TENANT};

/// `OpenID` Connect Discovery 1.0, with the fields MSAL reads.
pub(super) fn openid_configuration(base: &str, tenant: &str) -> Value {
    json!({
        "token_endpoint": format!("{base}/{tenant}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported":
            ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": format!("{base}/{tenant}/discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": format!("{base}/{tenant}/v2.0"),
        "request_uri_parameter_supported": false,
        "authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/devicecode"),
        "end_session_endpoint": format!("{base}/{tenant}/oauth2/v2.0/logout"),
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": "graph.microsoft.com",
    })
}

/// The response to instance discovery, which MSAL requests of the public cloud for authorities it
/// does not know.
pub(super) fn instances(base: &str, tenant: &str) -> Value {
    let host = base.trim_start_matches("https://");
    json!({
        "tenant_discovery_endpoint":
            format!("{base}/{tenant}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{
            "preferred_network": host,
            "preferred_cache": host,
            "aliases": [host, ENTRA_HOST],
        }],
    })
}

/// Azure Resource Manager: `GET /subscriptions`.
pub(super) fn subscriptions() -> Value {
    json!({
        "value": [{
            "id": format!("/subscriptions/{SUBSCRIPTION}"),
            "authorizationSource": "RoleBased",
            "managedByTenants": [],
            "subscriptionId": SUBSCRIPTION,
            "tenantId": TENANT,
            "displayName": "Demo",
            "state": "Enabled",
            "subscriptionPolicies": {
                "locationPlacementId": "Internal_2014-09-01",
                "quotaId": "Internal_2014-09-01",
                "spendingLimit": "Off",
            },
        }],
        "count": {"type": "Total", "value": 1},
    })
}

/// Azure Resource Manager: `GET /tenants`.
pub(super) fn tenants() -> Value {
    json!({
        "value": [{
            "id": format!("/tenants/{TENANT}"),
            "tenantId": TENANT,
            "countryCode": "NL",
            "displayName": "Demo",
            "domains": ["demo.example"],
            "tenantCategory": "Home",
            "defaultDomain": "demo.example",
            "tenantType": "AAD",
        }],
    })
}
