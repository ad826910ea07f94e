//! A request's body whose links are changed, with the length that the upstream is told.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::BodyExt as _;

use super::{
    alarm::Alarms,
    body::UploadBody,
    client_body::{ClientBody, UploadError},
    exchange::Exchange,
    failure::Failure,
    kept,
    links::{self, Scan},
    rewritten::Rewriter,
    unpacked::{self, Finding},
};

/// A small body is read first, so that it goes with a length and, if nothing in it changes, as it
/// came, compressed or not. Of a larger one, or one without a length, the new length is known at its
/// end only: it goes without, and is not compressed.
pub(super) async fn rewrite(
    mut client: ClientBody,
    scan: &Scan,
    headers: &mut HeaderMap,
    exchange: &Exchange,
    alarms: &Alarms,
) -> Result<UploadBody, Failure> {
    let length = client.size_hint().exact();
    if length.is_none_or(|length| length > kept::LIMIT as u64) {
        links::mark_request(headers);
        return Ok(UploadBody::rewritten(client, scan));
    }
    let (body, mut trailers) = read(&mut client, exchange, alarms).await?;
    let rewriter = scan.rewriter();
    let finding = match scan.coding {
        None => rewritten(&body, rewriter),
        Some(coding) => {
            unpacked::look_through(body.clone(), coding, rewriter, client.limit()).await?
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
            return Ok(UploadBody::rewritten(client, scan));
        }
    };
    exchange.keep(Some(&rewritten));
    if trailers.is_some() {
        exchange.keep(None);
    }
    exchange.set_sent();
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
    exchange: &Exchange,
    alarms: &Alarms,
) -> Result<(Bytes, Option<Box<HeaderMap>>), Failure> {
    let mut body = BytesMut::new();
    let mut trailers = None;
    loop {
        let frame = exchange.while_moving(alarms, client.frame()).await;
        let frame = frame.map_err(|late| Failure::late(late, exchange.timeouts()))?;
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
