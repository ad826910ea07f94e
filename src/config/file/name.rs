//! The names of routes and credentials.

use crate::config::report::{At, Report};

/// Refuses a name with characters other than letters, digits, `-` and `_`.
pub(super) fn check_name(name: &At<&str>, owner: &str, report: &mut Report) {
    let is_valid = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.value.is_empty() || !name.value.bytes().all(is_valid) {
        report.refuse(
            name.place,
            format!(
                "`{}` is not a valid name for {owner}",
                name.value.escape_debug()
            ),
            "write letters, digits, `-` and `_`",
        );
    }
}
