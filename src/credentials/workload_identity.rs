//! `workload-identity`: the client credentials grant of Microsoft Entra ID with a token that
//! Kubernetes gave the pod (learn.microsoft.com/entra/workload-id/workload-identity-federation).

use std::{env, path::PathBuf};

use secrecy::ExposeSecret as _;

use super::{
    AccessToken, CredentialError,
    assertion::ASSERTION_TYPE,
    context::Context,
    entra::{self, Application},
    error::unread,
};
use crate::config::{self, Audience, SecretRef, ServiceUrl, Tenant};

const TENANT_VARIABLE: &str = "AZURE_TENANT_ID";
const CLIENT_ID_VARIABLE: &str = "AZURE_CLIENT_ID";
const TOKEN_FILE_VARIABLE: &str = "AZURE_FEDERATED_TOKEN_FILE";

/// A pod that signs in as an application.
#[derive(Debug)]
pub(super) struct WorkloadIdentity {
    /// The keys, read once, since environment variables do not change while a process runs.
    workload: Result<Workload, CredentialError>,
    context: Context,
}

#[derive(Debug)]
struct Workload {
    tenant: Tenant,
    client_id: String,
    /// The token, read at each request, since the kubelet replaces it about every hour.
    token: SecretRef,
    authority: ServiceUrl,
}

impl WorkloadIdentity {
    pub(super) fn new(keys: config::WorkloadIdentity, context: &Context) -> Self {
        Self {
            workload: Workload::complete(keys, &|name| env::var(name).ok()),
            context: context.clone(),
        }
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        let workload = self.workload.as_ref().map_err(Clone::clone)?;
        let assertion = workload.token.read().await.map_err(unread(
            "Label the pod azure.workload.identity/use=true and start it again, so that the webhook \
             mounts the token. Or correct the path in `token_file` or AZURE_FEDERATED_TOKEN_FILE.",
        ))?;
        let proof = [
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", assertion.expose_secret()),
        ];
        let application = Application {
            tenant: &workload.tenant,
            client_id: &workload.client_id,
            authority: &workload.authority,
        };
        application.token(audience, &proof, &self.context).await
    }
}

impl Workload {
    /// Takes each absent key from its variable.
    fn complete(
        keys: config::WorkloadIdentity,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, CredentialError> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let tenant = match keys.tenant {
            Some(tenant) => Some(tenant),
            None => set(TENANT_VARIABLE)
                .map(|tenant| entra::tenant_in(TENANT_VARIABLE, &tenant))
                .transpose()?,
        };
        let client_id = keys.client_id.or_else(|| set(CLIENT_ID_VARIABLE));
        let token_file = keys
            .token_file
            .or_else(|| set(TOKEN_FILE_VARIABLE).map(PathBuf::from));
        let (Some(tenant), Some(client_id), Some(token_file)) = (tenant, client_id, token_file)
        else {
            return Err(CredentialError::absent(
                format!(
                    "{TENANT_VARIABLE}, {CLIENT_ID_VARIABLE} and {TOKEN_FILE_VARIABLE} are not all set"
                ),
                "In Kubernetes, label the pod azure.workload.identity/use=true and start it again, \
                 so that the webhook sets them.",
            ));
        };
        Ok(Self {
            tenant,
            client_id,
            token: SecretRef::File(token_file),
            authority: keys.authority,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Reason, *};

    const TENANT: &str = "c0ffee00-0000-4000-8000-00000000d3a0";

    fn complete(set: &[(&str, &str)]) -> Result<Workload, CredentialError> {
        let keys = config::WorkloadIdentity {
            tenant: None,
            client_id: None,
            token_file: None,
            authority: ServiceUrl::parse("https://login.microsoftonline.us").expect("a URL"),
        };
        Workload::complete(keys, &|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn is_what_the_variables_say() {
        let workload = complete(&[
            (TENANT_VARIABLE, TENANT),
            (CLIENT_ID_VARIABLE, "app"),
            (TOKEN_FILE_VARIABLE, "/var/run/token"),
        ])
        .expect("complete");
        assert_eq!(workload.tenant.as_str(), TENANT);
        assert_eq!(workload.client_id, "app");
        assert_eq!(workload.token, SecretRef::File("/var/run/token".into()));
        assert_eq!(workload.authority.host(), "login.microsoftonline.us");
    }

    #[test]
    fn is_absent_where_a_variable_is_and_wrong_where_one_is_wrong() {
        let file = (TOKEN_FILE_VARIABLE, "/t");
        let client = (CLIENT_ID_VARIABLE, "app");
        for (set, reason, remedy) in [
            (&[][..], Reason::Absent, "use=true"),
            (&[client, file], Reason::Absent, "use=true"),
            (
                &[(TENANT_VARIABLE, TENANT), client],
                Reason::Absent,
                "use=true",
            ),
            (
                &[(TENANT_VARIABLE, TENANT), (CLIENT_ID_VARIABLE, ""), file],
                Reason::Absent,
                "use=true",
            ),
            (
                &[(TENANT_VARIABLE, "a/b"), client, file],
                Reason::NeedsAction,
                "Correct",
            ),
        ] {
            let error = complete(set).expect_err("incomplete");
            assert_eq!(error.reason, reason, "{set:?}: {error}");
            assert!(error.remedy.contains(remedy), "{set:?}: {error}");
        }
    }
}
