//! The kind of a FHIR document. The resource type decides it, and for a Bundle its `type`, too.
//!
//! FHIR leaves the order of members open. Both members may follow the links and the documents that
//! depend on them. If a member is repeated, the first one counts.

use super::plan::{Entries, Kind};

/// The depth to which nested Bundles are searched. Azure nests one: a search within a batch.
pub(super) const MAX_BUNDLES: usize = 8;

/// The open documents, outermost first.
#[derive(Debug, Default)]
pub(super) struct Documents {
    open: Vec<Document>,
    /// Number of open documents whose kind is unknown.
    unknown: usize,
}

/// An open document.
#[derive(Debug)]
pub(super) struct Document {
    /// Number of elements that were open before it.
    pub(super) depth: usize,
    is_root: bool,
    is_bundle: bool,
    /// The content of a Bundle's entries, once its type was read.
    entries: Option<Entries>,
    /// The kind. `None` until the members that decide it have been read.
    kind: Option<Kind>,
    /// Number of links that already waited when the document began.
    since: usize,
}

/// The condition under which a waiting link changes. It concerns the innermost document of unknown
/// kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// The document is of this kind. The link is its own.
    Is(Kind),
    /// The document is a Bundle of responses. The link belongs to one of the responses.
    HoldsResponses,
}

/// The outcome for one document, which decides the links that waited for it.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Number of links that already waited when the document began, for documents around it.
    pub(super) since: usize,
    /// The kind. `None` if the document ended without the members that decide it.
    kind: Option<Kind>,
    holds_responses: bool,
    /// Whether no document around it is still of unknown kind.
    pub(super) is_last: bool,
}

impl Verdict {
    pub(super) fn allows(&self, condition: Condition) -> bool {
        match condition {
            Condition::Is(kind) => self.kind == Some(kind),
            Condition::HoldsResponses => self.holds_responses,
        }
    }
}

impl Documents {
    /// Opens a document and returns true, or returns false if it is stored data. A document is also
    /// opened within one whose kind is still unknown and that may be a Bundle of responses.
    pub(super) fn open(&mut self, depth: usize, waiting: usize) -> bool {
        let may_be_response = self.open.last().is_none_or(Document::may_hold_responses);
        if !may_be_response || self.open.len() == MAX_BUNDLES {
            return false;
        }
        self.open.push(Document {
            depth,
            is_root: self.open.is_empty(),
            is_bundle: false,
            entries: None,
            kind: None,
            since: waiting,
        });
        self.unknown += 1;
        true
    }

    /// Sets the kind of the innermost document, unless it was known before.
    pub(super) fn settle(&mut self, kind: Kind) -> Option<Verdict> {
        let document = self.open.last_mut()?;
        if document.kind.is_some() {
            return None;
        }
        document.kind = Some(kind);
        self.unknown -= 1;
        Some(document.verdict(self.unknown == 0))
    }

    /// Closes the innermost document. If its kind is still unknown, it has no links.
    pub(super) fn close(&mut self) -> Option<Verdict> {
        let document = self.open.pop()?;
        if document.kind.is_some() {
            return None;
        }
        self.unknown -= 1;
        Some(document.verdict(self.unknown == 0))
    }

    /// The innermost document.
    pub(super) fn current(&self) -> Option<&Document> {
        self.open.last()
    }

    pub(super) fn current_mut(&mut self) -> Option<&mut Document> {
        self.open.last_mut()
    }

    /// Whether the innermost document is of this kind, or may turn out to be.
    pub(super) fn may_be(&self, wanted: Kind) -> bool {
        let current = self.open.last();
        current.is_some_and(|document| document.kind.is_none_or(|kind| kind == wanted))
    }

    /// Returns the condition for a link that is one only if the innermost document is of kind
    /// `wanted`. `None` if all kinds are known.
    pub(super) fn condition(&self, wanted: Kind) -> Option<Condition> {
        if self.unknown == 0 {
            return None;
        }
        let kind = self.open.last().and_then(|document| document.kind);
        Some(kind.map_or(Condition::Is(wanted), |_| Condition::HoldsResponses))
    }
}

impl Document {
    /// Notes the resource type. Returns the document's kind as far as it is now known.
    pub(super) fn is_of_type(&mut self, name: &[u8]) -> Option<Kind> {
        match name {
            _ if self.is_bundle => None,
            b"Bundle" => {
                self.is_bundle = true;
                self.bundle_kind()
            }
            b"CapabilityStatement" if self.is_root => Some(Kind::Capability),
            _ => Some(Kind::Other),
        }
    }

    /// Notes the member `type`, which counts if the document is a Bundle. Returns the document's
    /// kind as far as it is now known.
    pub(super) fn is_bundle_of_type(&mut self, name: &[u8]) -> Option<Kind> {
        self.entries.get_or_insert_with(|| Entries::of_type(name));
        self.bundle_kind()
    }

    /// Notes `transactionTime`, which no resource has. Returns the document's kind as far as it is
    /// now known.
    pub(super) fn has_transaction_time(&self) -> Option<Kind> {
        (!self.is_bundle).then_some(Kind::Status)
    }

    fn bundle_kind(&self) -> Option<Kind> {
        let entries = self.entries.filter(|_| self.is_bundle)?;
        Some(entries.kind())
    }

    fn may_hold_responses(&self) -> bool {
        self.kind.is_none_or(|kind| kind == Kind::ResponseBundle)
            && self
                .entries
                .is_none_or(|entries| entries == Entries::Responses)
    }

    fn verdict(&self, is_last: bool) -> Verdict {
        Verdict {
            since: self.since,
            kind: self.kind,
            holds_responses: self.kind.is_some() && self.may_hold_responses(),
            is_last,
        }
    }
}
