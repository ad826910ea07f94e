//! The scanner against a reference that reads the whole document, decides, and writes it again.

use proptest::prelude::*;
use serde_json::{Map, Value};

use super::{
    super::plan::{Holds, Kind},
    Arc, Bases, Bytes, JsonRewriter, Plan,
};
use crate::config::ServiceUrl;

const FROM: &str = "https://h.example/v2";
const ORIGIN: &str = "https://h.example";
const TO: &str = "http://localhost:8080/a-longer-path/than/before";

/// A document with each string cut where its base ends, if that is to be changed.
enum Tree {
    Literal(String),
    Text { base: String, rest: String },
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

fn base_of(text: &str) -> Option<usize> {
    [ORIGIN.to_owned(), format!("{ORIGIN}:443")]
        .into_iter()
        .find_map(|origin| {
            let start = text.get(..origin.len())?;
            let rest = text[origin.len()..].strip_prefix("/v2")?;
            let ends = rest.is_empty() || rest.starts_with(['/', '?', '#']);
            (ends && start.eq_ignore_ascii_case(&origin)).then_some(text.len() - rest.len())
        })
}

fn text(text: &str, changes: bool) -> Tree {
    let base = if changes { base_of(text) } else { None };
    let (base, rest) = text.split_at(base.unwrap_or(0));
    Tree::Text {
        base: base.to_owned(),
        rest: rest.to_owned(),
    }
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

/// The kind of a document, and what its entries hold if that is known before they begin.
fn kind_of(document: &Map<String, Value>, is_root: bool) -> (Option<Kind>, Option<Holds>) {
    let (mut kind, mut is_bundle, mut holds, mut known) = (None, false, None, None);
    for (key, value) in document {
        match (&**key, value) {
            ("resourceType", Value::String(name)) if kind.is_none() && !is_bundle => {
                match &**name {
                    "Bundle" => is_bundle = true,
                    "CapabilityStatement" if is_root => kind = Some(Kind::Capability),
                    _ => kind = Some(Kind::Other),
                }
            }
            ("type", Value::String(name)) if holds.is_none() => {
                holds = Some(Holds::of_type(name.as_bytes()));
            }
            ("transactionTime", Value::String(_)) if is_root && !is_bundle => {
                kind = kind.or(Some(Kind::Status));
            }
            ("entry", _) if kind == Some(Kind::AnswerBundle) => known = holds,
            _ => {}
        }
        if is_bundle && kind.is_none() {
            kind = holds.map(Holds::kind);
        }
    }
    (kind, known)
}

fn mark_fhir(value: &Value, is_root: bool) -> Tree {
    let Value::Object(document) = value else {
        return mark(value, &mut Vec::new(), &|_| false);
    };
    let (kind, holds) = kind_of(document, is_root);
    let listed: &[&str] = match kind {
        Some(Kind::AnswerBundle) => &[
            "link.[].url",
            "entry.[].fullUrl",
            "entry.[].link.[].url",
            "entry.[].request.url",
            "entry.[].response.location",
        ],
        Some(Kind::Capability) => &[
            "url",
            "implementation.url",
            "rest.[].operation.[].definition",
            "rest.[].resource.[].operation.[].definition",
        ],
        Some(Kind::Status) => &["request"],
        _ => &[],
    };
    let mut tree = mark(value, &mut Vec::new(), &|path| {
        listed.contains(&&*path.join("."))
    });
    if holds == Some(Holds::Answers) {
        let Some(Value::Array(entries)) = document.get("entry") else {
            return tree;
        };
        for (place, entry) in members(&mut tree, "entry").into_iter().zip(entries) {
            if let (Tree::Object(members), Some(resource)) = (place, entry.get("resource")) {
                for (key, place) in members {
                    if key == "resource" {
                        *place = mark_fhir(resource, false);
                    }
                }
            }
        }
    }
    tree
}

fn members<'a>(tree: &'a mut Tree, key: &str) -> Vec<&'a mut Tree> {
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

/// Writes a document with white space and escapes as `dice` fall, and beside it what the rewriter
/// is to make of it.
struct Printer<'a> {
    dice: std::iter::Cycle<std::slice::Iter<'a, u8>>,
    given: String,
    wanted: String,
}

