//! A request's body whose links are changed, with the length that the upstream is told.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::{
    super::{
        failure::Failure,
        links::{self, BodyRewrite},
        progress::Progress,
        replay,
        timers::Timers,
    },
    client::{ClientBody, UploadError},
    decompressed_client::{self, Finding},
    upload::UploadBody,
};
use crate::rewrite::Rewriter;

/// A small body is read first, so that it goes with a length and, if nothing in it changes, as it
/// came, compressed or not. Of a larger one, or one without a length, the new length is known at its
/// end only: it goes without, and is not compressed.
pub(in crate::proxy) async fn rewrite(
    mut client: ClientBody,
    rewrite: &BodyRewrite,
    headers: &mut HeaderMap,
    progress: &Progress,
    timers: &Timers,
) -> Result<UploadBody, Failure> {
    let length = client.size_hint().exact();
    if length.is_none_or(|length| length > replay::LIMIT as u64) {
        links::mark_request(headers);
        return Ok(UploadBody::rewritten(client, rewrite));
    }
    let (body, mut trailers) = read(&mut client, progress, timers).await?;
    let rewriter = rewrite.rewriter();
    let finding = match rewrite.coding {
        None => rewritten(&body, rewriter),
        Some(coding) => {
            decompressed_client::look_through(body.clone(), coding, rewriter, client.limit())
                .await?
        }
    };
    let rewritten = match finding {
        Finding::Same => body,
        Finding::Changed(rewritten) => {
            if let Some(trailers) = &mut trailers {
                links::in_trailers(trailers);
            }
            // The length goes too; the client writes that of a whole body by itself.
            links::mark_request(headers);
            rewritten
        }
        Finding::ChangedAndLarge => {
            links::mark_request(headers);
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

fn rewritten(body: &Bytes, mut rewriter: Rewriter) -> Finding {
    let start = rewriter.push(body);
    let end = rewriter.finish();
    let rewritten = if end.is_empty() {
        start
    } else {
        Bytes::from([start, end].concat())
    };
    if rewritten == body {
        Finding::Same
    } else {
        Finding::Changed(rewritten)
    }
}

async fn read(
    client: &mut ClientBody,
    progress: &Progress,
    timers: &Timers,
) -> Result<(Bytes, Option<Box<HeaderMap>>), Failure> {
    let mut body = BytesMut::new();
    let mut trailers = None;
    loop {
        let frame = progress.while_moving(timers, client.frame()).await;
        let frame = frame.map_err(|late| Failure::late(late, progress.timeouts()))?;
        match frame {
            None => return Ok((body.freeze(), trailers)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => body.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok().map(Box::new),
            },
            Some(Err(UploadError::Client(_) | UploadError::Content(_))) => {
                return Err(Failure::malformed_body());
            }
            Some(Err(UploadError::TooLarge { limit })) => {
                return Err(Failure::body_too_large(limit));
            }
        }
    }
}
