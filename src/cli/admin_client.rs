//! Requests to the admin address of a running proxy.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::output::failed_with;
use crate::instance;

/// The remedy if nothing responds.
pub(super) const NOT_RUNNING: &str =
    "Start the proxy with `ahds-proxy`, or set its admin address with --admin.";

/// The error for a response that the command cannot use.
pub(super) fn unexpected(admin: SocketAddr, response: &Response) -> ExitCode {
    if [StatusCode::FORBIDDEN, StatusCode::MISDIRECTED_REQUEST].contains(&response.status) {
        return failed_with(
            &format!(
                "the proxy at {admin} refuses this command (status {})",
                response.status.as_u16()
            ),
            "Run it on the machine of the proxy and as its user. If you do, restart the proxy.",
        );
    }
    failed_with(
        &format!(
            "the program at {admin} is not an ahds-proxy of this version (status {})",
            response.status.as_u16()
        ),
        "Set the admin address of the proxy with --admin, or restart the proxy.",
    )
}

/// A response, whose body is text.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) body: String,
}

/// Sends a request, with the secret of the process's record if the command has one. An error is a
/// sentence.
pub(super) async fn send(
    admin: SocketAddr,
    method: Method,
    path: &str,
    secret: Option<&str>,
    limit: Duration,
) -> Result<Response, String> {
    let address = reachable(admin);
    match timeout(limit, exchange(address, method, path, secret)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(format!("no response from {address}: {error}")),
        Err(_) => Err(format!(
            "no response from {address} within {} s",
            limit.as_secs_f32()
        )),
    }
}

/// The address to call. A listener on all addresses is called on loopback.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

async fn exchange(
    address: SocketAddr,
    method: Method,
    path: &str,
    secret: Option<&str>,
) -> Result<Response, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        // The proxy shows its state only under its own names.
        .header("host", "localhost");
    if let Some(secret) = secret {
        request = request.header(instance::HEADER, secret);
    }
    let response = sender
        .send_request(request.body(Empty::<Bytes>::new())?)
        .await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Response {
        status: head.status,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
