//! The expected output for a document, decided once all of it was read, so that the order of its members does not
//! matter.

use serde_json::{Map, Value};

use super::{
    super::super::plan::{Holds, Kind},
    ORIGIN,
};

/// A document with each string cut where its base ends, if that is to be changed.
pub(super) enum Tree {
    Literal(String),
    Text {
        base: String,
        rest: String,
        /// Whether what decides that it is to be changed follows it.
        waits: bool,
    },
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

fn base_of(text: &str) -> Option<usize> {
    [ORIGIN.to_owned(), format!("{ORIGIN}:443")]
        .into_iter()
        .find_map(|origin| {
            let start = text.get(..origin.len())?;
            let rest = text[origin.len()..].strip_prefix("/v2")?;
            let ends = rest.is_empty() || rest.starts_with(['/', '?', '#', '|']);
            (ends && start.eq_ignore_ascii_case(&origin)).then_some(text.len() - rest.len())
        })
}

fn text(text: &str, changes: bool) -> Tree {
    let base = if changes { base_of(text) } else { None };
    let (base, rest) = text.split_at(base.unwrap_or(0));
    Tree::Text {
        base: base.to_owned(),
        rest: rest.to_owned(),
        waits: false,
    }
}

/// As a request is changed: every string but the narrative.
pub(super) fn mark_all(value: &Value) -> Tree {
    mark(value, &mut Vec::new(), &|path| {
        !path.iter().any(|step| step == "div")
    })
}

/// Marks the strings for whose path `changes` holds.
fn mark(value: &Value, path: &mut Vec<String>, changes: &dyn Fn(&[String]) -> bool) -> Tree {
    let mut below = |step: &str, value: &Value| {
        path.push(step.to_owned());
        let tree = mark(value, path, changes);
        path.pop();
        tree
    };
    match value {
        Value::String(content) => text(content, changes(path)),
        Value::Array(items) => Tree::Array(items.iter().map(|item| below("[]", item)).collect()),
        Value::Object(members) => Tree::Object(
            members
                .iter()
                .map(|(key, value)| (key.clone(), below(key, value)))
                .collect(),
        ),
        other => Tree::Literal(other.to_string()),
    }
}

/// The kind of a document, and the index of the member that settles it.
fn kind_of(document: &Map<String, Value>, is_root: bool) -> Option<(Kind, usize)> {
    let word = |key: &str| {
        let mut members = document.iter().enumerate();
        let (index, (_, value)) = members.find(|(_, (name, _))| *name == key)?;
        Some((value.as_str()?, index))
    };
    let resource_type = word("resourceType");
    let time = word("transactionTime").filter(|_| is_root);
    // No document has both; if one has, the first counts.
    if let Some((_, time)) = time
        && resource_type.is_none_or(|(_, index)| time < index)
    {
        return Some((Kind::Status, time));
    }
    let (name, index) = resource_type?;
    match name {
        "Bundle" => {
            let (name, other) = word("type")?;
            Some((Holds::of_type(name.as_bytes()).kind(), index.max(other)))
        }
        "CapabilityStatement" if is_root => Some((Kind::Capability, index)),
        _ => Some((Kind::Other, index)),
    }
}

/// As the response of a FHIR service is changed.
pub(super) fn mark_fhir(value: &Value) -> Tree {
    mark_document(value, true)
}

fn mark_document(value: &Value, is_root: bool) -> Tree {
    let unchanged = || mark(value, &mut Vec::new(), &|_| false);
    let Value::Object(document) = value else {
        return unchanged();
    };
    let Some((kind, known)) = kind_of(document, is_root) else {
        return unchanged();
    };
    let listed: &[&str] = match kind {
        Kind::AnswerBundle => &[
            "link.[].url",
            "entry.[].fullUrl",
            "entry.[].link.[].url",
            "entry.[].request.url",
            "entry.[].response.location",
        ],
        Kind::Capability => &[
            "url",
            "implementation.url",
            "rest.[].operation.[].definition",
            "rest.[].operation.[].definition.reference",
            "rest.[].resource.[].operation.[].definition",
            "rest.[].resource.[].operation.[].definition.reference",
        ],
        Kind::Status => &["request"],
        Kind::Other => &[],
    };
    let mut tree = mark(value, &mut Vec::new(), &|path| {
        listed.contains(&&*path.join("."))
    });
    let holds = document
        .get("type")
        .and_then(Value::as_str)
        .map(|name| Holds::of_type(name.as_bytes()));
    if kind == Kind::AnswerBundle && holds == Some(Holds::Answers) {
        mark_answers(&mut tree, document);
    }
    if let Tree::Object(members) = &mut tree {
        for (_, member) in &mut members[..known] {
            wait(member);
        }
    }
    tree
}

fn mark_answers(tree: &mut Tree, document: &Map<String, Value>) {
    let Some(Value::Array(entries)) = document.get("entry") else {
        return;
    };
    for (place, entry) in items(tree, "entry").into_iter().zip(entries) {
        if let (Tree::Object(members), Some(resource)) = (place, entry.get("resource")) {
            for (key, place) in members {
                if key == "resource" {
                    *place = mark_document(resource, false);
                }
            }
        }
    }
}

fn items<'a>(tree: &'a mut Tree, key: &str) -> Vec<&'a mut Tree> {
    let Tree::Object(members) = tree else {
        return Vec::new();
    };
    members
        .iter_mut()
        .filter(|(name, _)| name == key)
        .flat_map(|(_, value)| match value {
            Tree::Array(items) => items.iter_mut().collect(),
            _ => Vec::new(),
        })
        .collect()
}

fn wait(tree: &mut Tree) {
    match tree {
        Tree::Literal(_) => {}
        Tree::Text { waits, .. } => *waits = true,
        Tree::Array(items) => items.iter_mut().for_each(wait),
        Tree::Object(members) => members.iter_mut().for_each(|(_, member)| wait(member)),
    }
}
