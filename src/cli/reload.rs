//! `ahds-proxy reload`: makes a running proxy read its configuration again, as SIGHUP does.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use http::{Method, StatusCode};

use super::{
    admin_client,
    output::{complain, failed_with},
    runtime,
};
use crate::instance::Instance;

/// Longer than a reload may take.
const TIMEOUT: Duration = Duration::from_secs(15);

pub(super) fn reload(admin: SocketAddr) -> Result<ExitCode, ExitCode> {
    let Some(instance) = Instance::at(admin) else {
        let other_way = if cfg!(unix) {
            "If another user or a service manager runs it, send SIGHUP with `kill -HUP PID` or \
             `systemctl reload UNIT`."
        } else {
            "If another user runs it, restart it."
        };
        return Err(failed_with(
            &format!("no ahds-proxy of this user runs with the admin address {admin}"),
            &format!("Set its admin address with --admin. {other_way}"),
        ));
    };
    let secret = Some(&*instance.secret);
    let asked = admin_client::send(admin, Method::POST, "/reload", secret, TIMEOUT);
    let response = runtime::block_on(asked)?
        .map_err(|error| failed_with(&error, admin_client::NOT_RUNNING))?;
    match response.status {
        StatusCode::OK => {
            complain(&response.body.trim_end());
            Ok(ExitCode::SUCCESS)
        }
        StatusCode::UNPROCESSABLE_ENTITY => Err(failed_with(
            &format!(
                "the old configuration keeps serving: {}",
                response.body.trim_end()
            ),
            "Correct the configuration, test it with `ahds-proxy check`, and reload again.",
        )),
        _ => Err(admin_client::unexpected(admin, &response)),
    }
}
