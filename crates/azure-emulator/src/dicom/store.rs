//! Instances in memory, and the feed of their changes.

use std::{ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::{
    super::{
        body::{self, Body},
        clock, form,
    },
    Call,
    dataset::{self, Dataset, ParseError, Value},
    dictionary, json,
};

/// One stored file, and the attributes that were read from it.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) study: String,
    pub(super) series: String,
    pub(super) sop: String,
    pub(super) class: String,
    pub(super) transfer_syntax: String,
    pub(super) attributes: Map<String, Json>,
    pub(super) file: Bytes,
    frames: Vec<Vec<Range<usize>>>,
}

/// Why a file is refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error("the attribute {0} is missing")]
    Missing(String),
}

impl Instance {
    pub(super) fn parse(file: Bytes) -> Result<Self, Refusal> {
        let dataset = dataset::parse(&file)?;
        let uid = |tag: u32| {
            dataset::text(&file, &dataset, tag)
                .filter(|uid| !uid.is_empty())
                .ok_or_else(|| Refusal::Missing(json::key(tag)))
        };
        Ok(Self {
            study: uid(dictionary::STUDY)?,
            series: uid(dictionary::SERIES)?,
            sop: uid(dictionary::SOP_INSTANCE)?,
            class: uid(dictionary::SOP_CLASS)?,
            transfer_syntax: uid(dictionary::TRANSFER_SYNTAX)?,
            attributes: json::from_dataset(&file, &dataset),
            frames: frames(&file, &dataset),
            file,
        })
    }

    /// The bytes of a frame, counted from one.
    pub(super) fn frame(&self, number: usize) -> Option<Bytes> {
        match self.frames.get(number.checked_sub(1)?)?.as_slice() {
            [one] => Some(self.file.slice(one.clone())),
            fragments => {
                let mut frame = BytesMut::new();
                for fragment in fragments {
                    frame.extend_from_slice(&self.file[fragment.clone()]);
                }
                Some(frame.freeze())
            }
        }
    }

    fn is(&self, other: &Self) -> bool {
        (&self.study, &self.series, &self.sop) == (&other.study, &other.series, &other.sop)
    }
}

/// Where the frames of the pixel data are.
fn frames(file: &[u8], dataset: &Dataset) -> Vec<Vec<Range<usize>>> {
    let number = |tag| dataset::number(file, dataset, tag);
    let count = number(dictionary::NUMBER_OF_FRAMES).unwrap_or(1).max(1);
    match dataset
        .get(&dictionary::PIXEL_DATA)
        .map(|pixels| &pixels.value)
    {
        Some(Value::Plain(range)) => {
            let bits = number(dictionary::ROWS).unwrap_or(0)
                * number(dictionary::COLUMNS).unwrap_or(0)
                * number(dictionary::SAMPLES_PER_PIXEL).unwrap_or(1)
                * number(dictionary::BITS_ALLOCATED).unwrap_or(8);
            let size = bits / 8;
            // A count that the pixels do not bear out must not make frames of nothing.
            let fitting = range.len().checked_div(size).unwrap_or(0).min(count);
            (0..fitting)
                .map(|frame| {
                    let start = range.start + frame * size;
                    std::iter::once(start..start + size).collect()
                })
                .collect()
        }
        // The first fragment is the offset table.
        Some(Value::Fragments(fragments)) if fragments.len() == count + 1 => fragments[1..]
            .iter()
            .map(|fragment| std::iter::once(fragment.clone()).collect())
            .collect(),
        Some(Value::Fragments(fragments)) if count == 1 => {
            vec![fragments.iter().skip(1).cloned().collect()]
        }
        _ => Vec::new(),
    }
}

/// A study, a series, an instance, or everything.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Selection<'a> {
    pub(super) study: Option<&'a str>,
    series: Option<&'a str>,
    pub(super) instance: Option<&'a str>,
}

