//! `ahds-proxy healthcheck`: asks `/readyz` of a running proxy, for images without a shell.

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

/// Below the three seconds that a container's health check commonly has.
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
        Ok(Err(error)) => format!("no answer from {address}: {error}"),
        Err(_) => format!(
            "no answer from {address} within {} s",
            TIMEOUT.as_secs_f32()
        ),
    };
    Err(failed(&trouble))
}

/// The address to call: a listener on every address is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// `None` when ready, else the reasons.
async fn ask(address: SocketAddr) -> Result<Option<String>, Box<dyn Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/readyz")
        // The proxy gives its reasons to callers of this machine.
        .header("host", "localhost")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if response.status().is_success() {
        return Ok(None);
    }
    let body = response.into_body().collect().await?.to_bytes();
    Ok(Some(String::from_utf8_lossy(&body).into_owned()))
}
