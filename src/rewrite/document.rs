//! What a FHIR document is: the resource type decides, of a Bundle its type too.

use super::plan::{Holds, Kind};

/// Bundles within each other that are looked into. Azure nests one: a search within a batch.
pub(super) const MAX_BUNDLES: usize = 8;

/// The documents open, outermost first.
#[derive(Debug, Default)]
pub(super) struct Documents(Vec<Document>);

/// An open document.
#[derive(Debug)]
pub(super) struct Document {
    /// How many elements were open before it.
    pub(super) depth: usize,
    is_root: bool,
    is_bundle: bool,
    /// The Bundle's type, once it was named.
    holds: Option<Holds>,
    /// Unknown until what decides it was read; the first word counts.
    pub(super) kind: Option<Kind>,
}

impl Documents {
    /// Begins a document, unless it is stored data or may be.
    pub(super) fn open(&mut self, depth: usize) -> bool {
        let is_answer = self.0.last().is_none_or(|around| {
            around.kind == Some(Kind::AnswerBundle) && around.holds == Some(Holds::Answers)
        });
        if !is_answer || self.0.len() == MAX_BUNDLES {
            return false;
        }
        self.0.push(Document {
            depth,
            is_root: self.0.is_empty(),
            is_bundle: false,
            holds: None,
            kind: None,
        });
        true
    }

    pub(super) fn close(&mut self) {
        self.0.pop();
    }

    /// The innermost.
    pub(super) fn current(&self) -> Option<&Document> {
        self.0.last()
    }

    pub(super) fn current_mut(&mut self) -> Option<&mut Document> {
        self.0.last_mut()
    }
}

/// Each answers with the kind as far as it is now known.
impl Document {
    /// The document names its resource type.
    pub(super) fn is_of_type(&mut self, name: &[u8]) -> Option<Kind> {
        match name {
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
}
