//! How long a service that has too much to do wants to be left alone.

use std::time::Duration;

use http::{Method, Response, StatusCode, header};

/// In all, however often a request is repeated: after that the client is better off knowing.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(60);
/// A service that asks for hardly any time, again and again, is not asked for ever.
pub(super) const MAX_REPEATS: usize = 10;

/// In milliseconds; services that send it round `Retry-After` up to whole seconds.
const RETRY_AFTER_MS: &str = "x-ms-retry-after-ms";

/// Whether a request changes nothing, so that it may be sent again.
pub(super) fn is_repeatable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The wait that an answer asks for. `None` if it is no such answer, or does not say in seconds.
pub(super) fn wait<B>(answer: &Response<B>) -> Option<Duration> {
    if !matches!(
        answer.status(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) {
        return None;
    }
    let number = |name: &str| -> Option<u64> {
        let value = answer.headers().get(name)?.to_str().ok()?;
        value.trim().parse().ok()
    };
    let exactly = number(RETRY_AFTER_MS).map(Duration::from_millis);
    exactly.or_else(|| number(header::RETRY_AFTER.as_str()).map(Duration::from_secs))
}
