//! Sends a request once more: with another token than the one that was refused, or later to a
//! service that is busy.

use std::sync::Arc;

use http::{Request, header};
use tokio::time::sleep;

use super::{
    Shared,
    body::UploadBody,
    failure::Failure,
    progress::Progress,
    route::Route,
    send::{Answer, authorize, send},
    throttled,
};
use crate::token::Token;

/// Sends a request with a new token in place of the one that the upstream has refused, or with
/// one at all. `None` where that is no use or not possible, and the refusal is the answer.
pub(super) async fn authorized(
    shared: &Shared,
    route: &Route,
    request: &mut Request<()>,
    refused: Option<&Arc<Token>>,
    progress: &Progress,
) -> Result<Option<Answer>, Failure> {
    let token = match refused {
        Some(refused) => route.source.replace(refused).await,
        None => route.source.token().await.map(Some),
    };
    let token = token.map_err(|unavailable| Failure::no_token(&unavailable))?;
    // The next request profits from a new token even if this one cannot be repeated.
    let Some(token) = token else {
        return Ok(None);
    };
    let Some(body) = progress.whole_body().await else {
        return Ok(None);
    };
    authorize(request, &token);
    progress.moved();
    let upload = UploadBody::whole(body, None);
    send(route, request, upload, progress, shared)
        .await
        .map(Some)
}

/// Sends a request again after the time that a busy upstream asks for, a few times.
pub(super) async fn unhurried(
    shared: &Shared,
    route: &Route,
    mut request: Request<()>,
    mut answer: Answer,
    progress: &Progress,
) -> Result<Answer, Failure> {
    let mut time_left = throttled::MAX_WAIT;
    for _ in 0..throttled::MAX_REPEATS {
        let wait = throttled::wait(&answer, route.source.now());
        let Some((wait, left)) = wait.and_then(|wait| Some((wait, time_left.checked_sub(wait)?)))
        else {
            break;
        };
        time_left = left;
        drop(answer);
        sleep(wait).await;
        if request.headers().contains_key(header::AUTHORIZATION) {
            // The one before may have expired meanwhile.
            let token = route.source.token().await;
            let token = token.map_err(|unavailable| Failure::no_token(&unavailable))?;
            authorize(&mut request, &token);
        }
        progress.moved();
        let upload = UploadBody::whole(Vec::new(), None);
        answer = send(route, &request, upload, progress, shared).await?;
    }
    Ok(answer)
}
