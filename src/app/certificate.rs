//! The dates of the certificate that listeners present. Clients judge it, by their own clocks, so a
//! bad one is no reason not to serve.

use std::time::SystemTime;

use crate::{config::Config, x509::Certificate};

/// Why most clients will refuse `security.tls.certificate`, and what to do.
pub fn warning(config: &Config, now: SystemTime) -> Option<String> {
    let tls = config.security.tls.as_ref()?;
    let certificate = Certificate::from_der(tls.certificate.clone())?;
    let file = tls.file.display();
    if let Some(end) = certificate.ended(now) {
        return Some(format!(
            "`security.tls.certificate`: {file} ended on {end}, so clients will refuse it; renew it \
             and send SIGHUP"
        ));
    }
    let start = certificate.begins(now)?;
    Some(format!(
        "`security.tls.certificate`: {file} is not valid before {start}, so clients will refuse it; \
         set this machine's clock if it is wrong, or use another certificate until then"
    ))
}
