//! `ahds-proxy healthcheck`: requests `/readyz` of a running proxy, for images without a shell.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use http::{Method, StatusCode};

use super::{
    admin_client,
    output::{failed, failed_with, misused},
    runtime,
};

/// The timeout of the request. It is below the three seconds that a container's health check
/// commonly has.
const TIMEOUT: Duration = Duration::from_millis(2500);

pub(super) fn healthcheck(admin: Option<SocketAddr>) -> Result<ExitCode, ExitCode> {
    let Some(admin) = admin else {
        let remedy = "set the admin address of the running proxy with --admin";
        return Err(misused(&"the admin address is off", remedy));
    };
    let asked = admin_client::send(admin, Method::GET, "/readyz", None, TIMEOUT);
    match runtime::block_on(asked)? {
        Ok(response) if response.status.is_success() => Ok(ExitCode::SUCCESS),
        Ok(response) if response.status == StatusCode::SERVICE_UNAVAILABLE => Err(failed(
            &format_args!("not ready: {}", response.body.trim_end()),
        )),
        Ok(response) => Err(admin_client::unexpected(admin, &response)),
        Err(error) => Err(failed_with(&error, admin_client::NOT_RUNNING)),
    }
}
