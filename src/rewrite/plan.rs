//! Which elements of a document hold links of the protocol. Everything else is somebody's data.

/// Which document is to be rewritten, and with it which of its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// A response of a FHIR service; what it is shows in its content.
    ///
    /// - Bundle of type `searchset`, `history`, `batch-response` or `transaction-response`:
    ///   `link[].url`, `entry[].link[].url`, `entry[].fullUrl`, `entry[].request.url`,
    ///   `entry[].response.location`. In the two responses an `entry[].resource` that is itself
    ///   such a Bundle is the response to a search or history of the batch and treated alike; in
    ///   searches and histories every resource is stored data and left alone.
    /// - `CapabilityStatement`: `url`, `implementation.url`, `rest[].operation[].definition`,
    ///   `rest[].resource[].operation[].definition`, in STU3 `definition.reference`.
    /// - Status of an export or import, which has `transactionTime` and no `resourceType`:
    ///   `request`. Its files lie in a storage account.
    FhirAnswer,
    /// `.well-known/smart-configuration`: every string at the top.
    SmartConfiguration,
    /// The response to an upload of DICOM instances: `RetrieveURL` (0008,1190) at the top and in the
    /// items of Failed and Referenced SOP Sequence (0008,1198), (0008,1199).
    DicomStore,
    /// Operations, extended query tags and the like of a DICOM service: `href`, `resources[]`,
    /// `errors.href`, `operation.href`; not `errorHref`, which lies in a storage account.
    DicomOperation,
    /// A request: every string but the narrative, so that no reference to a proxy's address is ever
    /// stored; of searches the query too (`rewrite::search` says what is one).
    Request,
}

/// The kind of a FHIR document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A Bundle of one of the four types that a server makes up for a response.
    AnswerBundle,
    /// A `CapabilityStatement`.
    Capability,
    /// The status of an export or import.
    Status,
    /// Nothing with links of the protocol.
    Other,
}

/// One place in a document, and what lies below it. A value of a JSON type for which nothing is
/// listed is skipped.
#[derive(Debug)]
pub(super) struct Element {
    /// Listed members, if it is an object.
    pub(super) members: &'static [(&'static str, &'static Element)],
    /// All its other members, if it is an object.
    pub(super) others: Option<&'static Element>,
    /// Its items, if it is an array.
    pub(super) items: Option<&'static Element>,
    /// The use of its text, if it is a string.
    pub(super) text: Text,
    /// Whether an object here is a FHIR document with a kind of its own.
    pub(super) document: bool,
}

/// The use of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// Nothing.
    Ignored,
    /// It may be one of our URLs.
    Url,
    /// It may be one of our URLs, or a search that names some.
    Search,
    /// It may be a query that names some.
    Condition,
    /// It may be one of our URLs if the document is of this kind.
    UrlIn(Kind),
    /// It names the type of the resource.
    ResourceType,
    /// It names the type of the Bundle.
    BundleType,
    /// Only the status of an export or import has it.
    TransactionTime,
}

impl Element {
    /// The place of a member.
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
            Self::FhirAnswer => &FHIR,
            Self::SmartConfiguration => &SMART,
            Self::DicomStore => &STORE,
            Self::DicomOperation => &OPERATION,
            Self::Request => &ANYTHING,
        }
    }
}

/// The entries of a Bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// Resources that a search or history found.
    Findings,
    /// Answers to the requests of a batch or transaction.
    Answers,
    /// Anything else: the Bundle is not the server's own making.
    Data,
}

impl Holds {
    /// By `Bundle.type`.
    pub(super) fn of_type(name: &[u8]) -> Self {
        match name {
            b"searchset" | b"history" => Self::Findings,
            b"batch-response" | b"transaction-response" => Self::Answers,
            _ => Self::Data,
        }
    }

    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Findings | Self::Answers => Kind::AnswerBundle,
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
static BUNDLE_URL: Element = text(Text::UrlIn(Kind::AnswerBundle));
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
/// The response to a request of a batch.
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
/// A canonical URL, or, before R4, a reference.
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

/// A list of query tags is an array of such objects.
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
