//! `EnvironmentCredential`: the application that `AZURE_TENANT_ID` and `AZURE_CLIENT_ID` name, with a
//! secret or a certificate.

use super::super::{
    AccessToken, CredentialError, Reason, client_certificate::ClientCertificate,
    client_secret::ClientSecret, context::Context, entra,
};
use crate::config::{self, Audience, SecretRef, ServiceUrl};

pub(super) const NAME: &str = "environment";

const TENANT: &str = "AZURE_TENANT_ID";
const CLIENT_ID: &str = "AZURE_CLIENT_ID";
const SECRET: &str = "AZURE_CLIENT_SECRET";
const CERTIFICATE: &str = "AZURE_CLIENT_CERTIFICATE_PATH";
const PASSWORD: &str = "AZURE_CLIENT_CERTIFICATE_PASSWORD";

#[derive(Debug)]
pub(super) enum Environment {
    Secret(ClientSecret),
    Certificate(ClientCertificate),
    /// The variables name an application that cannot sign in.
    Unusable(CredentialError),
    /// The variables name no application.
    Incomplete(CredentialError),
}

impl Environment {
    /// Reads the variables. A secret takes precedence over a certificate, as in Azure's own
    /// libraries.
    pub(super) fn new(
        env: &dyn Fn(&str) -> Option<String>,
        authority: &ServiceUrl,
        context: &Context,
    ) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        let (tenant, client_id) = (set(TENANT), set(CLIENT_ID));
        let (secret, certificate) = (set(SECRET), set(CERTIFICATE));
        let proof = secret.as_ref().or(certificate.as_ref());
        let (Some(tenant), Some(client_id), Some(_)) = (&tenant, &client_id, proof) else {
            return Self::Incomplete(missing(
                tenant.is_some(),
                client_id.is_some(),
                proof.is_some(),
            ));
        };
        let tenant = match entra::tenant_in(TENANT, tenant) {
            Ok(tenant) => tenant,
            Err(error) => return Self::Unusable(error),
        };
        let client_id = client_id.trim().to_owned();
        let authority = authority.clone();
        let Some(path) = certificate.filter(|_| secret.is_none()) else {
            let keys = config::ClientSecret {
                tenant,
                client_id,
                secret: SecretRef::Env(SECRET.to_owned()),
                authority,
            };
            return Self::Secret(ClientSecret::new(keys, context));
        };
        if set(PASSWORD).is_some() {
            return Self::Unusable(CredentialError::needs_action(
                format!("{PASSWORD} is set, but certificates with a password are not supported"),
                format!(
                    "Remove the password with `openssl pkcs12 -in app.pfx -nodes -out app.pem` or \
                     `openssl pkey -in encrypted.pem -out key.pem`. Then set {CERTIFICATE} to the \
                     result, unset {PASSWORD} and start ahds-proxy again."
                ),
            ));
        }
        let keys = config::ClientCertificate {
            tenant,
            client_id,
            certificate: SecretRef::File(path.into()),
            key: None,
            send_chain: None,
            authority,
        };
        Self::Certificate(ClientCertificate::new(keys, context))
    }

    /// Whether the variables name an application, even if it cannot sign in.
    pub(super) fn is_complete(&self) -> bool {
        !matches!(self, Self::Incomplete(_))
    }

    pub(super) async fn token(&self, audience: &Audience) -> Result<AccessToken, CredentialError> {
        match self {
            Self::Secret(source) => source.token(audience).await,
            Self::Certificate(source) => source.token(audience).await,
            Self::Unusable(error) | Self::Incomplete(error) => Err(error.clone()),
        }
    }
}

/// The error for missing variables. Other sources use the tenant and the client id, too, so these
/// may be set without a secret. A secret or certificate alone shows that the user forgot the
/// others.
fn missing(tenant: bool, client_id: bool, proof: bool) -> CredentialError {
    let proof_variables = format!("{SECRET} or {CERTIFICATE}");
    let names: Vec<&str> = [
        (tenant, TENANT),
        (client_id, CLIENT_ID),
        (proof, &proof_variables),
    ]
    .into_iter()
    .filter_map(|(is_set, name)| (!is_set).then_some(name))
    .collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    let reason = if proof {
        Reason::NeedsAction
    } else {
        Reason::Absent
    };
    CredentialError::new(
        reason,
        format!("{} {verb} not set", list(&names)),
        format!(
            "Set {TENANT}, {CLIENT_ID} and {proof_variables} to sign in as an application, and start ahds-proxy again."
        ),
    )
}

fn list(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => names.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(set: &[(&str, &str)]) -> Environment {
        let authority = ServiceUrl::parse("https://login.microsoftonline.us").expect("a URL");
        let env = |name: &str| {
            let found = set.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Environment::new(&env, &authority, &Context::for_tests())
    }

    const NAMES: [(&str, &str); 2] = [(TENANT, " contoso.example\n"), (CLIENT_ID, "app")];

    #[test]
    fn a_secret_goes_before_a_certificate() {
        let [tenant, client] = NAMES;
        let (secret, certificate) = ((SECRET, "s"), (CERTIFICATE, "/c.pem"));
        let both = environment(&[tenant, client, secret, certificate, (PASSWORD, "p")]);
        assert!(matches!(both, Environment::Secret(_)), "{both:?}");
        let certificate = environment(&[tenant, client, (SECRET, ""), certificate]);
        assert!(
            matches!(certificate, Environment::Certificate(_)),
            "{certificate:?}"
        );
    }

    #[test]
    fn a_password_is_refused_without_being_shown() {
        let [tenant, client] = NAMES;
        let refused = environment(&[tenant, client, (CERTIFICATE, "/c"), (PASSWORD, "hunter2")]);
        let Environment::Unusable(error) = refused else {
            panic!("{refused:?}");
        };
        assert!(error.message.contains(PASSWORD), "{error}");
        assert!(error.remedy.contains("openssl"), "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let [tenant, client] = NAMES;
        for (set, missing, reason) in [
            (
                &[][..],
                "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH are not set",
                Reason::Absent,
            ),
            (
                &[tenant, client],
                "AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH is not set",
                Reason::Absent,
            ),
            (
                &[client, (SECRET, "s")],
                "AZURE_TENANT_ID is not set",
                Reason::NeedsAction,
            ),
        ] {
            let Environment::Incomplete(error) = environment(set) else {
                panic!("{set:?}");
            };
            assert_eq!(error.message, missing);
            assert_eq!(error.reason, reason);
        }
    }
}
