//! The id of a request in the access log: the client's or the upstream's `X-Request-Id`, else a
//! number that the proxy chooses. The upstream never gets that number. The client gets it with a
//! response of the proxy's own, to find the line of the log.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::fmt::Hyphenated;

const NAME: HeaderName = HeaderName::from_static("x-request-id");

/// The next number. The first is random, so that two runs of the program use different numbers.
static NEXT: LazyLock<AtomicU64> =
    LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(0_u8)));

/// An id as the log shows it.
#[derive(Debug)]
pub(super) enum RequestId<'a> {
    Given(&'a str),
    Own(u64),
}

impl<'a> RequestId<'a> {
    /// The given id, else a new number.
    pub(super) fn or_own(given: Option<&'a HeaderValue>) -> Self {
        given.and_then(|id| id.to_str().ok()).map_or_else(
            || Self::Own(NEXT.fetch_add(1, Ordering::Relaxed)),
            Self::Given,
        )
    }
}

impl fmt::Display for RequestId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(id) => f.write_str(id),
            Self::Own(number) => write!(f, "{number:016x}"),
        }
    }
}

/// The given id, if it is a UUID. Any other text might say something about a patient.
pub(super) fn given(headers: &HeaderMap) -> Option<HeaderValue> {
    let id = headers.get(NAME)?;
    let uuid: Result<Hyphenated, _> = id.to_str().ok()?.parse();
    uuid.is_ok().then(|| id.clone())
}

/// Names the request in a response of the proxy's own.
pub(super) fn set(headers: &mut HeaderMap, id: HeaderValue) {
    headers.insert(NAME, id);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_uuid_is_a_request_id() {
        let is_given = |text: &'static str| {
            given(&HeaderMap::from_iter([(
                NAME,
                HeaderValue::from_static(text),
            )]))
            .is_some()
        };
        assert!(is_given("8f14e45f-ceea-467f-a1b2-0a1b2c3d4e5f"));
        for text in [
            "",
            "Smith",
            "8f14e45fceea467fa1b20a1b2c3d4e5f",
            "{8f14e45f-ceea-467f-a1b2-0a1b2c3d4e5f}",
            "8f14e45f-ceea-467f-a1b2-0a1b2c3d4e5g",
        ] {
            assert!(!is_given(text), "{text}");
        }
    }
}
