//! The addresses that platforms put into environment variables. Secrets and tokens go there
//! unencrypted, so the addresses have to be on this machine or on its own link.

use http::{HeaderMap, HeaderValue, Uri};

use super::super::CredentialError;
use crate::config::{Audience, ServiceUrl, UserAssigned};

pub(super) const IDENTITY: &str = "IDENTITY_ENDPOINT";
pub(super) const MSI: &str = "MSI_ENDPOINT";
pub(super) const POD_IDENTITY: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";

/// The address in a variable, without a slash at its end.
pub(super) fn base(variable: &str, text: &str) -> Result<ServiceUrl, CredentialError> {
    let refuse = |what: String| {
        CredentialError::needs_action(
            format!("{variable} {what}"),
            format!(
                "Unset {variable} and start ahds-proxy again. If the platform set the variable, use \
                 another credential."
            ),
        )
    };
    let url = ServiceUrl::parse(text.trim())
        .map_err(|error| refuse(format!("is not a valid address: {}", error.message)))?;
    if url.is_secure() || url.is_link_local() {
        return Ok(url);
    }
    Err(refuse(format!(
        "leads to {} over plain http, where others could read the token",
        url.host()
    )))
}

/// The URL in an environment variable, byte for byte. A slash at its end may matter to the
/// platform.
pub(super) fn exact(variable: &str, text: &str) -> Result<String, CredentialError> {
    base(variable, text).map(|_| text.trim().to_owned())
}

/// The URL of a request for a token, with its parameters in the query.
pub(super) fn request(
    address: &str,
    api_version: &str,
    audience: &Audience,
    identity: Option<(&str, &str)>,
) -> Result<Uri, CredentialError> {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("api-version", api_version)
        .append_pair("resource", audience.as_str())
        .extend_pairs(identity)
        .finish();
    format!("{address}?{query}").parse().map_err(|_| {
        CredentialError::needs_action(
            "the audience or the identity is too long for a request",
            "Check the route's audience and the credential's identity.",
        )
    })
}

/// The parameter that names a user-assigned identity in a request. `resource` is the platform's own
/// name for a resource id.
pub(super) fn parameter<'a>(
    identity: Option<&'a UserAssigned>,
    resource: &'static str,
) -> Option<(&'static str, &'a str)> {
    identity.map(|identity| match identity {
        UserAssigned::ClientId(id) => ("client_id", id.as_str()),
        UserAssigned::ObjectId(id) => ("object_id", id.as_str()),
        UserAssigned::ResourceId(id) => (resource, id.as_str()),
    })
}

/// The header `Metadata`. A web page, or a server that an attacker makes send a request, cannot set
/// it.
pub(super) fn metadata_header() -> HeaderMap {
    HeaderMap::from_iter([(
        http::HeaderName::from_static("metadata"),
        HeaderValue::from_static("true"),
    )])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_on_this_machine_and_its_link() {
        for text in [
            "http://localhost:40342/metadata/identity/oauth2/token",
            "http://127.0.0.1:41741/msi/token/",
            "http://[::1]:1",
            "http://169.254.169.254",
            "https://identity.example/msi",
            " http://127.0.0.1:1 ",
        ] {
            assert_eq!(exact("V", text).expect(text), text.trim());
        }
        for text in [
            "http://10.0.0.1",
            "http://localhost.example",
            "http://169.254.169.254.example",
            "http://metadata",
            "http://user@localhost",
            "http://localhost/?x",
            "ftp://localhost",
            "localhost:1",
        ] {
            let error = exact("V", text).expect_err(text);
            assert!(error.remedy.contains("Unset V"), "{text}: {error}");
        }
    }

    #[test]
    fn asks_byte_for_byte() {
        let audience = Audience::parse("https://dicom.example/").expect("an audience");
        let id = UserAssigned::ResourceId("/subscriptions/a b&c".to_owned());
        let identity = parameter(Some(&id), "mi_res_id");
        let url = request("http://127.0.0.1:1/msi/", "2019-08-01", &audience, identity);
        assert_eq!(
            url.expect("a URL"),
            "http://127.0.0.1:1/msi/?api-version=2019-08-01&resource=https%3A%2F%2Fdicom.example%2F\
             &mi_res_id=%2Fsubscriptions%2Fa+b%26c"
        );
    }
}