impl<'a> Selection<'a> {
    /// Study, series, instance, as far as given.
    pub(super) fn of(uids: &[&'a str]) -> Self {
        Self {
            study: uids.first().copied(),
            series: uids.get(1).copied(),
            instance: uids.get(2).copied(),
        }
    }

    /// Reads `studies/…[/series/…[/instances/…]]` and returns the rest of the path.
    pub(super) fn in_path<'p>(path: &'p [&'a str]) -> Option<(Self, &'p [&'a str])> {
        match path {
            [
                "studies",
                study,
                "series",
                series,
                "instances",
                instance,
                view @ ..,
            ] => Some((Self::of(&[study, series, instance]), view)),
            ["studies", study, "series", series, view @ ..] => {
                Some((Self::of(&[study, series]), view))
            }
            ["studies", study, view @ ..] => Some((Self::of(&[study]), view)),
            _ => None,
        }
    }

    fn holds(&self, instance: &Instance) -> bool {
        self.study.is_none_or(|uid| uid == instance.study)
            && self.series.is_none_or(|uid| uid == instance.series)
            && self.instance.is_none_or(|uid| uid == instance.sop)
    }
}

#[derive(Debug)]
struct Change {
    created: bool,
    at: Timestamp,
    instance: Arc<Instance>,
}

/// All instances in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct Store {
    instances: Vec<Arc<Instance>>,
    changes: Vec<Change>,
}

impl Store {
    pub(super) fn select<'s>(
        &'s self,
        selection: &'s Selection<'_>,
    ) -> impl Iterator<Item = &'s Arc<Instance>> {
        self.instances
            .iter()
            .filter(|instance| selection.holds(instance))
    }

    pub(super) fn contains(&self, instance: &Instance) -> bool {
        self.instances.iter().any(|known| known.is(instance))
    }

    /// Adds an instance; one of the same UIDs is replaced.
    pub(super) fn add(&mut self, instance: Instance) {
        let instance = Arc::new(instance);
        self.instances.retain(|known| !known.is(&instance));
        self.instances.push(Arc::clone(&instance));
        self.changes.push(Change {
            created: true,
            at: Timestamp::now(),
            instance,
        });
    }

    /// Returns whether there was anything to delete.
    pub(super) fn delete(&mut self, selection: &Selection<'_>) -> bool {
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.instances)
            .into_iter()
            .partition(|instance| selection.holds(instance));
        self.instances = kept;
        let any = !gone.is_empty();
        self.changes.extend(gone.into_iter().map(|instance| Change {
            created: false,
            at: Timestamp::now(),
            instance,
        }));
        any
    }

    pub(super) fn change_feed(&self, call: &Call<'_>) -> Response<Body> {
        let (default, most) = if call.version == 1 {
            (10, 100)
        } else {
            (100, 200)
        };
        let limit = form::number(&call.query, "limit").unwrap_or(default);
        if !(1..=most).contains(&limit) {
            return body::text(
                StatusCode::BAD_REQUEST,
                format!("The limit must be between 1 and {most}."),
            );
        }
        let offset = form::number(&call.query, "offset").unwrap_or(0);
        let time = |name| form::number::<Timestamp>(&call.query, name);
        let (from, to) = (time("startTime"), time("endTime"));
        let changes: Vec<Json> = self
            .changes
            .iter()
            .enumerate()
            .filter(|(_, change)| {
                from.is_none_or(|from| change.at >= from) && to.is_none_or(|to| change.at < to)
            })
            .skip(offset)
            .take(limit)
            .map(|(index, _)| self.change(index, with_metadata(call)))
            .collect();
        body::json(StatusCode::OK, &changes.into())
    }

    pub(super) fn latest_change(&self, call: &Call<'_>) -> Response<Body> {
        match self.changes.len().checked_sub(1) {
            Some(index) => {
                let change = self.change(index, with_metadata(call));
                body::json(StatusCode::OK, &change)
            }
            None => body::empty(StatusCode::NO_CONTENT),
        }
    }

    fn change(&self, index: usize, with_metadata: bool) -> Json {
        let change = &self.changes[index];
        let instance = &change.instance;
        let current = self
            .instances
            .iter()
            .any(|known| Arc::ptr_eq(known, instance));
        let state = if current {
            "current"
        } else if self.contains(instance) {
            "replaced"
        } else {
            "deleted"
        };
        let mut entry = json!({
            "sequence": index + 1,
            "studyInstanceUid": instance.study,
            "seriesInstanceUid": instance.series,
            "sopInstanceUid": instance.sop,
            "action": if change.created { "create" } else { "delete" },
            "timestamp": clock::instant(change.at),
            "state": state,
        });
        if with_metadata && current {
            entry["metadata"] = Json::Object(instance.attributes.clone());
        }
        entry
    }
}

/// Both spellings are in use; the documentation has the one with a capital M.
fn with_metadata(call: &Call<'_>) -> bool {
    call.query
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("includeMetadata"))
        .is_none_or(|(_, value)| !value.eq_ignore_ascii_case("false"))
}
