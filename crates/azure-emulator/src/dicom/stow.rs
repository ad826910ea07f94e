//! STOW-RS: uploads, single or multipart, and the response with the result of each.

use http::{Method, Response, StatusCode, header};
use serde_json::{Map, Value as Json, json};

use super::{
    super::body::{self, Body},
    Call, DICOM, DICOM_JSON,
    json::{key, of},
    multipart,
    store::{Instance, Refusal, Store},
};

const RETRIEVE_URL: u32 = 0x0008_1190;
const REFERENCED_CLASS: u32 = 0x0008_1150;
const REFERENCED_INSTANCE: u32 = 0x0008_1155;
const FAILURE_REASON: u32 = 0x0008_1197;
const FAILED: u32 = 0x0008_1198;
const REFERENCED: u32 = 0x0008_1199;

/// Failure reasons as the service's conformance statement numbers them.
const PROCESSING_FAILURE: u16 = 272;
const VALIDATION_FAILURE: u16 = 43264;
const STUDY_MISMATCH: u16 = 43265;
const ALREADY_EXISTS: u16 = 45070;

/// Stores the files of an upload, into one study if the path names one. PUT replaces.
pub(super) fn store(store: &mut Store, call: &Call<'_>, study: Option<&str>) -> Response<Body> {
    let content_type = call.header(&header::CONTENT_TYPE);
    let files = if let Some(boundary) = multipart::boundary(content_type) {
        match multipart::parse(boundary, &call.content) {
            Some(parts) => parts,
            None => {
                return body::text(
                    StatusCode::BAD_REQUEST,
                    "The multipart request is not well-formed.",
                );
            }
        }
    } else if content_type.split(';').next().map(str::trim) == Some(DICOM) {
        vec![multipart::Part {
            content_type: DICOM.to_owned(),
            content: call.content.clone(),
        }]
    } else {
        return body::text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("The specified content type '{content_type}' is not supported."),
        );
    };
    if files.iter().all(|file| file.content.is_empty()) {
        return body::empty(StatusCode::NO_CONTENT);
    }

    let replace = call.method == Method::PUT;
    let mut stored = Vec::new();
    let mut failed = Vec::new();
    for file in files {
        match Instance::parse(file.content) {
            Err(refusal) => failed.push(failure(None, reason(&refusal))),
            Ok(instance) if study.is_some_and(|study| study != instance.study) => {
                failed.push(failure(Some(&instance), STUDY_MISMATCH));
            }
            Ok(instance) if !replace && store.contains(&instance) => {
                failed.push(failure(Some(&instance), ALREADY_EXISTS));
            }
            Ok(instance) => {
                stored.push(success(call.base, &instance));
                store.add(instance);
            }
        }
    }

    let status = match (stored.is_empty(), failed.is_empty()) {
        (_, true) => StatusCode::OK,
        (false, false) => StatusCode::ACCEPTED,
        (true, false) => StatusCode::CONFLICT,
    };
    let mut answer = Map::new();
    if let Some(study) = study.filter(|_| !stored.is_empty()) {
        let url = format!("{}/studies/{study}", call.base);
        answer.insert(key(RETRIEVE_URL), of("UR", url));
    }
    for (tag, items) in [(FAILED, failed), (REFERENCED, stored)] {
        if !items.is_empty() {
            answer.insert(key(tag), json!({"vr": "SQ", "Value": items}));
        }
    }
    body::full(status, DICOM_JSON, Json::Object(answer).to_string())
}

fn reason(refusal: &Refusal) -> u16 {
    match refusal {
        Refusal::Parse(_) => PROCESSING_FAILURE,
        Refusal::Missing(_) => VALIDATION_FAILURE,
    }
}

fn success(base: &str, instance: &Instance) -> Json {
    let url = format!(
        "{base}/studies/{}/series/{}/instances/{}",
        instance.study, instance.series, instance.sop
    );
    let mut item = reference(instance);
    item.insert(key(RETRIEVE_URL), of("UR", url));
    item.into()
}

fn failure(instance: Option<&Instance>, reason: u16) -> Json {
    let mut item = instance.map(reference).unwrap_or_default();
    item.insert(key(FAILURE_REASON), of("US", reason));
    item.into()
}

fn reference(instance: &Instance) -> Map<String, Json> {
    Map::from_iter([
        (key(REFERENCED_CLASS), of("UI", instance.class.as_str())),
        (key(REFERENCED_INSTANCE), of("UI", instance.sop.as_str())),
    ])
}
