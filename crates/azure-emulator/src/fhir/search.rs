//! Searches: a few parameters, pages, and the bundles that carry the results.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::{
    super::{clock, form, random},
    interaction::Interaction,
    outcome::Problem,
    store::{Found, Past, Store},
};

const DEFAULT_COUNT: usize = 10;
const MAX_COUNT: usize = 1000;

/// A type search, or a search of everything when `kind` is empty.
pub(super) fn search(
    store: &Store,
    kind: &str,
    interaction: &Interaction<'_>,
) -> Result<Value, Problem> {
    let Interaction {
        query,
        raw_query,
        base,
        ..
    } = interaction;
    let count = match form::get(query, "_count") {
        None => DEFAULT_COUNT,
        Some(text) => text
            .parse::<usize>()
            .map_err(|_| Problem::invalid(format!("The _count value '{text}' is not a number.")))?
            .min(MAX_COUNT),
    };
    let after = match form::get(query, "ct") {
        None => 0,
        Some(token) => continuation(token)
            .ok_or_else(|| Problem::invalid("The provided continuation token is not valid."))?,
    };
    let total = || matching_with_order(store, kind, query).count();
    let url = |query: &str| match (kind, query) {
        ("", "") => format!("{base}/"),
        ("", query) => format!("{base}/?{query}"),
        (kind, "") => format!("{base}/{kind}"),
        (kind, query) => format!("{base}/{kind}?{query}"),
    };
    let this = json!({"relation": "self", "url": url(raw_query)});

    if form::get(query, "_summary") == Some("count") || count == 0 {
        return Ok(bundle("searchset", vec![this], Some(total()), None));
    }
    let mut page: Vec<_> = matching_with_order(store, kind, query)
        .filter(|(order, _)| *order > after)
        .take(count + 1)
        .collect();
    let more = page.len() > count;
    page.truncate(count);

    // As Azure: the whole query again, with the token at its end.
    let mut links = Vec::new();
    if let (true, Some((last, _))) = (more, page.last()) {
        let mut parts: Vec<&str> = raw_query
            .split('&')
            .filter(|part| !part.is_empty() && !part.starts_with("ct="))
            .collect();
        let token = format!("ct={}", token(*last));
        parts.push(&token);
        links.push(json!({"relation": "next", "url": url(&parts.join("&"))}));
    }
    links.push(this);
    let total = (form::get(query, "_total") == Some("accurate")).then(total);
    let entries = page
        .into_iter()
        .map(|(_, found)| {
            json!({
                "fullUrl": format!("{base}/{}/{}", found.kind, found.id),
                "resource": found.resource,
                "search": {"mode": "match"},
            })
        })
        .collect();
    Ok(bundle("searchset", links, total, Some(entries)))
}

/// A history bundle of versions.
pub(super) fn history(versions: &[Past], base: &str, path: &str) -> Value {
    let links = vec![json!({"relation": "self", "url": format!("{base}/{path}")})];
    let entries = versions
        .iter()
        .map(|past| {
            let (method, status) = match (&past.resource, past.version) {
                (None, _) => ("DELETE", "204 NoContent"),
                (Some(_), 1) => ("POST", "201 Created"),
                (Some(_), _) => ("PUT", "200 OK"),
            };
            let mut entry = json!({"fullUrl": format!("{base}/{}/{}", past.kind, past.id)});
            if let Some(resource) = &past.resource {
                entry["resource"] = Value::clone(resource);
            }
            entry["request"] = json!({
                "method": method,
                "url": format!("{}/{}", past.kind, past.id),
            });
            entry["response"] = json!({
                "status": status,
                "etag": format!("W/\"{}\"", past.version),
                "lastModified": clock::instant(past.at),
            });
            entry
        })
        .collect();
    bundle("history", links, Some(versions.len()), Some(entries))
}

/// A bundle with its fields in the order the service writes them.
pub(super) fn bundle(
    kind: &str,
    links: Vec<Value>,
    total: Option<usize>,
    entries: Option<Vec<Value>>,
) -> Value {
    let mut bundle = Map::new();
    let mut add = |name: &str, value: Value| bundle.insert(name.to_owned(), value);
    add("resourceType", "Bundle".into());
    add("id", random::guid().into());
    add(
        "meta",
        json!({"lastUpdated": clock::instant(jiff::Timestamp::now())}),
    );
    add("type", kind.into());
    if !links.is_empty() {
        add("link", links.into());
    }
    if let Some(total) = total {
        add("total", total.into());
    }
    // FHIR has no empty arrays.
    if let Some(entries) = entries.filter(|entries| !entries.is_empty()) {
        add("entry", entries.into());
    }
    Value::Object(bundle)
}

/// The resources of a type that match a query.
pub(super) fn matching(
    store: &Store,
    kind: &str,
    query: &[(String, String)],
) -> impl Iterator<Item = Found> {
    matching_with_order(store, kind, query).map(|(_, found)| found)
}

fn matching_with_order(
    store: &Store,
    kind: &str,
    query: &[(String, String)],
) -> impl Iterator<Item = (u64, Found)> {
    store.all(kind).filter(|(_, found)| {
        query
            .iter()
            .all(|(name, value)| matches(found, name, value))
    })
}

