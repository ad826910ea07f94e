//! `ahds-proxy healthcheck`: requests `/readyz` of a running proxy, for images without a shell.

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::{
    output::{failed, misused},
    runtime,
};

/// The timeout of the request. It is below the three seconds that a container's health check
/// commonly has.
const TIMEOUT: Duration = Duration::from_millis(2500);

pub(super) fn healthcheck(admin: Option<SocketAddr>) -> Result<ExitCode, ExitCode> {
    let Some(admin) = admin else {
        let remedy = "give the address of the running proxy with --admin";
        return Err(misused(&"the admin address is off", remedy));
    };
    let address = reachable(admin);
    let trouble = match runtime::block_on(async { timeout(TIMEOUT, ask(address)).await })? {
        Ok(Ok(None)) => return Ok(ExitCode::SUCCESS),
        Ok(Ok(Some(reasons))) => format!("not ready: {}", reasons.trim_end()),
        Ok(Err(error)) => format!("no response from {address}: {error}"),
        Err(_) => format!(
            "no response from {address} within {} s",
            TIMEOUT.as_secs_f32()
        ),
    };
    Err(failed(&trouble))
}

/// The address to call. A listener on all addresses is called on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Requests `/readyz`. Returns `None` if the proxy is ready, else the reasons.
async fn ask(address: SocketAddr) -> Result<Option<String>, Box<dyn Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/readyz")
        // The proxy shows its reasons only under its own names.
        .header("host", "localhost")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if response.status().is_success() {
        return Ok(None);
    }
    let body = response.into_body().collect().await?.to_bytes();
    Ok(Some(String::from_utf8_lossy(&body).into_owned()))
}
