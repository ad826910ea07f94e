//! The rewriter for forms: a query, in parts.

use std::sync::Arc;

use bytes::Bytes;

use super::Bases;

/// A pair that is longer than this passes unchanged. No URL is.
const MAX_PAIR: usize = 64 * 1024;

/// Changes the links in the values of one form (`application/x-www-form-urlencoded`).
#[derive(Debug)]
pub struct FormRewriter {
    bases: Arc<Bases>,
    /// The start of a pair whose end has not come yet.
    held: Held,
}

enum Held {
    Pair(Vec<u8>),
    /// In a pair that was too long to be held.
    Passing,
}

/// Without the bytes, which are a patient's.
impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

impl FormRewriter {
    /// A rewriter for one form.
    pub fn new(bases: Arc<Bases>) -> Self {
        Self {
            bases,
            held: Held::Pair(Vec::new()),
        }
    }

    /// Takes the next part of the form, cut anywhere, and answers with the next part of the
    /// rewritten one. May be empty.
    #[must_use]
    pub fn push(&mut self, chunk: &Bytes) -> Bytes {
        let end = memchr::memrchr(b'&', chunk).map(|at| at + 1);
        let (pairs, start) = chunk.split_at(end.unwrap_or(0));
        let mut result = Vec::new();
        if !pairs.is_empty() {
            match &mut self.held {
                Held::Pair(held) => {
                    held.extend_from_slice(pairs);
                    result = self.rewritten();
                }
                Held::Passing => {
                    let first = memchr::memchr(b'&', pairs).unwrap_or(0);
                    result.extend_from_slice(&pairs[..first]);
                    self.held = Held::Pair(pairs[first..].to_vec());
                    result.extend(self.rewritten());
                }
            }
        }
        match &mut self.held {
            Held::Pair(held) if held.len() + start.len() <= MAX_PAIR => {
                held.extend_from_slice(start);
            }
            Held::Pair(held) => {
                result.append(held);
                result.extend_from_slice(start);
                self.held = Held::Passing;
            }
            Held::Passing => result.extend_from_slice(start),
        }
        result.into()
    }

    /// What is left to give out at the end of the form.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        self.rewritten().into()
    }

    fn rewritten(&mut self) -> Vec<u8> {
        match &mut self.held {
            Held::Pair(held) => {
                let pairs = std::mem::take(held);
                self.bases.rewrite_query(&pairs).unwrap_or(pairs)
            }
            Held::Passing => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServiceUrl;

    fn rewritten(form: &[u8], piece: usize) -> Vec<u8> {
        let url = |text| ServiceUrl::parse(text).expect("a base URL");
        let (from, to) = (url("http://localhost:8080/fhir"), url("https://h.example"));
        let mut rewriter = FormRewriter::new(Arc::new(Bases::new([(&from, &to)])));
        let mut result = Vec::new();
        for chunk in form.chunks(piece) {
            result.extend(rewriter.push(&Bytes::copy_from_slice(chunk)));
        }
        result.extend(rewriter.finish());
        result
    }

    #[test]
    fn values_change_however_the_form_is_cut() {
        let form = b"subject=http%3A%2F%2Flocalhost%3A8080%2Ffhir%2FPatient%2F1&&a=1&b=http://localhost:8080/fhir";
        let expected = b"subject=https%3A%2F%2Fh.example%2FPatient%2F1&&a=1&b=https://h.example";
        for piece in 1..=form.len() {
            assert_eq!(rewritten(form, piece), expected, "{piece}");
        }
        assert_eq!(rewritten(b"", 1), b"");
    }

    #[test]
    fn a_pair_without_end_is_not_held() {
        let long = "x".repeat(MAX_PAIR);
        let form = format!("a={long}&b=http://localhost:8080/fhir/1&c={long}");
        let expected = form.replace("http://localhost:8080/fhir", "https://h.example");
        for piece in [1000, MAX_PAIR, form.len()] {
            assert_eq!(rewritten(form.as_bytes(), piece), expected.as_bytes());
        }
    }
}
