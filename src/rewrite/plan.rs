//! The elements of a document that hold links of the protocol. All other content is the user's
//! data.

/// The document to rewrite, which decides which of its elements are links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// A response of a FHIR service. Its content decides which document it is.
    ///
    /// - Bundle of type `searchset`, `history`, `batch-response` or `transaction-response`:
    ///   `link[].url`, `entry[].link[].url`, `entry[].fullUrl`, `entry[].request.url`,
    ///   `entry[].response.location`. In a `batch-response` or `transaction-response`, an
    ///   `entry[].resource` that is itself such a Bundle is the response to a search or history in
    ///   the batch, and its links change, too. In a search or history, every resource is stored
    ///   data and stays as it is.
    /// - `CapabilityStatement`: `url`, `implementation.url`, `rest[].operation[].definition`,
    ///   `rest[].resource[].operation[].definition`, in STU3 `definition.reference`.
    /// - Status of an export or import, which has `transactionTime` and no `resourceType`:
    ///   `request`. Its files lie in a storage account.
    FhirResponse,
    /// `.well-known/smart-configuration`: every string at the top level.
    SmartConfiguration,
    /// The response to an upload of DICOM instances: `RetrieveURL` (0008,1190) at the top level and
    /// in the items of Failed SOP Sequence (0008,1198) and Referenced SOP Sequence (0008,1199).
    DicomStore,
    /// Operations, extended query tags and similar documents of a DICOM service: `href`,
    /// `resources[]`, `errors.href`, `operation.href`. `errorHref` points to a storage account and
    /// stays.
    DicomOperation,
    /// A request: every string except the narrative, so that no URL of the proxy is ever stored. In
    /// a string that is a search, the query changes, too (`rewrite::search` defines a search).
    Request,
}

/// The kind of a FHIR document, as far as its links depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A Bundle of one of the four types that a server builds as a response.
    ResponseBundle,
    /// A `CapabilityStatement`.
    Capability,
    /// The status of an export or import.
    Status,
    /// A document without links of the protocol.
    Other,
}

/// A place in a document, and the places below it. A value whose JSON type is not listed is
/// skipped.
#[derive(Debug)]
pub(super) struct Element {
    /// The listed members, if it is an object.
    pub(super) members: &'static [(&'static str, &'static Element)],
    /// The place of every other member, if it is an object.
    pub(super) others: Option<&'static Element>,
    /// The place of its items, if it is an array.
    pub(super) items: Option<&'static Element>,
    /// The role of the text, if it is a string.
    pub(super) text: Text,
    /// Whether an object here is a FHIR document with a kind of its own.
    pub(super) document: bool,
}

/// The role of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// Text without a role.
    Ignored,
    /// Perhaps a URL below a base.
    Url,
    /// Perhaps a URL below a base, or a search that names such URLs.
    Search,
    /// Perhaps a query that names URLs below a base.
    Condition,
    /// Perhaps a URL below a base, if the document is of this kind.
    UrlIn(Kind),
    /// The type of the resource.
    ResourceType,
    /// The type of the Bundle.
    BundleType,
    /// Marks the status of an export or import. No other document has it.
    TransactionTime,
}

impl Element {
    /// Returns the place of a member.
    pub(super) fn member(&self, name: &[u8]) -> &'static Element {
        self.members
            .iter()
            .find(|(listed, _)| listed.as_bytes() == name)
            .map(|(_, element)| *element)
            .or(self.others)
            .unwrap_or(&IGNORED)
    }

    /// Whether an object here can be skipped as a whole.
    pub(super) fn has_no_members(&self) -> bool {
        self.members.is_empty() && self.others.is_none()
    }
}

impl Plan {
    pub(super) fn root(self) -> &'static Element {
        match self {
            Self::FhirResponse => &FHIR,
            Self::SmartConfiguration => &SMART,
            Self::DicomStore => &STORE,
            Self::DicomOperation => &OPERATION,
            Self::Request => &ANYTHING,
        }
    }
}

/// The content of a Bundle's entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entries {
    /// Resources that a search or history found.
    Matches,
    /// Responses to the requests of a batch or transaction.
    Responses,
    /// Stored data, since the server did not build the Bundle itself.
    Data,
}

impl Entries {
    /// Returns the content that a `Bundle.type` stands for.
    pub(super) fn of_type(name: &[u8]) -> Self {
        match name {
            b"searchset" | b"history" => Self::Matches,
            b"batch-response" | b"transaction-response" => Self::Responses,
            _ => Self::Data,
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Matches | Self::Responses => Kind::ResponseBundle,
            Self::Data => Kind::Other,
        }
    }
}

const NOTHING: Element = Element {
    members: &[],
    others: None,
    items: None,
    text: Text::Ignored,
    document: false,
};

