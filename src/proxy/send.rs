//! Sends a request, as the upstream is to see it.

use std::{
    pin::pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::{Request, Response, header, request::Parts};
use http_body::Body as _;
use tokio::{sync::oneshot, time::timeout};

use super::{
    Shared,
    body::{Upload, UploadBody},
    failure::Failure,
    headers,
    progress::Progress,
    route::Route,
};
use crate::{
    token::Token,
    upstream::{ResponseBody, RetryReason},
};

/// An upstream's response, with its body still to come.
pub(super) type Answer = Response<ResponseBody<UploadBody>>;

/// The request as the upstream sees it: its own name, our token, the rest as it came.
pub(super) fn upstream_request(
    route: &Route,
    head: Parts,
    target: http::Uri,
    token: Option<&Token>,
) -> Request<()> {
    let mut headers = head.headers;
    headers::strip_request(&mut headers);
    for (name, value) in &route.headers {
        headers.insert(name, value.clone());
    }
    let mut request = Request::new(());
    *request.method_mut() = head.method;
    *request.uri_mut() = target;
    *request.headers_mut() = headers;
    if let Some(token) = token {
        authorize(&mut request, token);
    }
    request
}

pub(super) fn authorize(request: &mut Request<()>, token: &Token) {
    let authorization = token.authorization.clone();
    request
        .headers_mut()
        .insert(header::AUTHORIZATION, authorization);
}

/// A connection that has turned a request away lets go of its body at once.
const LETS_GO: Duration = Duration::from_secs(1);

/// The body of a request that was turned away before all of it had come: its start is kept, and its rest
/// comes back.
async fn read_on(
    back: &Mutex<Option<oneshot::Receiver<Upload>>>,
    progress: &Progress,
) -> Option<UploadBody> {
    let came_back = back.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    let rest = timeout(LETS_GO, came_back).await.ok()?.ok()?;
    let (body, next) = UploadBody::resumed(progress.resume()?, rest).lent();
    *back.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
    Some(body)
}

/// Sends a request and waits for the response's head, for as long as something moves.
pub(super) async fn send(
    route: &Route,
    head: &Request<()>,
    upload: UploadBody,
    progress: &Progress,
    shared: &Shared,
) -> Result<Answer, Failure> {
    let is_safe = head.method().is_safe();
    let (upload, back) = if upload.is_end_stream() {
        (upload, None)
    } else {
        let (upload, back) = upload.lent();
        (upload, Some(back))
    };
    let back = Mutex::new(back);
    let again = |reason| {
        let back = &back;
        async move {
            if reason == RetryReason::IdleTimeout && !is_safe && !progress.is_just_sent() {
                return None;
            }
            let body = match progress.replayable_body() {
                Some(body) => UploadBody::whole(body, None),
                None if reason == RetryReason::Unprocessed => read_on(back, progress).await?,
                None => return None,
            };
            progress.moved();
            Some(body)
        }
    };
    let sending = pin!(route.pool.send(head, upload, again));
    let sent = progress.while_moving(&shared.timers, sending).await;
    let sent = sent.map_err(|late| Failure::late(late, progress.timeouts()))?;
    sent.map_err(|error| match shared.limits.request_body {
        Some(limit) if progress.is_too_large() => Failure::body_too_large(limit),
        _ if progress.is_broken_off() => Failure::malformed_body(),
        _ if progress.is_damaged() => Failure::damaged_body(),
        _ => Failure::not_sent(&error),
    })
}