impl Printer<'_> {
    fn roll(&mut self) -> u8 {
        self.dice.next().copied().unwrap_or(0)
    }

    fn both(&mut self, text: &str) {
        self.given.push_str(text);
        self.wanted.push_str(text);
    }

    fn space(&mut self) {
        let space = ["", "", "", "", " ", "\n\t", "\r\n"][usize::from(self.roll()) % 7];
        self.both(space);
    }

    fn escape(&mut self, text: &str) -> String {
        let mut result = String::new();
        for character in text.chars() {
            match (character, self.roll() % 16) {
                ('"', 0..14) => result.push_str("\\\""),
                ('\\', 0..14) => result.push_str("\\\\"),
                ('\n', 0..14) => result.push_str("\\n"),
                ('/', 10..14) => result.push_str("\\/"),
                (' '.., 0..14) => result.push(character),
                (_, how) => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        let digits = if how == 14 {
                            format!("\\u{unit:04x}")
                        } else {
                            format!("\\u{unit:04X}")
                        };
                        result.push_str(&digits);
                    }
                }
            }
        }
        result
    }

    fn print(&mut self, tree: &Tree) {
        self.space();
        match tree {
            Tree::Literal(literal) => self.both(literal),
            Tree::Text { base, rest } => {
                let (spelled, rest) = (self.escape(base), self.escape(rest));
                self.both("\"");
                self.given.push_str(&spelled);
                self.wanted.push_str(if base.is_empty() { "" } else { TO });
                self.both(&rest);
                self.both("\"");
            }
            Tree::Array(items) => {
                self.both("[");
                for (index, item) in items.iter().enumerate() {
                    self.both(if index > 0 { "," } else { "" });
                    self.print(item);
                }
                self.space();
                self.both("]");
            }
            Tree::Object(members) => {
                self.both("{");
                for (index, (key, value)) in members.iter().enumerate() {
                    self.both(if index > 0 { "," } else { "" });
                    self.space();
                    let key = self.escape(key);
                    self.both(&format!("\"{key}\""));
                    self.space();
                    self.both(":");
                    self.print(value);
                }
                self.space();
                self.both("}");
            }
        }
        self.space();
    }
}

fn bases() -> Arc<Bases> {
    let url = |text| ServiceUrl::parse(text).expect("a base URL");
    Arc::new(Bases::new([(&url(FROM), &url(TO))]))
}

fn rewrite(plan: Plan, document: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut rewriter = JsonRewriter::new(plan, bases());
    let mut rest = Bytes::copy_from_slice(document);
    let mut result = Vec::new();
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let chunk = rest.split_to(rest.len().min(*cut));
        result.extend_from_slice(&rewriter.push(&chunk));
    }
    result.extend_from_slice(&rewriter.finish());
    result
}

fn url() -> impl Strategy<Value = Value> {
    let start = prop::sample::select(vec![
        "https://h.example/v2",
        "https://h.example/v2",
        "https://h.example:443/v2",
        "HTTPS://H.Example/v2",
        "https://h.example/V2",
        "https://h.example",
        "https://h.example:8443/v2",
        "http://h.example/v2",
        "hhttps://h.example/v2",
        "https://https://h.example/v2",
        "https://h.example.evil/v2",
        "urn:uuid:",
        "",
    ]);
    let end = prop::sample::select(vec![
        "",
        "/",
        "/Patient/1",
        "?a=b",
        "#c",
        "x",
        ".",
        "é",
        "😀/",
        "\"",
        "\\",
        "\n/",
    ]);
    (start, end).prop_map(|(start, end)| Value::String(format!("{start}{end}")))
}

fn word() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        "Bundle",
        "Bundle",
        "CapabilityStatement",
        "Patient",
        "searchset",
        "searchset",
        "history",
        "batch-response",
        "batch-response",
        "transaction-response",
        "document",
        "batch",
        "search",
    ])
    .prop_map(Value::from)
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "resourceType",
        "type",
        "link",
        "entry",
        "url",
        "fullUrl",
        "resource",
        "request",
        "response",
        "location",
        "implementation",
        "rest",
        "operation",
        "definition",
        "transactionTime",
        "output",
        "text",
        "ur",
        "links",
        "é\"\\",
    ])
    .prop_map(str::to_owned)
}

