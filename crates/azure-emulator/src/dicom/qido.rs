//! QIDO-RS: searches at the levels of study, series and instance.

use std::{collections::BTreeSet, sync::Arc};

use http::{Response, StatusCode};
use serde_json::{Map, Value as Json};

use super::{
    super::{
        body::{self, Body},
        form,
    },
    Call, DICOM_JSON, dictionary,
    json::{first_text, key, of},
    store::{Instance, Selection, Store},
};

const MODALITY: u32 = 0x0008_0060;
const MODALITIES_IN_STUDY: u32 = 0x0008_0061;
const SERIES_IN_STUDY: u32 = 0x0020_1206;
const INSTANCES_IN_STUDY: u32 = 0x0020_1208;
const INSTANCES_IN_SERIES: u32 = 0x0020_1209;

const STUDY_TAGS: [u32; 10] = [
    0x0008_0005,
    0x0008_0020,
    0x0008_0030,
    0x0008_0050,
    0x0008_0090,
    0x0008_1030,
    0x0010_0010,
    0x0010_0020,
    0x0010_0030,
    dictionary::STUDY,
];
const SERIES_TAGS: [u32; 6] = [
    0x0008_0005,
    MODALITY,
    0x0008_103e,
    dictionary::STUDY,
    dictionary::SERIES,
    0x0020_0011,
];
const INSTANCE_TAGS: [u32; 9] = [
    0x0008_0005,
    dictionary::SOP_CLASS,
    dictionary::SOP_INSTANCE,
    dictionary::STUDY,
    dictionary::SERIES,
    0x0020_0013,
    dictionary::ROWS,
    dictionary::COLUMNS,
    dictionary::BITS_ALLOCATED,
];

/// Parameters that select nothing.
const CONTROL: [&str; 4] = ["limit", "offset", "includefield", "fuzzymatching"];

/// Searches inside a selection; the level is that of the path's last noun.
pub(super) fn search(
    store: &Store,
    call: &Call<'_>,
    within: &Selection<'_>,
    level: &str,
) -> Response<Body> {
    let limit = form::number(&call.query, "limit").unwrap_or(100);
    let offset = form::number(&call.query, "offset").unwrap_or(0);
    if !(1..=200).contains(&limit) {
        return body::text(
            StatusCode::BAD_REQUEST,
            "The limit must be between 1 and 200.",
        );
    }
    let mut filters = Vec::new();
    for (name, value) in &call.query {
        if CONTROL.contains(&name.as_str()) {
            continue;
        }
        match dictionary::tag(name) {
            Some(tag) => filters.push((tag, value)),
            None => {
                return body::text(
                    StatusCode::BAD_REQUEST,
                    format!("The query parameter '{name}' is not supported."),
                );
            }
        }
    }

    // One instance stands for the study or series it was the first of.
    let mut seen = BTreeSet::new();
    let results: Vec<Json> = store
        .select(within)
        .filter(|instance| {
            filters
                .iter()
                .all(|(tag, value)| matches(instance, *tag, value))
        })
        .filter(|instance| match level {
            "studies" => seen.insert((&instance.study, None)),
            "series" => seen.insert((&instance.study, Some(&instance.series))),
            _ => true,
        })
        .skip(offset)
        .take(limit)
        .map(|instance| result(store, call, instance, within, level).into())
        .collect();
    if results.is_empty() {
        return body::empty(StatusCode::NO_CONTENT);
    }
    body::full(StatusCode::OK, DICOM_JSON, Json::from(results).to_string())
}

fn matches(instance: &Arc<Instance>, tag: u32, wanted: &str) -> bool {
    let tag = if tag == MODALITIES_IN_STUDY {
        MODALITY
    } else {
        tag
    };
    let value = first_text(&instance.attributes, tag).unwrap_or_default();
    match wanted.split_once('-') {
        // A range of dates or times.
        Some((from, to)) if matches!(&dictionary::vr(tag), b"DA" | b"TM") => {
            (from.is_empty() || value.as_str() >= from) && (to.is_empty() || value.as_str() <= to)
        }
        _ => value == wanted,
    }
}

fn result(
    store: &Store,
    call: &Call<'_>,
    instance: &Instance,
    within: &Selection<'_>,
    level: &str,
) -> Map<String, Json> {
    // Attributes that the path names are not repeated, as at the real service.
    let mut tags: BTreeSet<u32> = match level {
        "studies" => STUDY_TAGS.into(),
        "series" => SERIES_TAGS.into(),
        _ => INSTANCE_TAGS.into(),
    };
    if within.study.is_none() {
        tags.extend(STUDY_TAGS);
        if level == "instances" {
            tags.extend(SERIES_TAGS);
        }
    }
    let fields = call.query.iter().filter(|(name, _)| name == "includefield");
    let fields: Vec<&str> = fields.flat_map(|(_, value)| value.split(',')).collect();
    tags.extend(fields.iter().filter_map(|name| dictionary::tag(name)));

    let all = fields.contains(&"all");
    let mut found: Map<String, Json> = instance
        .attributes
        .iter()
        .filter(|(name, _)| {
            all || u32::from_str_radix(name, 16).is_ok_and(|tag| tags.contains(&tag))
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();

    let study = Selection::of(&[&instance.study]);
    let series = Selection::of(&[&instance.study, &instance.series]);
    match level {
        "studies" => {
            let modalities: BTreeSet<_> = store
                .select(&study)
                .filter_map(|other| first_text(&other.attributes, MODALITY))
                .collect();
            let count: BTreeSet<_> = store.select(&study).map(|other| &other.series).collect();
            found.insert(
                key(MODALITIES_IN_STUDY),
                serde_json::json!({"vr": "CS", "Value": modalities}),
            );
            found.insert(key(SERIES_IN_STUDY), of("IS", count.len()));
            found.insert(
                key(INSTANCES_IN_STUDY),
                of("IS", store.select(&study).count()),
            );
        }
        "series" => {
            found.insert(
                key(INSTANCES_IN_SERIES),
                of("IS", store.select(&series).count()),
            );
        }
        _ => {}
    }
    found
}
