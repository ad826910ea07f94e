//! How long a service that has too much to do wants to be left alone.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, Response, StatusCode};

use crate::upstream::retry_after;

/// In all, however often a request is repeated: after that the client is better off knowing.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(60);
/// A service that asks for hardly any time, again and again, is not asked for ever.
pub(super) const MAX_REPEATS: usize = 10;
/// A service that asks for no time at all would otherwise get all repeats at once.
const MIN_WAIT: Duration = Duration::from_millis(100);

/// In milliseconds; services that send it round `Retry-After` up to whole seconds.
const RETRY_AFTER_MS: &str = "x-ms-retry-after-ms";

/// Whether a request changes nothing, so that it may be sent again.
pub(super) fn is_repeatable(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The wait that an answer asks for. `None` if it is no such answer, or does not say.
pub(super) fn wait<B>(answer: &Response<B>, received: SystemTime) -> Option<Duration> {
    if !matches!(
        answer.status(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) {
        return None;
    }
    let wait = exactly(answer.headers()).or_else(|| retry_after(answer.headers(), received));
    wait.map(|wait| wait.max(MIN_WAIT))
}

fn exactly(headers: &HeaderMap) -> Option<Duration> {
    let milliseconds = headers.get(RETRY_AFTER_MS)?.to_str().ok()?;
    milliseconds.trim().parse().ok().map(Duration::from_millis)
}
