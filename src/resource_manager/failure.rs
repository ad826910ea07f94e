//! The reason why Resource Manager gave no response to work with, and the remedy.

use http::StatusCode;

/// The reason, and the remedy. It contains no token and no text of a response except the error code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}. {remedy}")]
pub(crate) struct Failure {
    /// The cause, without a full stop.
    pub(crate) message: String,
    /// The remedy, in one or more sentences.
    pub(crate) remedy: String,
}

/// The remedy that works without Resource Manager.
const WITHOUT: &str = "If you know the service's URL, run instead: ahds-proxy \
                       https://WS-FHIR.fhir.azurehealthcareapis.com";

impl Failure {
    pub(crate) fn new(message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    pub(super) fn no_token(kind: &str) -> Self {
        Self::new(
            format!("the credential kind `{kind}` has no token for Azure Resource Manager"),
            format!("Choose another kind, for example with --credential azure-cli. {WITHOUT}"),
        )
    }

    pub(super) fn not_a_token() -> Self {
        Self::new(
            "the issued text is not a bearer token",
            "Check the token that the credential prints, stores or receives.",
        )
    }

    pub(super) fn unreachable(host: &str, detail: &str) -> Self {
        Self::new(
            format!("Azure Resource Manager ({host}) does not respond: {detail}"),
            format!("Check the network, VPN and proxy settings. {WITHOUT}"),
        )
    }

    pub(super) fn malformed(host: &str) -> Self {
        Self::new(
            format!("the response of {host} does not come from Azure Resource Manager"),
            format!("Check that no captive portal responds in its place. {WITHOUT}"),
        )
    }

    pub(super) fn refused(host: &str, status: StatusCode, code: Option<&str>) -> Self {
        // Other text could be anything.
        let is_word =
            |code: &&str| code.len() < 80 && code.bytes().all(|b| b.is_ascii_alphanumeric());
        let code = code.filter(is_word);
        let seen = match code {
            Some(code) => format!("{} ({code})", status.as_u16()),
            None => status.as_u16().to_string(),
        };
        let message = format!("Azure Resource Manager ({host}) responded with {seen}");
        match (status, code) {
            (StatusCode::UNAUTHORIZED, Some("InvalidAuthenticationTokenTenant")) => Self::new(
                format!("{message}: the token and the subscription are of different tenants"),
                "Sign in to the subscription's tenant. Run: az login --tenant TENANT",
            ),
            (StatusCode::UNAUTHORIZED, _) => Self::new(
                format!("{message}: it does not accept the token"),
                format!("Sign in again, for example with `az login`. {WITHOUT}"),
            ),
            (StatusCode::FORBIDDEN, _) => Self::new(
                format!("{message}: the signed-in identity may not read there"),
                format!("Ask the owner for the role \"Reader\" on the service. {WITHOUT}"),
            ),
            (StatusCode::TOO_MANY_REQUESTS, _) => {
                Self::new(message, "Try again in a minute.".to_owned())
            }
            _ => Self::new(message, format!("Try again in a moment. {WITHOUT}")),
        }
    }
}
