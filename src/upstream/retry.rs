//! Which failed requests may be sent a second time.

use std::error::Error as _;

use hyper_util::client::legacy;

/// Whether the connection ended before a single byte of an answer: what an idle connection that
/// the server closed at that moment looks like. Only safe to repeat for idempotent requests
/// (RFC 9110, section 9.2.2), since the server may have acted on the first.
pub(super) fn never_answered(error: &legacy::Error) -> bool {
    if error.is_connect() {
        return false;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
            return hyper.is_incomplete_message() || hyper.is_canceled() || hyper.is_closed();
        }
        source = cause.source();
    }
    false
}
