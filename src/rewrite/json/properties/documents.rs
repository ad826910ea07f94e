//! Random documents, made of the words that matter to the scanner.

use proptest::prelude::*;
use serde_json::Value;

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
        "|1",
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
        "div",
        "ur",
        "links",
        "é\"\\",
    ])
    .prop_map(str::to_owned)
}

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

/// An object whose members are in the usual order or in any.
fn in_any_order(members: BoxedStrategy<Vec<(String, Value)>>) -> BoxedStrategy<Value> {
    prop_oneof![
        members.clone().prop_map(object),
        members.prop_shuffle().prop_map(object),
    ]
    .boxed()
}

fn bundle_type() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => Just(Value::from("batch-response")),
        2 => Just(Value::from("searchset")),
        1 => word(),
    ]
}

/// A Bundle around `resource`.
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
        member("request", below("url", url())),
        member("response", below("location", url())),
    )
        .prop_map(|(a, b, c, d, e)| vec![a, b, c, d, e])
        .boxed();
    let members = (
        member("resourceType", Just(Value::from("Bundle"))),
        member("type", bundle_type()),
        member("link", link()),
        member("entry", list(in_any_order(entry))),
        prop::collection::vec((key(), prop_oneof![url(), word()]), 0..2),
    )
        .prop_map(|(a, b, c, d, others)| [vec![a, b, c, d], new(others)].concat())
        .boxed();
    in_any_order(members)
}

/// Keeps the members that a Bundle does not have, though other documents may.
fn new(members: Vec<(String, Value)>) -> Vec<(String, Value)> {
    let known = ["resourceType", "type", "link", "entry"];
    let is_new = |(key, _): &(String, Value)| !known.contains(&&**key);
    members.into_iter().filter(is_new).collect()
}

fn below(key: &str, value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    member(key, value).prop_map(|member| object(vec![member]))
}

fn capability_statement() -> BoxedStrategy<Value> {
    let operations = || {
        let definition = prop_oneof![2 => url(), 1 => below("reference", url())];
        list(below("definition", definition))
    };
    let rest = (
        member("operation", operations()),
        member("resource", list(below("operation", operations()))),
    )
        .prop_map(|(a, b)| object(vec![a, b]));
    let members = (
        member("resourceType", Just(Value::from("CapabilityStatement"))),
        member("url", url()),
        member("implementation", below("url", url())),
        member("rest", list(rest)),
    )
        .prop_map(|(a, b, c, d)| vec![a, b, c, d])
        .boxed();
    in_any_order(members)
}

fn export_status() -> BoxedStrategy<Value> {
    let members = (
        member("transactionTime", word()),
        member("request", url()),
        member("output", list(below("url", url()))),
    )
        .prop_map(|(a, b, c)| vec![a, b, c])
        .boxed();
    in_any_order(members)
}

pub(super) fn document() -> impl Strategy<Value = Value> {
    let other = || prop_oneof![4 => anything(), 1 => capability_statement(), 1 => export_status()];
    let simple = bundle(other().boxed());
    let batch = bundle(prop_oneof![3 => simple.clone(), 1 => other()].boxed());
    prop_oneof![
        4 => other(),
        3 => simple,
        3 => batch.clone(),
        1 => bundle(batch),
    ]
}
