//! `managed-identity`: the identity that Azure gives to a machine or an app, from an endpoint that
//! no other machine can reach
//! (learn.microsoft.com/entra/identity/managed-identities-azure-resources/overview).
//!
//! Environment variables name the endpoint, except on a virtual machine, which has none.

mod app_service;
mod arc;
mod cloud_shell;
mod endpoint;
mod imds;
mod reply;
#[cfg(test)]
mod testing;

use std::env;

use super::{AccessToken, CredentialError, context::Context};
use crate::config::{self, Audience, UserAssigned};
use app_service::AppService;
use arc::Arc;
use cloud_shell::CloudShell;
use imds::Imds;

/// The identity of the machine or app that this process runs on.
#[derive(Debug)]
pub(super) struct ManagedIdentity {
    /// The source, found once, since environment variables do not change while a process runs.
    source: Result<Source, CredentialError>,
    context: Context,
}

#[derive(Debug)]
enum Source {
    AppService(AppService),
    Arc(Arc),
    CloudShell(CloudShell),
    Imds(Imds),
}

impl ManagedIdentity {
    pub(super) fn new(keys: config::ManagedIdentity, context: &Context) -> Self {
        Self {
            source: Source::find(keys, &|name| env::var(name).ok()),
            context: Context {
                endpoints: context.endpoints.direct(),
                ..context.clone()
            },
        }
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        let context = &self.context;
        match self.source.as_ref().map_err(Clone::clone)? {
            Source::AppService(source) => source.token(context, audience).await,
            Source::Arc(source) => source.token(context, audience).await,
            Source::CloudShell(source) => source.token(context, audience).await,
            Source::Imds(source) => source.token(context, audience).await,
        }
    }

    /// Checks whether this machine seems to have an identity: a variable names an endpoint, or the
    /// instance metadata service responds within a second.
    pub(super) async fn probe(&self) -> Result<(), CredentialError> {
        match self.source.as_ref().map_err(Clone::clone)? {
            Source::Imds(imds) => imds.probe(&self.context).await,
            Source::AppService(_) | Source::Arc(_) | Source::CloudShell(_) => Ok(()),
        }
    }
}

impl Source {
    /// Finds the source, in the order of Azure's own libraries.
    fn find(
        keys: config::ManagedIdentity,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, CredentialError> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let identity = keys.identity;
        if let Some(base) = keys.endpoint {
            return Ok(Self::Imds(Imds::new(Some(base), identity)));
        }
        if let Some(address) = set(endpoint::IDENTITY) {
            if let Some(header) = set("IDENTITY_HEADER") {
                if set("IDENTITY_SERVER_THUMBPRINT").is_some() {
                    return Err(unsupported("Service Fabric"));
                }
                return AppService::new(&address, &header, identity).map(Self::AppService);
            }
            if set("IMDS_ENDPOINT").is_some() {
                refuse_user_assigned("Azure Arc", identity.as_ref())?;
                return Arc::new(&address).map(Self::Arc);
            }
        }
        if let Some(address) = set(endpoint::MSI) {
            if set("MSI_SECRET").is_some() {
                return Err(unsupported("Azure Machine Learning"));
            }
            refuse_user_assigned("Cloud Shell", identity.as_ref())?;
            return CloudShell::new(&address).map(Self::CloudShell);
        }
        let base = set(endpoint::POD_IDENTITY)
            .map(|base| endpoint::base(endpoint::POD_IDENTITY, &base))
            .transpose()?;
        Ok(Self::Imds(Imds::new(base, identity)))
    }
}

fn unsupported(platform: &str) -> CredentialError {
    CredentialError::needs_action(
        format!("managed identities of {platform} are not supported"),
        "Use another credential, such as client-certificate or workload-identity.",
    )
}

fn refuse_user_assigned(
    platform: &str,
    identity: Option<&UserAssigned>,
) -> Result<(), CredentialError> {
    let Some(identity) = identity else {
        return Ok(());
    };
    let key = match identity {
        UserAssigned::ClientId(_) => {
            "`client_id` from the credential, or unset AZURE_CLIENT_ID for `auto`,"
        }
        UserAssigned::ObjectId(_) => "`object_id` from the credential",
        UserAssigned::ResourceId(_) => "`resource_id` from the credential",
    };
    Err(CredentialError::needs_action(
        format!("{platform} has no user-assigned identities"),
        format!("Remove {key} to use the platform's own identity."),
    ))
}

