//! Resources and their versions, in memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{super::clock, outcome::Problem};

/// All resources. A clone is cheap enough to roll a transaction back.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    types: BTreeMap<String, Table>,
    /// Grows by one with every resource, so that pages have an order.
    sequence: u64,
}

#[derive(Debug, Clone, Default)]
struct Table {
    by_id: HashMap<String, u64>,
    by_sequence: BTreeMap<u64, Arc<Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    id: String,
    versions: Vec<Version>,
}

#[derive(Debug, Clone)]
struct Version {
    /// `None` marks a deletion.
    resource: Option<Arc<Value>>,
    at: Timestamp,
}

/// One version of a resource.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) version: u64,
    pub(super) at: Timestamp,
    pub(super) resource: Value,
}

/// One version of a resource, as the history shows it.
pub(super) struct Past {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) version: u64,
    pub(super) at: Timestamp,
    pub(super) resource: Option<Arc<Value>>,
}

impl Store {
    /// Stores a version. Returns whether the resource is new, or new again after a delete, and the
    /// stored resource.
    pub(super) fn put(&mut self, kind: &str, id: &str, resource: Value) -> (bool, Found) {
        self.sequence += 1;
        let at = Timestamp::now();
        let table = self.types.entry(kind.to_owned()).or_default();
        let sequence = *table.by_id.entry(id.to_owned()).or_insert(self.sequence);
        let entry = table.by_sequence.entry(sequence).or_insert_with(|| {
            Arc::new(Entry {
                id: id.to_owned(),
                versions: Vec::new(),
            })
        });
        let entry = Arc::make_mut(entry);
        let created = entry
            .versions
            .last()
            .is_none_or(|version| version.resource.is_none());
        let version = entry.versions.len() as u64 + 1;
        let resource = stamped(resource, kind, id, version, at);
        entry.versions.push(Version {
            resource: Some(Arc::new(resource.clone())),
            at,
        });
        let found = Found {
            kind: kind.to_owned(),
            id: id.to_owned(),
            version,
            at,
            resource,
        };
        (created, found)
    }

    /// Deletes a resource. Returns the number of the version that marks the deletion.
    pub(super) fn delete(&mut self, kind: &str, id: &str) -> Option<u64> {
        let table = self.types.get_mut(kind)?;
        let entry = table.by_sequence.get_mut(table.by_id.get(id)?)?;
        let entry = Arc::make_mut(entry);
        if entry.versions.last()?.resource.is_some() {
            entry.versions.push(Version {
                resource: None,
                at: Timestamp::now(),
            });
        }
        Some(entry.versions.len() as u64)
    }

    pub(super) fn read(&self, kind: &str, id: &str) -> Result<Found, Problem> {
        let entry = self.entry(kind, id)?;
        entry
            .found(kind, entry.versions.len())
            .ok_or_else(|| Problem::gone(kind, id))
    }

    pub(super) fn read_version(
        &self,
        kind: &str,
        id: &str,
        version: &str,
    ) -> Result<Found, Problem> {
        let entry = self.entry(kind, id)?;
        let number = version
            .parse::<usize>()
            .ok()
            .filter(|&number| (1..=entry.versions.len()).contains(&number))
            .ok_or_else(|| Problem::unknown_version(kind, id, version))?;
        entry
            .found(kind, number)
            .ok_or_else(|| Problem::gone(kind, id))
    }

    fn entry(&self, kind: &str, id: &str) -> Result<&Entry, Problem> {
        self.types
            .get(kind)
            .and_then(|table| table.by_sequence.get(table.by_id.get(id)?))
            .map(AsRef::as_ref)
            .ok_or_else(|| Problem::unknown_resource(kind, id))
    }

    /// The current resources of a type with their places in the order; an empty type means all.
    pub(super) fn all(&self, kind: &str) -> impl Iterator<Item = (u64, Found)> {
        self.types
            .iter()
            .filter(move |(name, _)| kind.is_empty() || *name == kind)
            .flat_map(|(name, table)| {
                table
                    .by_sequence
                    .iter()
                    .filter_map(move |(sequence, entry)| {
                        Some((*sequence, entry.found(name, entry.versions.len())?))
                    })
            })
    }

    /// Versions, the newest first.
    pub(super) fn history(&self, kind: Option<&str>, id: Option<&str>) -> Vec<Past> {
        let mut history: Vec<_> = self
            .types
            .iter()
            .filter(|(name, _)| kind.is_none_or(|kind| kind == *name))
            .flat_map(|(name, table)| {
                table
                    .by_sequence
                    .values()
                    .filter(|entry| id.is_none_or(|id| id == entry.id))
                    .flat_map(move |entry| {
                        (1..)
                            .zip(&entry.versions)
                            .map(move |(number, version)| Past {
                                kind: name.clone(),
                                id: entry.id.clone(),
                                version: number,
                                at: version.at,
                                resource: version.resource.clone(),
                            })
                    })
            })
            .collect();
        history.sort_by(|a, b| b.at.cmp(&a.at).then(b.version.cmp(&a.version)));
        history
    }
}

impl Entry {
    /// A version by its number, unless it is a deletion.
    fn found(&self, kind: &str, number: usize) -> Option<Found> {
        let version = self.versions.get(number - 1)?;
        Some(Found {
            kind: kind.to_owned(),
            id: self.id.clone(),
            version: number as u64,
            at: version.at,
            resource: version.resource.as_deref()?.clone(),
        })
    }
}

/// The resource with the server's id and meta, in the order the service writes them.
fn stamped(resource: Value, kind: &str, id: &str, version: u64, at: Timestamp) -> Value {
    let Value::Object(fields) = resource else {
        return resource;
    };
    let mut meta = match fields.get("meta") {
        Some(Value::Object(meta)) => meta.clone(),
        _ => Map::new(),
    };
    meta.insert("versionId".to_owned(), version.to_string().into());
    meta.insert("lastUpdated".to_owned(), clock::instant(at).into());

    let mut stamped = Map::new();
    stamped.insert("resourceType".to_owned(), kind.into());
    stamped.insert("id".to_owned(), id.into());
    stamped.insert("meta".to_owned(), Value::Object(meta));
    for (name, value) in fields {
        if !stamped.contains_key(&name) {
            stamped.insert(name, value);
        }
    }
    Value::Object(stamped)
}
