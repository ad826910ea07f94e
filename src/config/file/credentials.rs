//! `[credentials.NAME.KIND]`: a name, one kind, that kind's keys.

use std::collections::BTreeMap;

use super::name::check_name;
use crate::config::{
    credentials::{self, Draft},
    report::{At, Place, Read, Report},
    walk::{Item, suggest},
};

/// Reads every credential. Its place is that of its name.
pub(super) fn read(item: &Item<'_>, report: &mut Report) -> Option<BTreeMap<String, Read<Draft>>> {
    let table = item.table(report)?;
    let credentials = table.entries().map(|(name, item)| {
        check_name(&name, "a credential", report);
        let draft = one_kind(&item, name.place, report);
        (name.value.to_owned(), Read::new(draft, name.place))
    });
    Some(credentials.collect())
}

fn one_kind(item: &Item<'_>, place: Place, report: &mut Report) -> Option<Draft> {
    let table = item.table(report)?;
    let mut kinds = table.entries();
    let Some((kind, keys)) = kinds.next() else {
        report.refuse(
            place,
            format!("`{}` names no kind of credential", item.key),
            format!("write for example [{}.azure-cli]", item.key),
        );
        return None;
    };
    let mut draft = read_kind(&kind, &keys, report);
    for (another, keys) in kinds {
        // One error is enough for a table such as { tenant = …, client_id = … }.
        if credentials::kind(kind.value).is_none() {
            break;
        }
        draft = None;
        if credentials::kind(another.value).is_some() {
            report.refuse(
                another.place,
                format!(
                    "`{}` has two kinds, `{}` and `{}`",
                    item.key, kind.value, another.value
                ),
                "keep one of them, or move the other to a credential of another name",
            );
        }
        read_kind(&another, &keys, report);
    }
    draft
}

fn read_kind(kind: &At<&str>, keys: &Item<'_>, report: &mut Report) -> Option<Draft> {
    let Some(known) = credentials::kind(kind.value) else {
        let remedy = if keys.is_table() {
            suggest(kind.value, credentials::names())
        } else {
            format!(
                "put it below its kind: [credentials.NAME.KIND] with KIND one of: {}",
                credentials::names().collect::<Vec<_>>().join(", ")
            )
        };
        report.refuse(
            kind.place,
            format!("unknown credential kind `{}`", kind.value.escape_debug()),
            remedy,
        );
        return None;
    };
    let mut table = keys.table(report)?;
    // An error for a missing key points to the table's header.
    table.place = kind.place;
    Some(Draft::read(known, table, report))
}
