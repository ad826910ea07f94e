//! Sends a request to the upstream. If the upstream did not process it, the request is sent again,
//! with its body from the replay buffer.

use std::{pin::pin, time::Duration};

use http::{Request, Response, Uri, header, request::Parts};
use http_body::Body as _;
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::timeout};

use super::{
    body::{Upload, UploadBody},
    failure::Failure,
    headers,
    progress::Progress,
    route::Route,
    timers::Timers,
};
use crate::{
    token::Token,
    upstream::{self, RequestBody, RetryReason},
};

/// An upstream's response, with its body still to come.
pub(super) type UpstreamResponse = Response<upstream::ResponseBody>;

/// The head that the upstream gets: `target`, the token, and the client's headers that may pass.
pub(super) fn upstream_request(
    route: &Route,
    head: Parts,
    target: Uri,
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

/// Sends a request and waits for the response's head for as long as bytes move.
pub(super) async fn send(
    route: &Route,
    head: &Request<()>,
    upload: UploadBody,
    progress: &Progress,
    timers: &Timers,
) -> Result<UpstreamResponse, Failure> {
    let is_safe = head.method().is_safe();
    let (body, lent) = if upload.is_end_stream() {
        (RequestBody::empty(), None)
    } else {
        let (upload, lent) = upload.lend();
        (RequestBody::new(upload), Some(lent))
    };
    let lent = Mutex::new(lent);
    let rebuild = |reason| {
        let lent = &lent;
        async move {
            if reason == RetryReason::IdleTimeout && !is_safe && !progress.is_just_sent() {
                return None;
            }
            let upload = match progress.buffered_body() {
                Some(body) => UploadBody::whole(body, None),
                None if reason == RetryReason::Unprocessed => resume(lent, progress).await?,
                None => return None,
            };
            progress.moved();
            Some(RequestBody::new(upload))
        }
    };
    let sending = pin!(route.pool.send(head, body, rebuild));
    let sent = progress.while_moving(timers, sending).await?;
    Ok(sent?)
}

/// The time to wait for a body to come back. A connection that did not process a request drops the
/// request's body at once.
const RETURN_TIMEOUT: Duration = Duration::from_secs(1);

/// The body of a request that the upstream did not process, and of which only the start has come:
/// the buffered start, and the rest that the connection gives back.
async fn resume(
    lent: &Mutex<Option<oneshot::Receiver<Upload>>>,
    progress: &Progress,
) -> Option<UploadBody> {
    let returned = lent.lock().take()?;
    let rest = timeout(RETURN_TIMEOUT, returned).await.ok()?.ok()?;
    let (body, lent_again) = UploadBody::resumed(progress.resume()?, rest).lend();
    *lent.lock() = Some(lent_again);
    Some(body)
}
