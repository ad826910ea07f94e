//! Bulk export, which is asynchronous: kick-off, polls, manifest.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use http::{HeaderMap, HeaderName, Method, Response, StatusCode, header, request};
use serde_json::json;

use super::{
    super::{
        body::{self, Body},
        clock, random,
    },
    outcome::Problem,
};

/// The exports that run.
#[derive(Debug, Default)]
pub(super) struct Exports(Mutex<HashMap<String, Export>>);

#[derive(Debug)]
struct Export {
    /// The URL that started it.
    request: String,
    polls_left: u32,
    started: jiff::Timestamp,
}

impl Exports {
    pub(super) fn answer(
        &self,
        head: &request::Parts,
        base: &str,
        path: &str,
        polls: u32,
    ) -> Result<Response<Body>, Problem> {
        let mut exports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(id) = path.strip_prefix("_operations/export/") else {
            if head.method != Method::GET {
                return Err(Problem::not_allowed());
            }
            if !prefers_async(&head.headers) {
                return Err(Problem::invalid(
                    "The requested \"Prefer\" header is not supported. Only \"respond-async\" is.",
                ));
            }
            let id = random::guid();
            let mut response = body::empty(StatusCode::ACCEPTED);
            body::set(
                &mut response,
                header::CONTENT_LOCATION,
                &format!("{base}/_operations/export/{id}"),
            );
            let target = head
                .uri
                .path_and_query()
                .map_or_else(String::new, ToString::to_string);
            exports.insert(
                id,
                Export {
                    request: format!("{base}{target}"),
                    polls_left: polls,
                    started: jiff::Timestamp::now(),
                },
            );
            return Ok(response);
        };
        let export = exports.get_mut(id).ok_or_else(Problem::unknown_route)?;
        if head.method == Method::DELETE {
            exports.remove(id);
            return Ok(body::empty(StatusCode::ACCEPTED));
        }
        if export.polls_left > 0 {
            export.polls_left -= 1;
            let mut response = body::empty(StatusCode::ACCEPTED);
            body::set(
                &mut response,
                HeaderName::from_static("x-progress"),
                "Running",
            );
            return Ok(response);
        }
        let file = |kind: &str| {
            json!({
                "type": kind,
                "url": format!(
                    "https://demostorage.blob.core.windows.net/export/{id}/{kind}-1-1.ndjson"
                ),
                "count": 25,
            })
        };
        Ok(body::json(
            StatusCode::OK,
            &json!({
                "transactionTime": clock::instant(export.started),
                "request": export.request,
                "requiresAccessToken": false,
                "output": [file("Patient"), file("Observation")],
                "error": [],
                "issues": [],
            }),
        ))
    }
}

/// `Prefer` is a list (RFC 7240).
fn prefers_async(headers: &HeaderMap) -> bool {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|preference| preference.trim().eq_ignore_ascii_case("respond-async"))
}
