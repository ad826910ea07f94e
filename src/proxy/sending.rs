//! Sends a request, as the upstream is to see it.

use http::{Request, Response, header, request::Parts};

use super::{
    Shared, body::UploadBody, exchange::Exchange, failure::Failure, headers, route::Route,
};
use crate::{
    token::Token,
    upstream::{AnswerBody, Repeat},
};

/// An upstream's response, with its body still to come.
pub(super) type Answer = Response<AnswerBody<UploadBody>>;

/// The request as the upstream sees it: its own name, our token, the rest as it came.
pub(super) fn upstream_request(
    route: &Route,
    head: Parts,
    target: http::Uri,
    token: Option<&Token>,
) -> Request<()> {
    let mut headers = head.headers;
    headers::strip_request(&mut headers);
    for (name, value) in &route.headers {
        headers.insert(name, value.clone());
    }
    let mut request = Request::new(());
    *request.method_mut() = head.method;
    *request.uri_mut() = target;
    *request.headers_mut() = headers;
    if let Some(token) = token {
        authorize(&mut request, token);
    }
    request
}

pub(super) fn authorize(request: &mut Request<()>, token: &Token) {
    let authorization = token.authorization.clone();
    request
        .headers_mut()
        .insert(header::AUTHORIZATION, authorization);
}

/// Sends a request and waits for the response's head, for as long as something moves.
pub(super) async fn send(
    route: &Route,
    head: &Request<()>,
    upload: UploadBody,
    exchange: &Exchange,
    shared: &Shared,
) -> Result<Answer, Failure> {
    let is_safe = head.method().is_safe();
    let again = |reason| match reason {
        Repeat::Farewell if !is_safe && !exchange.is_just_sent() => None,
        _ => {
            let body = exchange.kept()?;
            exchange.moved();
            Some(UploadBody::whole(body, None))
        }
    };
    let sending = route.pool.send(head, upload, again);
    let sent = exchange.while_moving(&shared.alarms, sending).await;
    let sent = sent.map_err(|late| Failure::late(late, exchange.timeouts()))?;
    sent.map_err(|error| match shared.limits.request_body {
        Some(limit) if exchange.is_too_large() => Failure::body_too_large(limit),
        _ if exchange.is_broken_off() => Failure::malformed_body(),
        _ if exchange.is_damaged() => Failure::damaged_body(),
        _ => Failure::not_sent(&error),
    })
}
