//! What is wrong with a file that is not valid TOML, and the remedy.
//!
//! The parser says what it expected. The remedy depends on what people usually mean.

use std::ops::Range;

use crate::config::secrets::PATH_OF_WINDOWS;

/// The usual mistakes: a part of the parser's message, the cause, and the remedy.
const MISTAKES: [(&[&str], &str, &str); 6] = [
    (
        &["escape", "unicode"],
        "a `\\` between double quotes begins an escape sequence",
        PATH_OF_WINDOWS,
    ),
    (
        &["must be quoted"],
        "a text has no quotation marks",
        "put the value between straight double quotes: key = \"value\"",
    ),
    (
        &[
            "invalid basic string",
            "invalid literal string",
            "multi-line",
        ],
        "a text has no quotation mark at its end",
        "end it on the same line with the quotation mark that begins it",
    ),
    (
        &["missing comma", "unclosed array", "unclosed inline"],
        "a comma or a closing bracket is missing before this",
        "separate the elements with commas, and close every `[` and `{`",
    ),
    (
        &["key with no value", "missing value", "missing assignment"],
        "a key has no value",
        "write key = \"value\", or [table] for a table, each on a line of its own",
    ),
    (
        &[
            "unclosed table",
            "unclosed array table",
            "missing table open",
        ],
        "the name of a table has no closing bracket",
        "write it as [routes.fhir], on a line of its own",
    ),
];

/// The message and the remedy for an error of the parser at `span`. Of the file, they show at most a
/// key.
pub(super) fn explain(error: &str, text: &str, span: &Range<usize>) -> (String, String) {
    if error.contains("duplicate key") {
        let key = &text[span.clone()];
        let is_bare = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let name = if !key.is_empty() && key.len() <= 64 && key.chars().all(is_bare) {
            format!("`{key}`")
        } else {
            "a key".to_owned()
        };
        let line = text[..span.start].rsplit('\n').next().unwrap_or_default();
        let remedy = if line.trim_start().starts_with('[') {
            "keep one of the two tables, with the keys of both; a second service needs a table of \
             another name"
        } else {
            "keep one of the two lines"
        };
        return (format!("{name} is defined twice"), remedy.to_owned());
    }
    let usual = MISTAKES
        .iter()
        .find(|(texts, ..)| texts.iter().any(|text| error.contains(text)));
    match usual {
        Some((_, cause, remedy)) => (
            format!("this is not valid TOML: {cause}"),
            (*remedy).to_owned(),
        ),
        None => (
            format!("this is not valid TOML: {error}"),
            "correct it here; see https://toml.io for how TOML is written".to_owned(),
        ),
    }
}
