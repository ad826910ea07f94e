//! Retries by status: with a new token after a 401, and after a wait if the service throttles
//! requests.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, Method, Request, StatusCode, header};
use tokio::time::sleep;

use super::{
    body::UploadBody,
    failure::Failure,
    lifecycle::Lifecycle,
    progress::Progress,
    route::Route,
    send::{UpstreamResponse, authorize, send},
    timers::Timers,
};
use crate::{token::Token, upstream::retry_after};

/// The longest time to wait for a throttled service in all. A client that waits longer should know
/// why.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// The number of retries, in case a service repeatedly names a very short time.
const MAX_RETRIES: usize = 10;
/// The shortest wait, so that a service that names a time of zero does not get all retries at once.
const MIN_WAIT: Duration = Duration::from_millis(100);

/// The header that names the wait in milliseconds. Services that send it round `Retry-After` up to
/// whole seconds.
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("x-ms-retry-after-ms");

/// Replaces the token that the upstream refused, and sends the request again. A request to a public
/// endpoint may have gone out without a token, and gets the first one. `None` if there is no other
/// token or the body cannot be sent again: the client then gets the 401. If the fetch fails, the
/// client gets a 503 that says why.
pub(super) async fn with_new_token(
    route: &Route,
    request: &mut Request<()>,
    refused: Option<&Arc<Token>>,
    progress: &Progress,
    timers: &Timers,
    lifecycle: &Lifecycle,
) -> Result<Option<UpstreamResponse>, Failure> {
    let source = &route.source;
    let another = async {
        match refused {
            Some(refused) => source.replace(refused).await,
            None => source.token().await.map(Some),
        }
    };
    let token = lifecycle.wait_for(another).await;
    let token = token.ok_or_else(Failure::stopping)??;
    // Even if this request cannot be sent again, the next request uses the new token.
    let route_name = &*route.name;
    let Some(token) = token else {
        tracing::debug!(
            route = route_name,
            "the request is not sent again: there is no other token"
        );
        return Ok(None);
    };
    let Some(body) = progress.wait_for_body().await else {
        tracing::debug!(
            route = route_name,
            "the request is not sent again: its body is not in memory"
        );
        return Ok(None);
    };
    tracing::debug!(
        route = route_name,
        "the request is sent again with a new token"
    );
    authorize(request, &token);
    progress.moved();
    let upload = UploadBody::whole(body, None);
    let response = send(route, request, upload, progress, timers).await?;
    Ok(Some(response))
}

/// Whether a throttled service names a time to wait, and the request is one that changes nothing.
pub(super) fn is_throttled(
    route: &Route,
    request: &Request<()>,
    response: &UpstreamResponse,
) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && wait(response, route.source.now()).is_some()
}

/// Sends a request without a body again after the wait that a throttled service names, up to
/// [`MAX_RETRIES`] times.
pub(super) async fn after_waiting(
    route: &Route,
    request: &mut Request<()>,
    first_response: UpstreamResponse,
    progress: &Progress,
    timers: &Timers,
) -> Result<UpstreamResponse, Failure> {
    let mut response = first_response;
    let mut time_left = MAX_WAIT;
    for _ in 0..MAX_RETRIES {
        let wait = wait(&response, route.source.now());
        let Some((wait, left)) = wait.and_then(|wait| Some((wait, time_left.checked_sub(wait)?)))
        else {
            break;
        };
        time_left = left;
        tracing::debug!(
            route = &*route.name,
            wait_s = wait.as_secs_f32(),
            "the service throttles requests; the request is sent again after the wait"
        );
        // Frees the response's connection before the wait.
        drop(response);
        sleep(wait).await;
        if request.headers().contains_key(header::AUTHORIZATION) {
            // The token may have expired meanwhile.
            let token = route.source.token().await?;
            authorize(request, &token);
        }
        progress.moved();
        let upload = UploadBody::whole(Vec::new(), None);
        response = send(route, request, upload, progress, timers).await?;
    }
    Ok(response)
}

/// The wait that a throttled service names. `None` if it is not throttled, or names no time.
fn wait(response: &UpstreamResponse, received: SystemTime) -> Option<Duration> {
    if !matches!(
        response.status(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) {
        return None;
    }
    let headers = response.headers();
    let wait = milliseconds(headers).or_else(|| retry_after(headers, received));
    wait.map(|wait| wait.max(MIN_WAIT))
}

fn milliseconds(headers: &HeaderMap) -> Option<Duration> {
    let milliseconds = headers.get(RETRY_AFTER_MS)?.to_str().ok()?;
    milliseconds.trim().parse().ok().map(Duration::from_millis)
}
