//! `healthcheck`: asks `/readyz` of a running proxy, for images without a shell.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::{complain, runtime};

const TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn run(admin: Option<SocketAddr>) -> ExitCode {
    let Some(admin) = admin else {
        complain(&"the admin address is off; set --admin to the address of the running proxy");
        return ExitCode::from(2);
    };
    let address = reachable(admin);
    match runtime::block_on(timeout(TIMEOUT, ask(address))) {
        Ok(Ok(Ok(None))) => ExitCode::SUCCESS,
        Ok(Ok(Ok(Some(reasons)))) => {
            complain(&format!("not ready: {}", reasons.trim_end()));
            ExitCode::FAILURE
        }
        Ok(Ok(Err(error))) => {
            complain(&format!("no answer from {address}: {error}"));
            ExitCode::FAILURE
        }
        Ok(Err(_)) => {
            complain(&format!("no answer from {address} within {} s", TIMEOUT.as_secs()));
            ExitCode::FAILURE
        }
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// An address to bind everywhere is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// `None` when ready, else the reasons.
async fn ask(address: SocketAddr) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get("/readyz")
        .header("host", address.to_string())
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    if response.status().is_success() {
        return Ok(None);
    }
    let body = response.into_body().collect().await?.to_bytes();
    Ok(Some(String::from_utf8_lossy(&body).into_owned()))
}
