//! The rewriter for forms. A form is a query that comes in chunks.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    bases::{Bases, Syntax},
    output::Output,
    search::Search,
};

/// Changes the links in the values of one form (`application/x-www-form-urlencoded`) of any length.
/// At most the start of a base is held back.
#[derive(Debug)]
pub struct FormRewriter {
    bases: Arc<Bases>,
    search: Search,
    output: Output,
}

impl FormRewriter {
    /// Creates a rewriter for one form.
    pub fn new(bases: Arc<Bases>) -> Self {
        Self {
            bases,
            search: Search::of_query(),
            output: Output::new(Syntax::Plain),
        }
    }

    /// Takes the next chunk of the form, cut anywhere, and returns the next chunk of the rewritten
    /// form, which may be empty. A chunk without changes is not copied.
    #[must_use]
    pub fn push(&mut self, chunk: &Bytes) -> Bytes {
        self.output.begin(chunk.clone());
        self.search.push_all(&self.bases, &mut self.output, chunk);
        let unfinished = self.search.unfinished();
        self.output.end(unfinished)
    }

    /// Ends the form and returns the bytes that were held back.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        self.search.finish(&self.bases, &mut self.output);
        self.output.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::ServiceUrl;

    const OURS: &str = "http://localhost:8080/fhir";
    const THEIRS: &str = "https://h.example";

    fn bases() -> Arc<Bases> {
        let url = |text| ServiceUrl::parse(text).expect("a base URL");
        Arc::new(Bases::new([(&url(OURS), &url(THEIRS))]))
    }

    /// Returns the rewritten form, and how many bytes were held back before its end.
    fn rewritten(form: &[u8], cuts: &[usize]) -> (Vec<u8>, usize) {
        // No replacement is longer than the original, so that missing bytes were held back.
        assert!(THEIRS.len() <= OURS.len());
        let mut rewriter = FormRewriter::new(bases());
        let mut rest = Bytes::copy_from_slice(form);
        let (mut result, mut held) = (Vec::new(), 0);
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let chunk = rest.split_to(rest.len().min(*cut));
            let part = rewriter.push(&chunk);
            held = (held + chunk.len()).saturating_sub(part.len());
            result.extend_from_slice(&part);
        }
        result.extend_from_slice(&rewriter.finish());
        (result, held)
    }

    #[test]
    fn values_change_however_the_form_is_cut() {
        let form = b"subject=http%3A%2F%2Flocalhost%3A8080%2Ffhir%2FPatient%2F1&&a=1&b=http://localhost:8080/fhir";
        let expected = b"subject=https%3A%2F%2Fh.example%2FPatient%2F1&&a=1&b=https://h.example";
        for piece in 1..=form.len() {
            assert_eq!(rewritten(form, &[piece]).0, expected, "{piece}");
        }
        assert_eq!(rewritten(b"", &[1]).0, b"");
    }

    #[test]
    fn a_value_changes_however_long_it_is() {
        let form = |base: &str| {
            let references: Vec<_> = (0..4000).map(|id| format!("{base}/Patient/{id}")).collect();
            format!("_count=1&subject={}", references.join(","))
        };
        let encoded = |base: &str| base.replace(':', "%3A").replace('/', "%2F");
        for (ours, theirs) in [
            (OURS.to_owned(), THEIRS.to_owned()),
            (encoded(OURS), encoded(THEIRS)),
        ] {
            let given = form(&ours);
            for piece in [7, 1000, 64 * 1024, given.len()] {
                let (result, _) = rewritten(given.as_bytes(), &[piece]);
                assert!(result == form(&theirs).as_bytes(), "in pieces of {piece}");
            }
        }
    }

    #[test]
    fn no_more_is_held_than_may_become_a_base() {
        let long = "x".repeat(200_000);
        let form = format!("{long}&a={long}/{long}");
        let (result, held) = rewritten(form.as_bytes(), &[1000]);
        assert!(result == form.as_bytes());
        assert_eq!(held, 0);
        let mut rewriter = FormRewriter::new(bases());
        let open = Bytes::from(format!("a={long},http%3A%2F%2Flocal"));
        let start = "http%3A%2F%2Flocal".len();
        assert_eq!(rewriter.push(&open), open[..open.len() - start]);
        assert_eq!(rewriter.finish(), open[open.len() - start..]);
    }

    fn long_form() -> impl Strategy<Value = String> {
        let part = prop::sample::select(vec![
            OURS,
            "http%3A%2F%2Flocalhost%3A8080%2Ffhir",
            "Observation%3Fsubject%3Dhttp%253A%252F%252Flocalhost%253A8080%252Ffhir",
            "/Patient/1",
            "http%3A%2F%2Flocal",
            ",",
            "%2C",
            "$",
            "%24",
            "%7C",
            "%252C",
            "\\,",
            "%26",
            "%",
            "&",
            "=",
            "x",
        ]);
        (
            part.clone(),
            prop::collection::vec(part, 0..40),
            1..300_usize,
        )
            .prop_map(|(first, parts, times)| format!("a={first}{}", parts.concat().repeat(times)))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

        #[test]
        fn the_cuts_do_not_matter(
            form in long_form(),
            cuts in prop::collection::vec(prop_oneof![1..60_usize, 1..9000_usize], 1..8),
        ) {
            let expected = bases().rewrite_query(form.as_bytes());
            let expected = expected.unwrap_or_else(|| form.clone().into_bytes());
            let (result, _) = rewritten(form.as_bytes(), &cuts);
            prop_assert_eq!(String::from_utf8_lossy(&result), String::from_utf8_lossy(&expected));
        }
    }
}