/// Anything, made of the words that mean something.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        3 => url(),
        1 => word(),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        1 => prop::sample::select(vec![0.5, -1e-7, 2e30]).prop_map(Value::from),
        1 => ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..7).prop_map(object),
        ]
    })
}

fn object(members: Vec<(String, Value)>) -> Value {
    Value::Object(members.into_iter().collect())
}

fn member(
    key: &str,
    value: impl Strategy<Value = Value>,
) -> impl Strategy<Value = (String, Value)> {
    let key = key.to_owned();
    value.prop_map(move |value| (key.clone(), value))
}

fn list(item: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec(item, 0..4).prop_map(Value::from)
}

/// A Bundle around `resource`, in the usual order or in any.
fn bundle(resource: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let link = || {
        list(
            (member("relation", word()), member("url", url()))
                .prop_map(|(a, b)| object(vec![a, b])),
        )
    };
    let entry = (
        member("fullUrl", url()),
        member("link", link()),
        member("resource", resource),
        member(
            "request",
            member("url", url()).prop_map(|url| object(vec![url])),
        ),
        member(
            "response",
            member("location", url()).prop_map(|url| object(vec![url])),
        ),
    )
        .prop_map(|(a, b, c, d, e)| object(vec![a, b, c, d, e]));
    let members = (
        member("resourceType", Just(Value::from("Bundle"))),
        member("type", word()),
        member("link", link()),
        member("entry", list(entry)),
    )
        .prop_map(|(a, b, c, d)| vec![a, b, c, d])
        .boxed();
    prop_oneof![
        members.clone().prop_map(object),
        members.prop_shuffle().prop_map(object),
    ]
    .boxed()
}

fn document() -> impl Strategy<Value = Value> {
    let simple = bundle(anything().boxed());
    prop_oneof![
        2 => anything(),
        3 => simple.clone(),
        3 => bundle(prop_oneof![simple, anything()].boxed()),
    ]
}

fn check(
    plan: Plan,
    value: &Value,
    tree: &Tree,
    dice: &[u8],
    cuts: &[usize],
) -> Result<(), TestCaseError> {
    let mut printer = Printer {
        dice: dice.iter().cycle(),
        given: String::new(),
        wanted: String::new(),
    };
    printer.print(tree);
    let read: Value = serde_json::from_str(&printer.given).expect("a document");
    prop_assert_eq!(&read, value, "the printer errs");
    let result = rewrite(plan, printer.given.as_bytes(), cuts);
    prop_assert_eq!(
        String::from_utf8_lossy(&result),
        printer.wanted,
        "{}",
        printer.given
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn fhir_answers_change_as_the_reference_says(
        value in document(),
        dice in prop::collection::vec(any::<u8>(), 1..64),
        cuts in prop::collection::vec(1..100_usize, 1..8),
    ) {
        check(Plan::FhirAnswer, &value, &mark_fhir(&value, true), &dice, &cuts)?;
    }

    #[test]
    fn requests_change_as_the_reference_says(
        value in document(),
        dice in prop::collection::vec(any::<u8>(), 1..64),
        cuts in prop::collection::vec(1..100_usize, 1..8),
    ) {
        check(Plan::Request, &value, &mark(&value, &mut Vec::new(), &|_| true), &dice, &cuts)?;
    }

    #[test]
    fn how_a_broken_document_is_cut_does_not_matter(
        value in document(),
        dice in prop::collection::vec(any::<u8>(), 1..64),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cuts in prop::collection::vec(1..100_usize, 1..8),
    ) {
        let mut printer = Printer { dice: dice.iter().cycle(), given: String::new(), wanted: String::new() };
        printer.print(&mark_fhir(&value, true));
        let mut bytes = printer.given.into_bytes();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = b"\"\\{}[],:u/h"[usize::from(byte) % 11];
        }
        for plan in [Plan::FhirAnswer, Plan::Request] {
            let whole = rewrite(plan, &bytes, &[usize::MAX]);
            let pieces = rewrite(plan, &bytes, &cuts);
            prop_assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&pieces));
        }
    }
}
