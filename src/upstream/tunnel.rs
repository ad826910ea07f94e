//! Opens a connection through an HTTP proxy by CONNECT (RFC 9110, section 9.3.6). The proxy then
//! passes bytes on, so TLS goes from here to the server.

use std::future::pending;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::{body::Incoming, client::conn::http1, upgrade};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{origin::Origin, proxy_error::ProxyFailure};
use crate::config::ForwardProxy;

/// The ways to sign in to a proxy that only programs of a Windows domain have.
const DOMAIN_SCHEMES: [&str; 3] = ["Negotiate", "NTLM", "Kerberos"];

/// Turns a connection to `proxy` into one to `origin`.
pub(super) async fn open(
    tcp: TcpStream,
    proxy: &ForwardProxy,
    origin: &Origin,
) -> Result<TcpStream, ProxyFailure> {
    let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(tcp))
        .await
        .map_err(|error| broken(&error))?;
    let exchange = async {
        let sent = sender.send_request(request(proxy, origin)).await;
        let response = sent.map_err(|error| broken(&error))?;
        if !response.status().is_success() {
            return Err(refusal(&response, proxy));
        }
        upgrade::on(response).await.map_err(|error| broken(&error))
    };
    let drive = async {
        // The exchange gets the error, if there is one.
        let _ = connection.with_upgrades().await;
        pending::<()>().await;
    };
    let upgraded = tokio::select! {
        upgraded = exchange => upgraded?,
        () = drive => unreachable!("it is pending for ever"),
    };
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .expect("the connection was made of one");
    // The server sends nothing before the client's first TLS message, so these bytes are another's.
    if !parts.read_buf.is_empty() {
        return Err(ProxyFailure::NotHttp);
    }
    Ok(parts.io.into_inner())
}

fn request(proxy: &ForwardProxy, origin: &Origin) -> Request<Empty<Bytes>> {
    let target = origin.to_string();
    let host = HeaderValue::from_str(&target).expect("host and port are visible ASCII");
    let mut request = Request::connect(Uri::try_from(target).expect("host and port make a target"))
        .header(header::HOST, host)
        .header(
            header::USER_AGENT,
            concat!("ahds-proxy/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::new())
        .expect("a checked target and constants make a request");
    if let Some(authorization) = proxy.authorization() {
        let headers = request.headers_mut();
        headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
    }
    request
}

fn refusal(response: &Response<Incoming>, proxy: &ForwardProxy) -> ProxyFailure {
    let status = response.status();
    if status != StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return ProxyFailure::Refused(status);
    }
    if let Some(scheme) = scheme_of_a_domain(response.headers()) {
        ProxyFailure::OtherScheme(scheme)
    } else if proxy.authorization().is_some() {
        ProxyFailure::WrongCredentials
    } else {
        ProxyFailure::NoCredentials
    }
}

/// The scheme that the proxy demands, if it does not offer Basic. A name counts wherever it stands in
/// a list of challenges.
fn scheme_of_a_domain(headers: &HeaderMap) -> Option<&'static str> {
    let challenges = headers.get_all(header::PROXY_AUTHENTICATE).iter();
    let words: Vec<String> = challenges
        .filter_map(|challenge| challenge.to_str().ok())
        .flat_map(|challenge| challenge.split([' ', ',']))
        .map(str::to_owned)
        .collect();
    let offers = |name: &str| words.iter().any(|word| word.eq_ignore_ascii_case(name));
    let mut schemes = DOMAIN_SCHEMES.into_iter();
    schemes.find(|scheme| offers(scheme) && !offers("Basic"))
}

fn broken(error: &hyper::Error) -> ProxyFailure {
    if error.is_parse() {
        ProxyFailure::NotHttp
    } else {
        ProxyFailure::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_proxy_that_takes_no_password() {
        for (challenges, expected) in [
            (&["Negotiate", "NTLM"][..], Some("Negotiate")),
            (&["ntlm"], Some("NTLM")),
            (&["NTLM, Basic realm=\"corp\""], None),
            (&["Negotiate", "basic realm=\"corp\""], None),
            (&["Basic realm=\"NTLM\""], None),
            (&["Digest realm=\"corp\""], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for challenge in challenges {
                let value = HeaderValue::from_static(challenge);
                headers.append(header::PROXY_AUTHENTICATE, value);
            }
            assert_eq!(scheme_of_a_domain(&headers), expected, "{challenges:?}");
        }
    }
}
