//! WADO-RS: files, metadata and frames.

use aws_lc_rs::digest::{SHA256, digest};
use http::{Response, StatusCode, header};
use serde_json::Value as Json;

use super::{
    super::{
        body::{self, Body},
        random,
    },
    Call, DICOM, DICOM_JSON, multipart, not_found,
    store::{Selection, Store},
};

const OCTET_STREAM: &str = "application/octet-stream";

/// The formats of a response.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Single,
    Multipart,
}

/// The files of a study or series, or one file.
pub(super) fn retrieve(
    store: &Store,
    call: &Call<'_>,
    selection: &Selection<'_>,
) -> Response<Body> {
    let Some(shape) = accepted(call.header(&header::ACCEPT), DICOM) else {
        return not_acceptable();
    };
    let parts: Vec<_> = store
        .select(selection)
        .map(|instance| multipart::Part {
            content_type: format!("{DICOM}; transfer-syntax={}", instance.transfer_syntax),
            content: instance.file.clone(),
        })
        .collect();
    match (parts.as_slice(), shape) {
        ([], _) => not_found(),
        // Only an instance can come without the parts.
        (_, Shape::Single) if selection.instance.is_none() => not_acceptable(),
        ([file], Shape::Single) => body::full(StatusCode::OK, DICOM, file.content.clone()),
        (parts, _) => in_parts(parts),
    }
}

/// The attributes of every instance, cacheable by their tag.
pub(super) fn metadata(
    store: &Store,
    call: &Call<'_>,
    selection: &Selection<'_>,
) -> Response<Body> {
    let instances: Vec<Json> = store
        .select(selection)
        .map(|instance| instance.attributes.clone().into())
        .collect();
    if instances.is_empty() {
        return not_found();
    }
    let content = Json::from(instances).to_string();
    let etag = random::to_hex(&digest(&SHA256, content.as_bytes()).as_ref()[..16]);
    let etag = format!("\"{etag}\"");
    let mut response = if call.header(&header::IF_NONE_MATCH) == etag {
        body::empty(StatusCode::NOT_MODIFIED)
    } else {
        body::full(StatusCode::OK, DICOM_JSON, content)
    };
    body::set(&mut response, header::ETAG, &etag);
    response
}

/// Frames by their numbers, counted from one.
pub(super) fn frames(
    store: &Store,
    call: &Call<'_>,
    selection: &Selection<'_>,
    numbers: &str,
) -> Response<Body> {
    let Some(shape) = accepted(call.header(&header::ACCEPT), OCTET_STREAM) else {
        return not_acceptable();
    };
    let Some(instance) = selection
        .instance
        .and_then(|_| store.select(selection).next())
    else {
        return not_found();
    };
    let mut parts = Vec::new();
    for number in numbers.split(',') {
        let Ok(number) = number.trim().parse() else {
            return body::text(
                StatusCode::BAD_REQUEST,
                "The specified frames value is not valid.",
            );
        };
        let Some(frame) = instance.frame(number) else {
            return body::text(
                StatusCode::NOT_FOUND,
                "The specified frame cannot be found.",
            );
        };
        parts.push(multipart::Part {
            content_type: format!(
                "{OCTET_STREAM}; transfer-syntax={}",
                instance.transfer_syntax
            ),
            content: frame,
        });
    }
    match (parts.as_slice(), shape) {
        ([frame], Shape::Single) => body::full(StatusCode::OK, OCTET_STREAM, frame.content.clone()),
        (_, Shape::Single) => not_acceptable(),
        (parts, Shape::Multipart) => in_parts(parts),
    }
}

/// The first shape that the client accepts and the service has for a media type.
fn accepted(accept: &str, media_type: &str) -> Option<Shape> {
    if accept.is_empty() {
        return Some(Shape::Multipart);
    }
    accept.split(',').find_map(|option| {
        let mut parts = option.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let inner = parts
            .find_map(|parameter| parameter.strip_prefix("type="))
            .map(|value| value.trim_matches('"'));
        match kind {
            "*/*" | "multipart/*" => Some(Shape::Multipart),
            "multipart/related" if inner.is_none_or(|inner| inner == media_type) => {
                Some(Shape::Multipart)
            }
            kind if kind == media_type => Some(Shape::Single),
            _ => None,
        }
    })
}

fn in_parts(parts: &[multipart::Part]) -> Response<Body> {
    let (content_type, content) = multipart::write(parts);
    body::full(StatusCode::OK, &content_type, content)
}

fn not_acceptable() -> Response<Body> {
    body::text(
        StatusCode::NOT_ACCEPTABLE,
        "The specified Accept header is not supported.",
    )
}
