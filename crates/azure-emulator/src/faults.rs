//! Faults on request: the behavior of a service in place of its real response, or before it.

use std::{
    str::FromStr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::{
    body::{self, Body},
    serve::Connection,
};

/// One way to misbehave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Wait, then go on as if nothing was.
    Delay(Duration),
    /// Take the request and never respond.
    Hang,
    /// Close the connection without a response.
    Close,
    /// 401, whatever the token. Entra responds as if the secret were wrong.
    Unauthorized,
    /// 403, as for a token without a role.
    Forbidden,
    /// 429 with `Retry-After` in seconds and `x-ms-retry-after-ms`.
    Throttle(Duration),
    /// A fixed response.
    Respond {
        /// The status code.
        status: u16,
        /// Header names and values.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
}

impl Fault {
    /// A fixed response with a body and only the necessary headers.
    pub fn respond(status: u16, body: impl Into<String>) -> Self {
        Self::Respond {
            status,
            headers: Vec::new(),
            body: body.into(),
        }
    }
}

/// Reads a status, `close`, `hang`, `delay:SECONDS` or `throttle:SECONDS`.
impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
        let fault = match text.split_once(':') {
            Some(("delay", wait)) => seconds(wait).map(Self::Delay),
            Some(("throttle", wait)) => seconds(wait).map(Self::Throttle),
            Some(_) => None,
            None if text == "close" => Some(Self::Close),
            None if text == "hang" => Some(Self::Hang),
            None => match text.parse() {
                Ok(401) => Some(Self::Unauthorized),
                Ok(403) => Some(Self::Forbidden),
                Ok(status @ 200..=599) => Some(Self::respond(status, "")),
                _ => None,
            },
        };
        fault.ok_or_else(|| {
            format!(
                "`{text}` is not a fault; write a status, close, hang, delay:SECONDS or \
                 throttle:SECONDS"
            )
        })
    }
}

#[derive(Debug)]
struct Rule {
    fault: Fault,
    /// `None` means until [`Faults::clear`].
    remaining: Option<u32>,
    audience: Option<String>,
}

/// The faults a service still has to show, oldest first.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Rule>>);

impl Faults {
    /// The next `count` requests meet the fault.
    pub fn next(&self, count: u32, fault: Fault) {
        self.add(fault, Some(count), None);
    }

    /// Every request meets the fault, until [`Faults::clear`].
    pub fn always(&self, fault: Fault) {
        self.add(fault, None, None);
    }

    /// The next `count` token requests for an audience meet the fault.
    pub fn next_for(&self, audience: &str, count: u32, fault: Fault) {
        self.add(fault, Some(count), Some(audience.to_owned()));
    }

    /// Every token request for an audience meets the fault, until [`Faults::clear`].
    pub fn always_for(&self, audience: &str, fault: Fault) {
        self.add(fault, None, Some(audience.to_owned()));
    }

    /// Back to good behaviour. Requests that hang already keep hanging.
    pub fn clear(&self) {
        self.rules().clear();
    }

    fn add(&self, fault: Fault, remaining: Option<u32>, audience: Option<String>) {
        if remaining != Some(0) {
            self.rules().push(Rule {
                fault,
                remaining,
                audience,
            });
        }
    }

    /// Takes the delays due, up to and including the first fault that ends a request.
    fn take(&self, audience: Option<&str>) -> Vec<Fault> {
        let mut due = Vec::new();
        let mut ended = false;
        self.rules().retain_mut(|rule| {
            let concerned = rule.audience.is_none() || rule.audience.as_deref() == audience;
            if ended || !concerned {
                return true;
            }
            ended = !matches!(rule.fault, Fault::Delay(_));
            due.push(rule.fault.clone());
            match &mut rule.remaining {
                None => true,
                Some(remaining) => {
                    *remaining -= 1;
                    *remaining > 0
                }
            }
        });
        due
    }

    /// Applies the faults that are due. Returns the one that the service must put into a response.
    pub(super) async fn suffer(
        &self,
        audience: Option<&str>,
        connection: &Connection,
    ) -> Option<Fault> {
        for fault in self.take(audience) {
            match fault {
                Fault::Delay(time) => tokio::time::sleep(time).await,
                Fault::Hang => std::future::pending().await,
                Fault::Close => connection.cut().await,
                answer => return Some(answer),
            }
        }
        None
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The response of a fault that has its own, whatever the service.
pub(super) fn respond(fault: &Fault) -> Response<Body> {
    let Fault::Respond {
        status,
        headers,
        body,
    } = fault
    else {
        return body::empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = body::full(status, "text/plain", body.clone());
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_order_and_wear_off() {
        let faults = Faults::default();
        faults.always(Fault::Delay(Duration::from_secs(1)));
        faults.next(2, Fault::Unauthorized);
        faults.next_for("a", 1, Fault::Forbidden);
        let delay = Fault::Delay(Duration::from_secs(1));
        assert_eq!(faults.take(Some("a")), [delay.clone(), Fault::Unauthorized]);
        assert_eq!(faults.take(None), [delay.clone(), Fault::Unauthorized]);
        assert_eq!(faults.take(Some("b")), std::slice::from_ref(&delay));
        assert_eq!(faults.take(Some("a")), [delay.clone(), Fault::Forbidden]);
        assert_eq!(faults.take(Some("a")), [delay]);
        faults.clear();
        assert_eq!(faults.take(None), []);
    }
}