#[cfg(test)]
mod tests {
    use super::{super::Reason, *};
    use crate::config::ServiceUrl;

    fn find(
        set: &[(&str, &str)],
        identity: Option<UserAssigned>,
    ) -> Result<Source, CredentialError> {
        let keys = config::ManagedIdentity {
            identity,
            endpoint: None,
        };
        Source::find(keys, &|name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    const ENDPOINT: (&str, &str) = (endpoint::IDENTITY, "http://127.0.0.1:4141/msi/token/");
    const SHELL: (&str, &str) = (endpoint::MSI, "http://localhost:50342/oauth2/token");

    #[test]
    fn variables_say_which_platform_it_is() {
        let header = ("IDENTITY_HEADER", "secret");
        let arc = ("IMDS_ENDPOINT", "http://localhost:40342");
        let source = |set: &[_]| find(set, None).expect("a source");
        assert!(matches!(source(&[]), Source::Imds(_)));
        assert!(matches!(source(&[header, arc]), Source::Imds(_)));
        assert!(matches!(source(&[ENDPOINT]), Source::Imds(_)));
        let empty = (endpoint::MSI, "");
        assert!(matches!(source(&[empty]), Source::Imds(_)));
        assert!(matches!(
            source(&[ENDPOINT, header, arc, SHELL]),
            Source::AppService(_)
        ));
        assert!(matches!(source(&[ENDPOINT, arc]), Source::Arc(_)));
        assert!(matches!(source(&[SHELL]), Source::CloudShell(_)));
    }

    #[test]
    fn an_endpoint_in_the_configuration_outranks_variables() {
        let keys = config::ManagedIdentity {
            identity: None,
            endpoint: Some(ServiceUrl::parse("http://169.254.1.1").expect("a URL")),
        };
        let found = Source::find(keys, &|_| Some("http://127.0.0.1:1/x".to_owned()));
        assert!(matches!(found, Ok(Source::Imds(_))));
    }

    /// Variables, identity, message and remedy.
    type Row<'a> = (
        &'a [(&'a str, &'a str)],
        Option<UserAssigned>,
        &'a str,
        &'a str,
    );

    #[test]
    fn says_what_it_cannot_use_and_what_to_do() {
        let id = UserAssigned::ClientId("app".to_owned());
        let header = ("IDENTITY_HEADER", "secret");
        let thumbprint = ("IDENTITY_SERVER_THUMBPRINT", "ab");
        let arc = ("IMDS_ENDPOINT", "http://localhost:40342");
        let ml = ("MSI_SECRET", "s");
        let far = "http://10.0.0.4/msi/token";
        let table: [Row<'_>; 9] = [
            (
                &[ENDPOINT, header, thumbprint],
                None,
                "Service Fabric",
                "another credential",
            ),
            (
                &[SHELL, ml],
                None,
                "Azure Machine Learning",
                "another credential",
            ),
            (
                &[ENDPOINT, arc],
                Some(id.clone()),
                "Azure Arc has no user-assigned",
                "`client_id`",
            ),
            (
                &[SHELL],
                Some(UserAssigned::ResourceId("/r".to_owned())),
                "Cloud Shell has no user-assigned",
                "`resource_id`",
            ),
            (
                &[(endpoint::IDENTITY, far), header],
                None,
                "IDENTITY_ENDPOINT",
                "Unset IDENTITY_ENDPOINT",
            ),
            (
                &[(endpoint::IDENTITY, far), arc],
                None,
                "IDENTITY_ENDPOINT",
                "Unset IDENTITY_ENDPOINT",
            ),
            (
                &[(endpoint::MSI, far)],
                None,
                "MSI_ENDPOINT",
                "Unset MSI_ENDPOINT",
            ),
            (
                &[(endpoint::POD_IDENTITY, far)],
                None,
                "AZURE_POD_IDENTITY_AUTHORITY_HOST",
                "Unset AZURE_POD_IDENTITY_AUTHORITY_HOST",
            ),
            (
                &[ENDPOINT, ("IDENTITY_HEADER", "a\nb")],
                None,
                "IDENTITY_HEADER",
                "start ahds-proxy again",
            ),
        ];
        for (set, identity, message, remedy) in table {
            let error = find(set, identity).expect_err(message);
            assert!(error.message.contains(message), "{error}");
            assert!(error.remedy.contains(remedy), "{error}");
            assert_eq!(error.reason, Reason::NeedsAction, "{error}");
        }
    }
}