const fn object(members: &'static [(&'static str, &'static Element)]) -> Element {
    Element { members, ..NOTHING }
}

const fn array(items: &'static Element) -> Element {
    Element {
        items: Some(items),
        ..NOTHING
    }
}

const fn text(text: Text) -> Element {
    Element { text, ..NOTHING }
}

pub(super) static IGNORED: Element = NOTHING;
static URL: Element = text(Text::Url);
static BUNDLE_URL: Element = text(Text::UrlIn(Kind::ResponseBundle));
static CAPABILITY_URL: Element = text(Text::UrlIn(Kind::Capability));
static RESOURCE_TYPE: Element = text(Text::ResourceType);
static BUNDLE_TYPE: Element = text(Text::BundleType);

static FHIR: Element = Element {
    members: &[
        ("resourceType", &RESOURCE_TYPE),
        ("type", &BUNDLE_TYPE),
        ("link", &LINKS),
        ("entry", &ENTRIES),
        ("url", &CAPABILITY_URL),
        ("implementation", &object(&[("url", &CAPABILITY_URL)])),
        ("rest", &array(&REST)),
        ("transactionTime", &text(Text::TransactionTime)),
        ("request", &text(Text::UrlIn(Kind::Status))),
    ],
    document: true,
    ..NOTHING
};
/// The response to one request of a batch.
static RESOURCE: Element = Element {
    members: &[
        ("resourceType", &RESOURCE_TYPE),
        ("type", &BUNDLE_TYPE),
        ("link", &LINKS),
        ("entry", &ENTRIES),
    ],
    document: true,
    ..NOTHING
};
static LINKS: Element = array(&object(&[("url", &BUNDLE_URL)]));
static ENTRIES: Element = array(&object(&[
    ("fullUrl", &BUNDLE_URL),
    ("resource", &RESOURCE),
    ("link", &LINKS),
    ("request", &object(&[("url", &BUNDLE_URL)])),
    ("response", &object(&[("location", &BUNDLE_URL)])),
]));
static REST: Element = object(&[
    ("operation", &OPERATIONS),
    ("resource", &array(&object(&[("operation", &OPERATIONS)]))),
]);
static OPERATIONS: Element = array(&object(&[("definition", &DEFINITION)]));
/// A canonical URL or, before R4, a reference.
static DEFINITION: Element = Element {
    text: Text::UrlIn(Kind::Capability),
    ..object(&[("reference", &CAPABILITY_URL)])
};

static SMART: Element = Element {
    others: Some(&URL),
    ..NOTHING
};

static STORE: Element = object(&[
    ("00081190", &RETRIEVE_URL),
    ("00081198", &REFERENCES),
    ("00081199", &REFERENCES),
]);
static RETRIEVE_URL: Element = object(&[("Value", &array(&URL))]);
static REFERENCES: Element = object(&[("Value", &array(&object(&[("00081190", &RETRIEVE_URL)])))]);

/// An operation or query tag. A list of query tags is an array of them.
static OPERATION: Element = Element {
    items: Some(&OPERATION),
    ..object(&[
        ("href", &URL),
        ("resources", &array(&URL)),
        ("errors", &HREF),
        ("operation", &HREF),
    ])
};
static HREF: Element = object(&[("href", &URL)]);

static ANYTHING: Element = Element {
    members: &[("div", &IGNORED), ("ifNoneExist", &CONDITION)],
    others: Some(&ANYTHING),
    items: Some(&ANYTHING),
    text: Text::Search,
    ..NOTHING
};
static CONDITION: Element = Element {
    items: Some(&CONDITION),
    text: Text::Condition,
    ..ANYTHING
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrite::word::Word;

    /// Without this limit, a longer name would be recognized only if no chunk cuts it.
    #[test]
    fn every_name_fits_into_a_word() {
        fn check(element: &'static Element, seen: &mut Vec<*const Element>) -> usize {
            if seen.contains(&std::ptr::from_ref(element)) {
                return 0;
            }
            seen.push(element);
            for (name, _) in element.members {
                assert!(name.len() <= Word::LONGEST, "{name}");
            }
            let members = element.members.iter().map(|(_, element)| *element);
            let inner = members.chain(element.items).chain(element.others);
            element.members.len() + inner.map(|inner| check(inner, seen)).sum::<usize>()
        }
        let plans = [
            Plan::FhirResponse,
            Plan::SmartConfiguration,
            Plan::DicomStore,
            Plan::DicomOperation,
            Plan::Request,
        ];
        let names: usize = plans
            .iter()
            .map(|plan| check(plan.root(), &mut Vec::new()))
            .sum();
        assert!(names > 30, "{names} names only");
    }
}
