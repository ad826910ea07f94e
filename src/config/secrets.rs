//! Secrets by reference, and paths.

use std::path::PathBuf;

use super::{
    SecretRef, ValueError,
    report::{At, NeededSecret, Read, Report},
    walk::Item,
};

/// The remedy for a path in which a `\` begins an escape sequence.
pub(super) const PATH_OF_WINDOWS: &str = "write a Windows path between single quotes, such as \
     'C:\\certs\\ca.pem', or with `/` in place of `\\`";

/// A secret of one line: `{ env = "NAME" }` or `{ file = "PATH" }`.
pub(super) fn secret(item: &Item<'_>, report: &mut Report) -> Option<SecretRef> {
    let value = reference(item, report)?;
    Some(needed(item, value, false, report))
}

fn reference(item: &Item<'_>, report: &mut Report) -> Option<SecretRef> {
    if !item.is_table() {
        report.refuse(
            item.place,
            format!(
                "`{}` contains the value itself; a configuration must not contain secrets",
                item.key
            ),
            "write { env = \"NAME\" } or { file = \"PATH\" }, and replace the secret if others \
             have seen this file",
        );
        return None;
    }
    let mut table = item.table(report)?;
    let env = table.read(report, "env", |item, report| item.parse(report, variable));
    let file = table.read(report, "file", path);
    let given = usize::from(!env.is_absent()) + usize::from(!file.is_absent());
    table.finish(report);
    if given != 1 {
        report.refuse(
            item.place,
            format!("`{}` needs either `env` or `file`", item.key),
            "write { env = \"NAME\" } or { file = \"PATH\" }",
        );
        return None;
    }
    match (env, file) {
        (Read::Given(name), _) => Some(SecretRef::Env(name.value)),
        (_, Read::Given(path)) => Some(SecretRef::File(path.value)),
        _ => None,
    }
}

/// Records that the proxy reads this secret: the start checks it, and other programs do not get it.
fn needed(item: &Item<'_>, value: SecretRef, is_pem: bool, report: &mut Report) -> SecretRef {
    match &value {
        SecretRef::Env(name) => drop(report.secret_variables.insert(name.clone())),
        SecretRef::File(path) => drop(report.secret_files.insert(path.clone())),
        SecretRef::Given(_) => {}
    }
    report.needed_secrets.push(NeededSecret {
        key: item.key.clone(),
        at: At {
            value: value.clone(),
            place: item.place,
        },
        is_pem,
    });
    value
}

/// PEM text: a path, or a reference like that of any other secret.
pub(super) fn pem(item: &Item<'_>, report: &mut Report) -> Option<SecretRef> {
    let value = if item.is_string() {
        SecretRef::File(path(item, report)?)
    } else {
        reference(item, report)?
    };
    Some(needed(item, value, true, report))
}

/// The error does not repeat the text, which may be the secret itself in place of its variable's
/// name.
fn variable(text: &str) -> Result<String, ValueError> {
    let valid = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if valid {
        return Ok(text.to_owned());
    }
    Err(ValueError::new(
        "the text is not the name of an environment variable",
        "write the variable's name, with letters, digits and `_` only",
    ))
}

/// A path. A relative one is resolved against the folder of the configuration file.
pub(super) fn path(item: &Item<'_>, report: &mut Report) -> Option<PathBuf> {
    let text = item.parse(report, |text| check_path(text).map(|()| text.to_owned()))?;
    Some(report.resolve_path(&text))
}

/// Refuses a text that is not a path.
pub(super) fn check_path(text: &str) -> Result<(), ValueError> {
    if text.contains("-----BEGIN") {
        return Err(ValueError::new(
            "the value is a key or certificate itself",
            "put it into a file and write the file's path",
        ));
    }
    if text.is_empty() {
        return Err(ValueError::new(
            "the path is empty",
            "write the path of a file",
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(ValueError::new(
            "the path contains a control character: between double quotes, a `\\` begins an escape \
             sequence such as `\\t`",
            PATH_OF_WINDOWS,
        ));
    }
    Ok(())
}

/// A program: a bare name that is searched on PATH, or a path.
pub(super) fn program(item: &Item<'_>, report: &mut Report) -> Option<PathBuf> {
    path(item, report)?;
    Some(program_path(item.str(report)?, report))
}

/// The name or path of a program, from a text that has been checked.
pub(super) fn program_path(text: &str, report: &Report) -> PathBuf {
    if text.contains(['/', '\\']) {
        report.resolve_path(text)
    } else {
        PathBuf::from(text)
    }
}
