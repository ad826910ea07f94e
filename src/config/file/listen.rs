//! Addresses to listen on.

use std::net::SocketAddr;

use crate::config::{
    Listen, grammar,
    report::{At, Report},
    walk::Item,
};

/// One address or a list of them.
pub(super) fn addresses(item: &Item<'_>, report: &mut Report) -> Option<Vec<At<Listen>>> {
    if item.is_list() {
        return item.good_ones(report, grammar::listen);
    }
    let value = item.parse(report, grammar::listen)?;
    let place = item.place;
    Some(vec![At { value, place }])
}

/// `Some(None)` is `"off"`.
#[expect(clippy::option_option, reason = "as each reader, `None` if refused")]
pub(super) fn admin(item: &Item<'_>, report: &mut Report) -> Option<Option<SocketAddr>> {
    item.parse(report, grammar::admin)
}
