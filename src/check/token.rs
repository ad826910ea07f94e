//! The token of a route: whether there is one, and whom it names.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::Timestamp;

use super::{Event, Outcome};
use crate::{
    credentials::Reason,
    token::{Source, Token},
};

const MIN_PAUSE: Duration = Duration::from_millis(100);

/// Requests a token. If a person has to sign in first, waits for the sign-in.
pub(super) async fn get(
    source: &Arc<Source>,
    tell: &mut dyn FnMut(Event),
) -> Result<Arc<Token>, Outcome> {
    let mut shown = None;
    loop {
        let unavailable = match source.token().await {
            Ok(token) => return Ok(token),
            Err(unavailable) => unavailable,
        };
        let error = unavailable.error;
        if error.reason != Reason::Waiting {
            return Err(Outcome::failed(error.message, error.remedy));
        }
        if shown.as_ref() != Some(&error) {
            tell(Event::Waiting(error.clone()));
            shown = Some(error);
        }
        tokio::time::sleep(unavailable.retry_in.max(MIN_PAUSE)).await;
    }
}

/// Describes a token without showing it.
pub(super) fn describe(token: &Token, source: &Source, now: SystemTime) -> Outcome {
    let claims = &token.claims;
    let mut parts = vec![source.status().kind.to_owned()];
    if let Some(tenant) = &claims.tenant {
        parts.push(format!("tenant {tenant}"));
    }
    if let Some(identity) = &claims.identity {
        parts.push(format!("identity {identity}"));
    }
    if !claims.audiences.is_empty() {
        parts.push(format!("audience {}", claims.audiences.join(" ")));
    }
    if !claims.roles.is_empty() {
        parts.push(format!("roles {}", claims.roles.join(" ")));
    }
    parts.push(if token.states_expiry {
        format!(
            "expires {} (in {} min)",
            second(token.expires_on),
            token.remaining(now).as_secs() / 60
        )
    } else {
        "its source does not say when it expires".to_owned()
    });
    Outcome::ok(parts.join(", "))
}

/// A time in UTC, to the second.
pub(super) fn second(time: SystemTime) -> Timestamp {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_secs())
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .unwrap_or(Timestamp::MAX)
}
