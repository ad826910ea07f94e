//! Batches and transactions: `POST /` with a Bundle.

use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::{
    super::{clock, form, random},
    Fhir,
    interaction::{Interaction, Reply},
    outcome::Problem,
    search,
};

/// Entries accepted in one bundle.
const MAX_ENTRIES: usize = 500;

/// Header fields that an entry's request may carry.
const CONDITIONS: [(&str, HeaderName); 3] = [
    ("ifMatch", http::header::IF_MATCH),
    ("ifNoneMatch", http::header::IF_NONE_MATCH),
    ("ifNoneExist", HeaderName::from_static("if-none-exist")),
];

impl Fhir {
    /// Processes a bundle. A batch reports failures entry by entry, a transaction undoes all.
    pub(super) fn bundle(&self, bundle: Value, base: &str) -> Result<Reply, Problem> {
        let kind = bundle["type"].as_str().unwrap_or_default().to_owned();
        if bundle["resourceType"] != "Bundle" || !matches!(&*kind, "batch" | "transaction") {
            return Err(Problem::invalid(
                "Only bundles of type batch or transaction can be posted to the root.",
            ));
        }
        let mut bundle = bundle;
        let entries = match bundle["entry"].take() {
            Value::Array(entries) => entries,
            _ => Vec::new(),
        };
        if entries.len() > MAX_ENTRIES {
            return Err(Problem::invalid(format!(
                "The number of entries in the bundle exceeded the configured limit of \
                 {MAX_ENTRIES}."
            )));
        }
        let transaction = kind == "transaction";
        let entries = if transaction {
            with_references(entries)
        } else {
            entries
        };
        let before = transaction.then(|| self.store().clone());

        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            let request = entry["request"].clone();
            match self.entry(entry, base) {
                Ok(reply) => answers.push(answer(reply)),
                Err(problem) => {
                    if let Some(before) = before {
                        *self.store() = before;
                        let text = |name: &str| request[name].as_str().unwrap_or_default();
                        return Err(problem.transaction_failed(text("method"), text("url")));
                    }
                    answers.push(json!({"response": {
                        "status": problem.status.as_str(),
                        "outcome": problem.outcome(),
                    }}));
                }
            }
        }
        Ok(Reply::ok(search::bundle(
            &format!("{kind}-response"),
            Vec::new(),
            None,
            Some(answers),
        )))
    }

    fn entry(&self, mut entry: Value, base: &str) -> Result<Reply, Problem> {
        let request = entry["request"].take();
        let method = request["method"]
            .as_str()
            .and_then(|method| method.parse::<Method>().ok())
            .ok_or_else(|| Problem::invalid("An entry has no request.method."))?;
        let url = request["url"].as_str().unwrap_or_default();
        // Absolute URLs of this very service are as good as relative ones.
        let url = url
            .strip_prefix(base)
            .unwrap_or(url)
            .trim_start_matches('/');
        let (path, raw_query) = url.split_once('?').unwrap_or((url, ""));
        let headers = CONDITIONS
            .into_iter()
            .filter_map(|(field, name)| {
                let value = HeaderValue::from_str(request[field].as_str()?).ok()?;
                Some((name, value))
            })
            .collect();
        let resource = match entry["resource"].take() {
            Value::Null => None,
            resource => Some(resource),
        };
        if path.is_empty() || path.contains("://") {
            return Err(Problem::invalid(format!("Invalid request.url '{url}'.")));
        }
        self.one(&Interaction {
            method,
            path: path.trim_end_matches('/'),
            query: form::parse(raw_query),
            raw_query,
            headers,
            resource,
            base,
        })
    }
}

fn answer(reply: Reply) -> Value {
    let mut response = json!({"status": status(reply.status)});
    if let Some(location) = reply.location {
        response["location"] = location.into();
    }
    if let Some((version, at)) = reply.version {
        response["etag"] = format!("W/\"{version}\"").into();
        response["lastModified"] = clock::instant(at).into();
    }
    let mut entry = json!({});
    if let Some(resource) = reply.resource {
        entry["resource"] = resource;
    }
    entry["response"] = response;
    entry
}

/// The service writes the bare number, but for 204.
fn status(status: StatusCode) -> String {
    status.as_str().to_owned()
}

/// Gives every POST of a transaction its id beforehand, and turns `urn:uuid:` references to it
/// into relative ones. The entry becomes a PUT in effect, but its response is still 201.
fn with_references(mut entries: Vec<Value>) -> Vec<Value> {
    let mut known = Vec::new();
    for entry in &mut entries {
        let kind = entry["resource"]["resourceType"].as_str();
        let (Some(kind), Some(full_url)) = (kind, entry["fullUrl"].as_str()) else {
            continue;
        };
        if entry["request"]["method"] == "POST"
            && entry["request"].get("ifNoneExist").is_none()
            && full_url.starts_with("urn:uuid:")
        {
            let reference = format!("{kind}/{}", random::guid());
            known.push((full_url.to_owned(), reference.clone()));
            let id = reference.rsplit('/').next().unwrap_or_default().to_owned();
            entry["resource"]["id"] = id.into();
            entry["request"]["method"] = "PUT".into();
            entry["request"]["url"] = reference.into();
        }
    }
    for entry in &mut entries {
        resolve(&mut entry["resource"], &known);
    }
    entries
}

fn resolve(value: &mut Value, known: &[(String, String)]) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                let target = (name == "reference")
                    .then(|| known.iter().find(|(urn, _)| *value == **urn))
                    .flatten();
                match target {
                    Some((_, reference)) => *value = reference.as_str().into(),
                    None => resolve(value, known),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| resolve(item, known)),
        _ => {}
    }
}
