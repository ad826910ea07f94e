//! Inspects the request targets of an HTTP/2 connection before h2 does.
//!
//! h2 silently cuts a target off at a raw `#`, so a search or a delete would reach further than
//! requested. Only the bytes of the connection show the `#`. They are read, never changed.
//!
//! Without it, `a_raw_number_sign_is_refused_in_whatever_way_it_is_sent` in
//! `tests/it/raw_http2_targets.rs` fails. Delete it, with `header_blocks` and `hpack`, once h2
//! refuses such a target.

use std::sync::atomic::{AtomicBool, Ordering};

use http::{Request, uri::PathAndQuery};
use parking_lot::Mutex;

use super::{
    header_blocks::HeaderBlocks,
    hpack::{Malformed, PathReader},
};

/// The number of cut targets that are remembered. If a client sends more, all of its requests are
/// refused.
const MAX_CUT: usize = 32;

/// The targets of one connection that h2 cuts off.
#[derive(Debug)]
pub struct Http2Targets {
    blocks: HeaderBlocks,
    paths: PathReader,
    cut: Vec<Box<str>>,
    is_lost: bool,
}

impl Http2Targets {
    /// Creates a reader for a connection before its first byte. A header block of more than
    /// `max_block` bytes ends the inspection.
    pub fn new(max_block: usize) -> Self {
        Self {
            blocks: HeaderBlocks::new(max_block),
            paths: PathReader::new(),
            cut: Vec::new(),
            is_lost: false,
        }
    }

    /// Takes the next bytes of the connection, in pieces of any size. Returns whether [`Self::cut`] or
    /// [`Self::is_lost`] changed.
    pub fn read(&mut self, bytes: &[u8]) -> bool {
        if self.is_lost {
            return false;
        }
        let before = self.cut.len();
        let (paths, cut) = (&mut self.paths, &mut self.cut);
        let read = self.blocks.read(bytes, |block| {
            paths.read(block, |path| inspect(path, cut))?;
            if cut.len() > MAX_CUT {
                return Err(Malformed);
            }
            Ok(())
        });
        self.is_lost = read.is_err();
        self.is_lost || self.cut.len() != before
    }

    /// The targets with a raw `#`, as far as h2 shows them: the part before it, as
    /// [`PathAndQuery::as_str`] spells it.
    pub fn cut(&self) -> &[Box<str>] {
        &self.cut
    }

    /// Whether targets may have been missed. From then on, any target may have had a raw `#`.
    pub fn is_lost(&self) -> bool {
        self.is_lost
    }
}

/// The cut targets, as the requests of the connection see them.
#[derive(Debug, Default)]
pub(super) struct CutTargets {
    /// Whether there is any cut target to compare with. Most connections only check this.
    is_any: AtomicBool,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    cut: Vec<Box<str>>,
    is_lost: bool,
}

impl CutTargets {
    /// Takes over all targets found so far.
    pub(super) fn set(&self, targets: &Http2Targets) {
        let mut known = self.known.lock();
        known.cut.clone_from(&targets.cut);
        known.is_lost = targets.is_lost;
        self.is_any.store(true, Ordering::Relaxed);
    }

    /// Whether the request's target may be shorter than the client sent it. Targets are compared,
    /// since a request does not know its stream: a whole target that equals a cut one counts as
    /// cut.
    pub(super) fn may_hold<B>(&self, request: &Request<B>) -> bool {
        if !self.is_any.load(Ordering::Relaxed) {
            return false;
        }
        let known = self.known.lock();
        let target = request.uri().path_and_query().map(PathAndQuery::as_str);
        known.is_lost || known.cut.iter().any(|cut| target == Some(cut))
    }
}

fn inspect(path: &[u8], cut: &mut Vec<Box<str>>) {
    if !path.iter().fold(false, |any, byte| any | is_special(*byte)) {
        return;
    }
    match PathAndQuery::try_from(path) {
        Ok(target) if path.contains(&b'#') => {
            let target = target.as_str();
            if cut.len() <= MAX_CUT && !cut.iter().any(|known| **known == *target) {
                cut.push(target.into());
            }
        }
        Ok(_) => {}
        // h2 resets the stream, and the client sees only PROTOCOL_ERROR.
        Err(_) => tracing::info!(
            remedy = "Percent-encode the special characters of the request target, such as quotes, \
                      angle brackets and spaces.",
            "an HTTP/2 request was refused: its target is not a valid path and query"
        ),
    }
}

/// Whether a target with this byte may be cut or refused. `http` accepts some of them.
fn is_special(byte: u8) -> bool {
    !matches!(byte, b'!' | b'$'..=b';' | b'=' | b'?'..=b'_' | b'a'..=b'~')
}

#[cfg(test)]
mod tests;
