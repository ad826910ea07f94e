//! Rewrites the links in a request's body.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::{
    super::{
        links::{self, BodyRewrite},
        progress::Progress,
        replay,
        timers::Timers,
    },
    client::{ClientBody, UploadError},
    comparison::{Comparison, rewrite_compressed, rewrite_plain},
    upload::UploadBody,
};

/// Makes the body that the upstream gets, and corrects the headers that describe it.
///
/// A small body is read before it is sent. It goes out with a `Content-Length`, and if nothing in
/// it changes, as it came, compressed or not. The new length of a larger body, or of a body of
/// unknown length, is known only at its end. Such a body goes out without a `Content-Length`, and
/// decompressed.
pub(in crate::proxy) async fn rewrite(
    mut client: ClientBody,
    rewrite: &BodyRewrite,
    headers: &mut HeaderMap,
    progress: &Progress,
    timers: &Timers,
) -> Result<UploadBody, UploadError> {
    let length = client.size_hint().exact();
    if length.is_none_or(|length| length > replay::LIMIT as u64) {
        links::describe_rewritten_request(headers);
        return Ok(UploadBody::rewritten(client, rewrite));
    }
    let (body, mut trailers) = read(&mut client, progress, timers).await?;
    let rewriter = rewrite.rewriter();
    let comparison = match rewrite.coding {
        None => rewrite_plain(&body, rewriter),
        Some(coding) => rewrite_compressed(body.clone(), coding, rewriter, client.limit()).await?,
    };
    let rewritten = match comparison {
        Comparison::Same => body,
        Comparison::Changed(rewritten) => {
            if let Some(trailers) = &mut trailers {
                links::mark_trailers(trailers);
            }
            links::describe_rewritten_request(headers);
            rewritten
        }
        Comparison::ChangedAndLarge => {
            links::describe_rewritten_request(headers);
            client.unread(body, trailers);
            return Ok(UploadBody::rewritten(client, rewrite));
        }
    };
    progress.buffer(Some(&rewritten));
    if trailers.is_some() {
        progress.buffer(None);
    }
    progress.set_sent();
    Ok(UploadBody::whole(vec![rewritten], trailers))
}

async fn read(
    client: &mut ClientBody,
    progress: &Progress,
    timers: &Timers,
) -> Result<(Bytes, Option<Box<HeaderMap>>), UploadError> {
    let mut body = BytesMut::new();
    let mut trailers = None;
    while let Some(frame) = progress.while_moving(timers, client.frame()).await? {
        match frame?.into_data() {
            Ok(data) => body.extend_from_slice(&data),
            Err(frame) => trailers = frame.into_trailers().ok().map(Box::new),
        }
    }
    Ok((body.freeze(), trailers))
}
