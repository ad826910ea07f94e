//! Compares the scanner with a reference that reads the whole document, decides, and writes it
//! anew.

mod documents;
mod printer;
mod reference;

use proptest::prelude::*;
use serde_json::Value;

use super::{super::sink::MAX_HELD, Arc, Bases, Bytes, JsonRewriter, Plan};
use crate::config::ServiceUrl;
use documents::document;
use printer::{Printed, print};
use reference::{Tree, mark_all, mark_fhir};

const FROM: &str = "https://h.example/v2";
const ORIGIN: &str = "https://h.example";
const TO: &str = "http://localhost:8080/a-longer-path/than/before";

fn bases() -> Arc<Bases> {
    let url = |text| ServiceUrl::parse(text).expect("a base URL");
    Arc::new(Bases::new([(&url(FROM), &url(TO))]))
}

fn rewrite(plan: Plan, limit: usize, document: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut rewriter = JsonRewriter::new(plan, bases());
    rewriter.output.hold_at_most(limit);
    let mut rest = Bytes::copy_from_slice(document);
    let mut result = Vec::new();
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let chunk = rest.split_to(rest.len().min(*cut));
        result.extend_from_slice(&rewriter.push(&chunk));
    }
    result.extend_from_slice(&rewriter.finish());
    result
}

fn check(
    plan: Plan,
    value: &Value,
    tree: &Tree,
    dice: &[u8],
    cuts: &[usize],
) -> Result<Printed, TestCaseError> {
    let printed = print(tree, dice);
    let read: Value = serde_json::from_str(&printed.text).expect("a document");
    prop_assert_eq!(&read, value, "the printer errs");
    let result = rewrite(plan, MAX_HELD, printed.text.as_bytes(), cuts);
    prop_assert_eq!(
        String::from_utf8_lossy(&result),
        printed.changed(|_| true),
        "{}",
        printed.text
    );
    Ok(printed)
}

fn dice() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..64)
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(1..100_usize, 1..8)
}

/// A limit on held bytes that some of the documents exceed.
fn limit() -> impl Strategy<Value = usize> {
    prop_oneof![0..100_usize, 100..600_usize]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn fhir_responses_change_as_the_reference_says(
        value in document(),
        dice in dice(),
        cuts in cuts(),
    ) {
        check(Plan::FhirResponse, &value, &mark_fhir(&value), &dice, &cuts)?;
    }

    #[test]
    fn links_that_need_not_wait_change_whatever_is_kept_back(
        value in document(),
        dice in dice(),
        cuts in cuts(),
        limit in limit(),
    ) {
        let printed = print(&mark_fhir(&value), &dice);
        let rewrite = |limit, cuts: &[usize]| {
            let result = rewrite(Plan::FhirResponse, limit, printed.text.as_bytes(), cuts);
            String::from_utf8(result).expect("a document")
        };
        prop_assert_eq!(rewrite(0, &cuts), printed.changed(|link| !link.waits), "{}", printed.text);
        let result = rewrite(limit, &cuts);
        prop_assert_eq!(&result, &rewrite(limit, &[usize::MAX]), "{}", printed.text);
        let links = printed.compare(&result);
        let links = links.ok_or_else(|| TestCaseError::fail(format!("{result}\nof {}", printed.text)))?;
        prop_assert!(links.iter().all(|(link, changed)| *changed || link.waits), "{}\nof {}", result, printed.text);
    }

    #[test]
    fn requests_change_as_the_reference_says(
        value in document(),
        dice in dice(),
        cuts in cuts(),
    ) {
        check(Plan::Request, &value, &mark_all(&value), &dice, &cuts)?;
    }

    #[test]
    fn how_a_broken_document_is_cut_does_not_matter(
        value in document(),
        dice in dice(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cuts in cuts(),
        limit in prop_oneof![limit(), Just(MAX_HELD)],
    ) {
        let mut bytes = print(&mark_fhir(&value), &dice).text.into_bytes();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = b"\"\\{}[],:u/h"[usize::from(byte) % 11];
        }
        for plan in [Plan::FhirResponse, Plan::Request] {
            let whole = rewrite(plan, limit, &bytes, &[usize::MAX]);
            let pieces = rewrite(plan, limit, &bytes, &cuts);
            prop_assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&pieces));
        }
    }
}
