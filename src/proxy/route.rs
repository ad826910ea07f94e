//! The route that a path belongs to, and the request target on its upstream.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Uri, request::Parts, uri::PathAndQuery};

use super::{failure::Failure, links::BaseUrls, response_fault::FaultLog};
use crate::{
    config::{self, RouteKind},
    token::Source,
    upstream::Pool,
};

/// A route of the configuration, with the parts that its requests need.
#[derive(Debug)]
pub(crate) struct Route {
    pub(super) name: Arc<str>,
    pub(super) kind: RouteKind,
    prefix: config::Prefix,
    pub(super) base_path: String,
    pub(super) read_only: bool,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// `None` where links are kept as they are.
    pub(super) base_urls: Option<BaseUrls>,
    pub(super) retry_throttled: bool,
    /// Whether the upstream is a web application, whose scripts may run at the proxy's address.
    pub(super) pages: bool,
    pub(super) source: Arc<Source>,
    pub(super) pool: Pool,
    pub(super) faults: FaultLog,
}

impl Route {
    /// Builds a route.
    pub(crate) fn new(
        config: &config::Route,
        base_urls: Option<BaseUrls>,
        source: Arc<Source>,
        pool: Pool,
    ) -> Self {
        Self {
            name: config.name.clone(),
            kind: config.kind,
            prefix: config.prefix.clone(),
            base_path: config.upstream.base_path().to_owned(),
            read_only: config.read_only,
            headers: config.headers.clone(),
            base_urls,
            retry_throttled: config.retry_throttled,
            pages: config.pages,
            source,
            pool,
            faults: FaultLog::default(),
        }
    }

    /// The prefix that clients put before a path of the upstream.
    pub(super) fn prefix(&self) -> &str {
        self.prefix.as_str()
    }

    /// The part of `path` after the prefix. `None` if the path does not belong to this route.
    pub(super) fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.prefix.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// The request target on the upstream: the upstream's own path, then `rest` and the query byte
    /// for byte.
    pub(super) fn target(&self, rest: &str, query: Option<&str>) -> Result<Uri, Failure> {
        let path = if rest.is_empty() && self.base_path.is_empty() {
            "/"
        } else {
            rest
        };
        let mut target = String::with_capacity(
            self.base_path.len() + path.len() + query.map_or(0, |q| q.len() + 1),
        );
        target.push_str(&self.base_path);
        target.push_str(path);
        if let Some(query) = query {
            target.push('?');
            target.push_str(query);
        }
        let target = PathAndQuery::from_maybe_shared(bytes::Bytes::from(target))
            .map_err(|_| Failure::malformed_target())?;
        Ok(Uri::from(target))
    }
}

/// The route of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Located<'a> {
    pub(super) route: &'a Route,
    /// The number of the route, counted from 0.
    pub(super) number: usize,
    /// The start of the upstream's part of the path.
    rest_at: usize,
}

impl Located<'_> {
    /// The path after the route's prefix.
    pub(super) fn rest<'h>(&self, head: &'h Parts) -> &'h str {
        &head.uri.path()[self.rest_at..]
    }
}

/// Finds the route with this name, for a listener that serves only this route. The whole path is
/// the upstream's.
pub(super) fn by_name<'a>(routes: &'a [Arc<Route>], name: &str, path: &str) -> Option<Located<'a>> {
    let number = routes.iter().position(|route| &*route.name == name)?;
    path.starts_with('/').then_some(Located {
        route: &routes[number],
        number,
        rest_at: 0,
    })
}

/// Finds the route with the longest prefix that matches.
pub(super) fn find<'a>(routes: &'a [Arc<Route>], path: &str) -> Option<Located<'a>> {
    let matching = routes.iter().enumerate().filter_map(|(number, route)| {
        Some(Located {
            route,
            number,
            rest_at: path.len() - route.strip(path)?.len(),
        })
    });
    matching.max_by_key(|located| located.rest_at)
}

/// Refuses a path that leads out of its route's prefix.
pub(super) fn check_path(rest: &str) -> Result<(), Failure> {
    if leaves_its_prefix(rest) {
        Err(Failure::path_leaves_prefix())
    } else {
        Ok(())
    }
}

/// Whether some server might read a path as leading out of its prefix. Such a path contains
///
/// - a dot segment, plain or percent-encoded once or twice, between slashes or backslashes, plain
///   or encoded;
/// - a raw backslash;
/// - a NUL, at which some servers cut the path off.
fn leaves_its_prefix(path: &str) -> bool {
    let bytes = path.as_bytes();
    if !bytes.iter().any(|byte| matches!(byte, b'.' | b'%' | b'\\')) {
        return false;
    }
    if bytes.contains(&b'\\') {
        return true;
    }
    let once = percent_decoded(bytes);
    let twice = percent_decoded(&once);
    [bytes, &once, &twice].into_iter().any(|path| {
        path.contains(&0)
            || path
                .split(|byte| matches!(byte, b'/' | b'\\'))
                // Some servers drop parameters (`..;a=b`) before they look for dot segments.
                .map(|segment| {
                    segment
                        .split(|byte| *byte == b';')
                        .next()
                        .unwrap_or_default()
                })
                .any(|segment| segment == b"..")
    })
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    percent_encoding::percent_decode(bytes).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_that_leave_their_prefix() {
        for path in [
            "/..",
            "/../dicom",
            "/a/../../b",
            "/%2e%2e/",
            "/.%2E/x",
            "/%2e./x",
            "/%252e%252e/x",
            "%2f..",
            "/a%2f..%2fb",
            "/a%5c..%5cb",
            "/a\\b",
            "/..;/x",
            "/..;a=b/x",
            "/a%00b",
            "/a/..",
        ] {
            assert!(leaves_its_prefix(path), "{path}");
        }
    }

    #[test]
    fn paths_that_stay() {
        for path in [
            "",
            "/",
            "//",
            "/Patient/a.b",
            "/Patient/...",
            "/Patient/..a",
            "/Patient/a..",
            "/$export",
            "/%24export",
            "/a%2Fb",
            "/a%3Ab|c+d",
            "/a;b=c/d",
            "/100%",
            "/%zz",
            "/./a",
        ] {
            assert!(!leaves_its_prefix(path), "{path}");
        }
    }

    proptest! {
        /// An accepted path never leads above its prefix, however an upstream decodes it.
        #[test]
        fn accepted_paths_resolve_below_the_base(path in "(/([.%2eE5cCfF;\\\\a]|\\.\\.|%2e){0,8}){0,5}") {
            if !leaves_its_prefix(&path) {
                for rounds in 0..3 {
                    let mut decoded = path.clone().into_bytes();
                    for _ in 0..rounds {
                        decoded = percent_decoded(&decoded);
                    }
                    let mut depth = 0_i32;
                    for segment in decoded.split(|b| matches!(b, b'/' | b'\\')) {
                        depth += match segment { b".." => -1, b"" | b"." => 0, _ => 1 };
                        prop_assert!(depth >= 0);
                    }
                }
            }
        }
    }
}
