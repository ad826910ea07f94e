//! The instance metadata service of virtual machines, scale sets and container instances
//! (learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token).

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Map, Value};
use tokio::time::{sleep, timeout};

use super::{
    super::{AccessToken, CredentialError, context::Context, http::Response},
    endpoint, reply,
};
use crate::config::{Audience, ServiceUrl, UserAssigned};

const PATH: &str = "/metadata/identity/oauth2/token";
const API_VERSION: &str = "2018-02-01";
const PROBE: Duration = Duration::from_secs(1);
const ELSEWHERE: &str = "Only machines and containers of Azure have this service. Elsewhere, use \
                         another credential, such as azure-cli.";

/// The instance metadata service.
#[derive(Debug)]
pub(super) struct Imds {
    base: ServiceUrl,
    /// Whether the configuration or a variable names the address.
    is_configured: bool,
    identity: Option<UserAssigned>,
}

impl Imds {
    /// The service at a configured address, else at the address that it has on every virtual machine.
    pub(super) fn new(base: Option<ServiceUrl>, identity: Option<UserAssigned>) -> Self {
        Self {
            is_configured: base.is_some(),
            base: base.unwrap_or_else(|| {
                ServiceUrl::parse("http://169.254.169.254").expect("a constant URL")
            }),
            identity,
        }
    }

    pub(super) async fn token(
        &self,
        context: &Context,
        audience: &Audience,
    ) -> Result<AccessToken, CredentialError> {
        let identity = endpoint::parameter(self.identity.as_ref(), "msi_res_id");
        let url = endpoint::request(
            &format!("{}{PATH}", self.base),
            API_VERSION,
            audience,
            identity,
        )?;
        let mut tries = 0;
        loop {
            let start = context.clock.now();
            let response = context
                .endpoints
                .get(&url, endpoint::metadata_header())
                .await
                .map_err(|error| error.with_remedy(ELSEWHERE))?;
            let Some(pause) = pause(response.status, tries, response.retry_after()) else {
                return self.read(&response, start, audience);
            };
            sleep(pause).await;
            tries += 1;
        }
    }

    /// Checks that the service exists. A request without the required header gets 400 at once.
    /// Other clouds have another service at this address, which responds differently.
    pub(super) async fn probe(&self, context: &Context) -> Result<(), CredentialError> {
        let host = self.base.host();
        let url: Uri = format!("{}{PATH}?api-version={API_VERSION}", self.base)
            .parse()
            .expect("a checked URL and a constant path make a URL");
        let asked = context.endpoints.get(&url, HeaderMap::new());
        let message = match timeout(PROBE, asked).await {
            Ok(Ok(response)) if self.is_service(&response) => return Ok(()),
            Ok(Ok(_)) => {
                format!("the server at {host} is not Azure's instance metadata service")
            }
            Ok(Err(_)) => format!("no instance metadata service can be reached at {host}"),
            Err(_) => format!(
                "no instance metadata service responded at {host} within {} s",
                PROBE.as_secs()
            ),
        };
        Err(CredentialError::absent(message, ELSEWHERE))
    }

    /// Whether a response comes from the service. A substitute for the service may not require the
    /// header, but has to respond in JSON, as azure-identity demands. A captive portal, for
    /// example, does not.
    fn is_service(&self, response: &Response) -> bool {
        let is_json = || serde_json::from_slice::<Map<String, Value>>(&response.body).is_ok();
        matches!(response.status.as_u16(), 400 | 410 | 429) || self.is_configured && is_json()
    }

    fn read(
        &self,
        response: &Response,
        start: SystemTime,
        audience: &Audience,
    ) -> Result<AccessToken, CredentialError> {
        let platform = format!("the instance metadata service at {}", self.base.host());
        reply::read(response, start, &platform, audience, || {
            match response.status {
                StatusCode::BAD_REQUEST => self.not_assigned(),
                // Docker Desktop responds in place of addresses that it cannot reach.
                StatusCode::FORBIDDEN if is_unreachable(response) => CredentialError::absent(
                    format!("this container cannot reach {platform}"),
                    "Use another credential, such as azure-cli.",
                ),
                status => CredentialError::needs_action(
                    format!("{platform} responded with {}", status.as_u16()),
                    "Check that it is Azure's, and not a proxy or another cloud's.",
                ),
            }
        })
    }

