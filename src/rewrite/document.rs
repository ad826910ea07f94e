//! The kind of a FHIR document: its resource type decides and, for a Bundle, its type.
//!
//! FHIR leaves the order of members open, so both may follow the links, or a whole document within the one that they
//! decide about. Where a member comes twice, the first counts.

use super::plan::{Holds, Kind};

/// Bundles within each other that are looked into. Azure nests one: a search within a batch.
pub(super) const MAX_BUNDLES: usize = 8;

/// The documents open, outermost first.
#[derive(Debug, Default)]
pub(super) struct Documents {
    open: Vec<Document>,
    /// How many of them are of unknown kind.
    unknown: usize,
}

/// An open document.
#[derive(Debug)]
pub(super) struct Document {
    /// How many elements were open before it.
    pub(super) depth: usize,
    is_root: bool,
    is_bundle: bool,
    /// The Bundle's type, once it was named.
    holds: Option<Holds>,
    /// Unknown until what decides it was read.
    kind: Option<Kind>,
    /// How many links waited when it began.
    since: usize,
}

/// The kind that the innermost undecided document must turn out to be if a link is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    /// Of this kind: the link is its own.
    Is(Kind),
    /// A Bundle of responses: the link belongs to one of them.
    HoldsAnswers,
}

/// The kind of a document, for the links that waited for it.
#[derive(Debug)]
pub(super) struct Verdict {
    /// So many links waited already when it began, for documents around it.
    pub(super) since: usize,
    /// None if it ended without saying so.
    kind: Option<Kind>,
    holds_answers: bool,
    /// Whether no document of unknown kind is left around it.
    pub(super) is_last: bool,
}

impl Verdict {
    pub(super) fn allows(&self, condition: Condition) -> bool {
        match condition {
            Condition::Is(kind) => self.kind == Some(kind),
            Condition::HoldsAnswers => self.holds_answers,
        }
    }
}

impl Documents {
    /// Begins a document, unless it is stored data. As long as what is around it may turn out to be
    /// a Bundle of responses, it is looked into on trial.
    pub(super) fn open(&mut self, depth: usize, waiting: usize) -> bool {
        let may_be_answer = self.open.last().is_none_or(Document::may_hold_answers);
        if !may_be_answer || self.open.len() == MAX_BUNDLES {
            return false;
        }
        self.open.push(Document {
            depth,
            is_root: self.open.is_empty(),
            is_bundle: false,
            holds: None,
            kind: None,
            since: waiting,
        });
        self.unknown += 1;
        true
    }

    /// The innermost is of this kind, unless it was known before.
    pub(super) fn settle(&mut self, kind: Kind) -> Option<Verdict> {
        let document = self.open.last_mut()?;
        if document.kind.is_some() {
            return None;
        }
        document.kind = Some(kind);
        self.unknown -= 1;
        Some(document.verdict(self.unknown == 0))
    }

    /// The innermost ends. If its kind is unknown still, it has no links.
    pub(super) fn close(&mut self) -> Option<Verdict> {
        let document = self.open.pop()?;
        if document.kind.is_some() {
            return None;
        }
        self.unknown -= 1;
        Some(document.verdict(self.unknown == 0))
    }

    /// The innermost.
    pub(super) fn current(&self) -> Option<&Document> {
        self.open.last()
    }

    pub(super) fn current_mut(&mut self) -> Option<&mut Document> {
        self.open.last_mut()
    }

    /// Whether the innermost is of this kind, or may turn out to be.
    pub(super) fn may_be(&self, wanted: Kind) -> bool {
        let current = self.open.last();
        current.is_some_and(|document| document.kind.is_none_or(|kind| kind == wanted))
    }

    /// The condition for a link that the innermost document has if it is of this kind.
    pub(super) fn condition(&self, wanted: Kind) -> Option<Condition> {
        if self.unknown == 0 {
            return None;
        }
        let kind = self.open.last().and_then(|document| document.kind);
        Some(kind.map_or(Condition::Is(wanted), |_| Condition::HoldsAnswers))
    }
}

impl Document {
    /// The document names its resource type. Answers with the kind as far as it is now known.
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

    /// The document names what would be its type if it is a Bundle.
    pub(super) fn is_bundle_of_type(&mut self, name: &[u8]) -> Option<Kind> {
        self.holds.get_or_insert_with(|| Holds::of_type(name));
        self.bundle_kind()
    }

    /// The document has a `transactionTime`, which no resource has.
    pub(super) fn has_transaction_time(&self) -> Option<Kind> {
        (!self.is_bundle).then_some(Kind::Status)
    }

    fn bundle_kind(&self) -> Option<Kind> {
        let holds = self.holds.filter(|_| self.is_bundle)?;
        Some(holds.kind())
    }

    fn may_hold_answers(&self) -> bool {
        self.kind.is_none_or(|kind| kind == Kind::AnswerBundle)
            && self.holds.is_none_or(|holds| holds == Holds::Answers)
    }

    fn verdict(&self, is_last: bool) -> Verdict {
        Verdict {
            since: self.since,
            kind: self.kind,
            holds_answers: self.kind.is_some() && self.may_hold_answers(),
            is_last,
        }
    }
}
