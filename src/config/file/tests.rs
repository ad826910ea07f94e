//! The example file is the documentation of every key: these tests keep it complete.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use toml::de::{DeTable, DeValue};

use super::File;
use crate::config::{Location, credentials, keys::Keys as _, mask, report::Report, walk::Table};

const EXAMPLE: &str = include_str!("../../../config.example.toml");
const MARK: &str = "not available yet";

/// Uncomments `#key = …` and `#[table]`. Text, which has a space after its `#`, stays a comment.
fn everything_on() -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
            rest.to_owned()
        }
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(|line| on(line) + "\n").collect()
}

fn read(text: &str) -> Report {
    let text: Arc<str> = text.into();
    let mut report = Report::default();
    report.set_source(Path::new("config.example.toml"), text.clone());
    let tree = DeTable::parse(&text).unwrap_or_else(|e| panic!("{e}"));
    mask::mask_tree(tree.get_ref(), &[], &mut report);
    File::read_whole(Table::root(tree.get_ref()), &mut report);
    report
}

/// The names of routes and credentials are the user's: `routes.*.upstream`.
fn general(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('.').collect();
    if parts.len() > 2 && matches!(parts[0], "routes" | "credentials") {
        parts[1] = "*";
    }
    parts.join(".")
}

fn collect(table: &DeTable<'_>, path: &str, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        let name = format!("{path}{}", key.get_ref());
        found.insert(general(&name));
        if let DeValue::Table(inner) = value.get_ref() {
            collect(inner, &format!("{name}."), found);
        }
    }
}

#[test]
fn the_example_is_valid_as_it_is() {
    let errors = read(EXAMPLE).into_errors();
    assert!(errors.is_none(), "{}", errors.expect("some"));
}

#[test]
fn the_example_with_everything_on_is_refused_for_marked_lines_only() {
    let text = everything_on();
    let errors = read(&text).into_errors().expect("some are for later");
    let mut refused = BTreeSet::new();
    for problem in errors.problems() {
        assert!(problem.message.contains(MARK), "{problem}");
        if let Location::File { line, .. } = problem.location {
            refused.insert(line);
        }
    }
    let marked: BTreeSet<usize> = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.starts_with('#') && line.ends_with(MARK))
        .map(|(number, _)| number)
        .collect();
    assert_eq!(refused, marked);
}

#[test]
fn the_example_shows_every_key() {
    let text = everything_on();
    let report = read(&text);
    let tree = DeTable::parse(&text).expect("valid TOML");
    let mut shown = BTreeSet::new();
    collect(tree.get_ref(), "", &mut shown);
    let asked: BTreeSet<String> = report.asked.iter().map(|path| general(path)).collect();
    // `env` and `file` are documented once, for all secrets.
    let missing: Vec<&String> = asked
        .difference(&shown)
        .filter(|path| !matches!(path.rsplit('.').next(), Some("env" | "file")))
        .collect();
    assert!(
        missing.is_empty(),
        "not in config.example.toml: {missing:?}"
    );
    assert!(
        asked.len() > 80,
        "the reader asked for {} keys only",
        asked.len()
    );
}

#[test]
fn the_example_shows_every_kind() {
    for kind in credentials::names() {
        let header = format!(".{kind}]");
        assert!(EXAMPLE.contains(&header), "{kind}");
    }
}