    fn not_assigned(&self) -> CredentialError {
        let (what, more) = match &self.identity {
            None => ("no managed identity is".to_owned(), ""),
            Some(
                UserAssigned::ClientId(id)
                | UserAssigned::ObjectId(id)
                | UserAssigned::ResourceId(id),
            ) => (
                format!("the managed identity {id} is not"),
                " --identities RESOURCE_ID",
            ),
        };
        CredentialError::absent(
            format!("{what} assigned to this machine"),
            format!(
                "Assign one. Run: az vm identity assign --resource-group GROUP --name MACHINE{more}"
            ),
        )
    }
}

fn is_unreachable(response: &Response) -> bool {
    std::str::from_utf8(&response.body).is_ok_and(|text| text.contains("unreachable"))
}

/// The pause before a retry. `None` for a status after which a retry cannot succeed, by the
/// documentation. A 410 is retried for as long as an upgrade of the service takes.
fn pause(status: StatusCode, tries: usize, asked: Option<Duration>) -> Option<Duration> {
    let pauses: &[u64] = match status.as_u16() {
        410 => &[1, 2, 4, 8, 15, 20, 20],
        404 | 429 | 500..=599 => &[1, 2, 4, 8],
        _ => &[],
    };
    let pause = Duration::from_secs(*pauses.get(tries)?);
    // The token cache does longer waits, so that no request waits for its response meanwhile.
    (asked.unwrap_or_default() <= pause).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::{super::testing::Server, *};
    use crate::credentials::Reason;

    fn pauses(status: u16) -> Vec<u64> {
        let status = StatusCode::from_u16(status).expect("a status");
        (0..)
            .map_while(|tries| pause(status, tries, None))
            .map(|pause| pause.as_secs())
            .collect()
    }

    #[test]
    fn tries_again_where_it_may_help() {
        for status in [404, 429, 500, 503] {
            assert_eq!(pauses(status), [1, 2, 4, 8], "{status}");
        }
        for status in [302, 400, 401, 403, 405] {
            assert!(pauses(status).is_empty(), "{status}");
        }
        assert_eq!(pauses(410).iter().sum::<u64>(), 70);
    }

    #[test]
    fn leaves_a_long_wait_to_the_cache() {
        let busy = StatusCode::TOO_MANY_REQUESTS;
        let asked = |seconds| pause(busy, 0, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(1), Some(Duration::from_secs(1)));
        assert_eq!(asked(2), None);
    }

    fn unconfigured(base: &str) -> Imds {
        Imds {
            base: ServiceUrl::parse(base).expect("a URL"),
            is_configured: false,
            identity: None,
        }
    }

    #[tokio::test]
    async fn knows_the_service_by_its_refusal() {
        for (status, is_there) in [
            ("400 Bad Request", true),
            ("429 Too Many Requests", true),
            ("200 OK", false),
            ("401 Unauthorized", false),
            ("403 Forbidden", false),
            ("404 Not Found", false),
        ] {
            let response = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            let server = Server::saying([response]).await;
            let found = unconfigured(&server.url(""))
                .probe(&server.context())
                .await
                .is_ok();
            assert_eq!(found, is_there, "{status}");
            assert!(!server.heads()[0].contains("metadata: true"));
        }
    }

    #[tokio::test]
    async fn where_it_is_said_to_be_only_json_is_it() {
        for (status, body, is_there) in [
            ("400 Bad Request", "", true),
            ("429 Too Many Requests", "", true),
            ("404 Not Found", "{\"error\":\"not_found\"}", true),
            ("200 OK", "{\"access_token\":\"t\"}", true),
            ("200 OK", "<html>Sign in to the network</html>", false),
            ("404 Not Found", "", false),
            ("500 Internal Server Error", "oops", false),
            ("200 OK", "1", false),
        ] {
            let length = body.len();
            let response = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
            let server = Server::saying([response]).await;
            let base = ServiceUrl::parse(&server.url("")).expect("a URL");
            let found = Imds::new(Some(base), None).probe(&server.context()).await;
            assert_eq!(found.is_ok(), is_there, "{status} {body}");
        }
    }

    #[tokio::test]
    async fn looks_for_no_longer_than_a_second() {
        let server = Server::saying([]).await;
        let begun = std::time::Instant::now();
        let imds = unconfigured(&server.url(""));
        let error = imds.probe(&server.context()).await.expect_err("silent");
        assert_eq!(error.reason, Reason::Absent, "{error}");
        assert!(begun.elapsed() >= PROBE);
        assert!(begun.elapsed() < 3 * PROBE);
    }
}