/// One parameter. An unknown one matches everything, since the service is lenient by default.
fn matches(found: &Found, name: &str, value: &str) -> bool {
    let resource = &found.resource;
    let any = |test: &dyn Fn(&str) -> bool| value.split(',').any(test);
    match name {
        "_id" => any(&|id| id == found.id),
        "name" => any(&|part| {
            ["family", "given", "text"]
                .iter()
                .any(|field| name_starts_with(resource, field, part))
        }),
        "family" | "given" => any(&|part| name_starts_with(resource, name, part)),
        "gender" => any(&|gender| resource["gender"] == *gender),
        "birthdate" => any(&|date| resource["birthDate"] == *date),
        "identifier" => any(&|token| has_token(&resource["identifier"], "value", token)),
        "code" => any(&|token| has_token(&resource["code"]["coding"], "code", token)),
        "subject" | "patient" => any(&|reference| {
            let stored = resource["subject"]["reference"]
                .as_str()
                .or_else(|| resource["patient"]["reference"].as_str())
                .unwrap_or_default();
            stored == reference || stored.strip_prefix("Patient/") == Some(reference)
        }),
        _ => true,
    }
}

/// String search: the start of a part of a name, whatever its case.
fn name_starts_with(resource: &Value, field: &str, part: &str) -> bool {
    let part = part.to_lowercase();
    let starts = |text: &Value| {
        text.as_str()
            .is_some_and(|text| text.to_lowercase().starts_with(&part))
    };
    resource["name"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|name| match &name[field] {
            Value::Array(parts) => parts.iter().any(starts),
            text => starts(text),
        })
}

/// Token search: `system|value` or `value`.
fn has_token(list: &Value, field: &str, token: &str) -> bool {
    let (system, value) = match token.split_once('|') {
        Some((system, value)) => (Some(system), value),
        None => (None, token),
    };
    list.as_array()
        .into_iter()
        .flatten()
        .any(|item| item[field] == *value && system.is_none_or(|system| item["system"] == *system))
}

/// A continuation token, about as long as real ones: opaque, and not meant to be read.
fn token(order: u64) -> String {
    let padding = random::hex::<48>();
    URL_SAFE_NO_PAD.encode(json!({"token": order, "range": padding}).to_string())
}

fn continuation(token: &str) -> Option<u64> {
    let json = URL_SAFE_NO_PAD.decode(token).ok()?;
    serde_json::from_slice::<Value>(&json).ok()?["token"].as_u64()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    fn store(patients: usize) -> Store {
        let mut store = Store::default();
        for number in 0..patients {
            let resource = json!({
                "resourceType": "Patient",
                "name": [{"family": format!("Family{number}"), "given": ["Ann", "Bo"]}],
            });
            store.put("Patient", &format!("p{number}"), resource);
        }
        store
    }

    fn page(store: &Store, query: &str) -> Value {
        let interaction = Interaction {
            method: Method::GET,
            path: "Patient",
            query: form::parse(query),
            raw_query: query,
            headers: HeaderMap::new(),
            resource: None,
            base: "https://h",
        };
        search(store, "Patient", &interaction).expect("a valid query")
    }

    fn next(page: &Value) -> Option<String> {
        let links = page["link"].as_array().expect("links");
        let link = links.iter().find(|link| link["relation"] == "next")?;
        Some(link["url"].as_str().expect("a string").to_owned())
    }

    #[test]
    fn pages_cover_everything_once() {
        let store = store(25);
        let mut query = "_count=10&name=ann".to_owned();
        let mut seen = Vec::new();
        loop {
            let page = page(&store, &query);
            for entry in page["entry"].as_array().expect("entries") {
                seen.push(entry["fullUrl"].as_str().expect("a string").to_owned());
            }
            let Some(url) = next(&page) else { break };
            let (path, rest) = url.split_once('?').expect("a query");
            assert_eq!(path, "https://h/Patient");
            assert!(rest.starts_with("_count=10&name=ann&ct="), "{rest}");
            rest.clone_into(&mut query);
        }
        let expected: Vec<_> = (0..25).map(|n| format!("https://h/Patient/p{n}")).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn links_come_before_entries_and_total_only_on_request() {
        let store = store(3);
        let keys = |value: Value| -> Vec<String> {
            let object = value.as_object().expect("an object");
            object.keys().cloned().collect()
        };
        assert_eq!(
            keys(page(&store, "")),
            ["resourceType", "id", "meta", "type", "link", "entry"]
        );
        assert_eq!(page(&store, "_total=accurate")["total"], 3);
        let count = page(&store, "_summary=count");
        assert_eq!(count["total"], 3);
        assert_eq!(count.get("entry"), None);
    }

    #[test]
    fn names_match_by_their_start() {
        let store = store(12);
        let total = |query: &str| page(&store, &format!("{query}&_summary=count"))["total"].clone();
        assert_eq!(total("family=FAMILY1"), 3);
        assert_eq!(total("name=bo"), 12);
        assert_eq!(total("name=nobody"), 0);
        assert_eq!(total("_id=p1,p2"), 2);
    }
}
