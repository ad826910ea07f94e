//! `ahds-proxy demo`: a loopback Azure and the proxy in front of it, with no file and no network.

use std::process::ExitCode;

use azure_emulator::{Emulator, Options};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::{
    output::{failed, logging, print},
    runtime,
};
use crate::{
    app::{self, Running},
    config::{
        self, ClientSecret, Config, ConfigErrors, Credential, Location, Overrides, Problem,
        ResolveOverride, SecretRef, ServiceUrl, Tenant,
    },
};

/// The environment variables that the demo uses: those for listeners and the log. A demo must not
/// use an upstream from the environment.
const VARIABLES: &[&str] = &[
    "AHDS_PROXY_LISTEN",
    "AHDS_PROXY_ADMIN",
    "AHDS_PROXY_LOG_FORMAT",
    "RUST_LOG",
];

pub(super) fn demo(flags: &Overrides, has_workspace: bool) -> Result<ExitCode, ExitCode> {
    only_its_own(flags, has_workspace).map_err(|errors| super::refused(&errors))?;
    let flags = Overrides {
        fhir: Some(azure_emulator::FHIR_AUDIENCE.to_owned()),
        dicom: Some(azure_emulator::DICOM_ORIGIN.to_owned()),
        ..flags.clone()
    };
    let wanted = |name: &str| super::environment(name).filter(|_| VARIABLES.contains(&name));
    let config = config::load(&flags, &wanted).map_err(|errors| super::refused(&errors))?;
    logging(&config)?;
    runtime::block_on(serve(config))?
}

/// Refuses flags that name a service or a file, since the demo would not use it. A listener without
/// the file's TLS, for example, would be a surprise. Variables may belong to another project, and
/// are ignored.
fn only_its_own(flags: &Overrides, has_workspace: bool) -> Result<(), ConfigErrors> {
    let problems: Vec<Problem> = [
        ("--config", flags.config.is_some()),
        ("--fhir", flags.fhir.is_some()),
        ("--dicom", flags.dicom.is_some()),
        ("--workspace", has_workspace),
        ("--credential", flags.credential.is_some()),
        ("--tenant", flags.tenant.is_some()),
    ]
    .into_iter()
    .filter(|(_, is_given)| *is_given)
    .map(|(flag, _)| Problem {
        message: format!("`demo` does not take `{flag}`"),
        remedy: format!(
            "demo brings its own services and signs in to them by itself; leave `{flag}` out, or \
             use `ahds-proxy run` for services of yours"
        ),
        location: Location::Argument(flag),
    })
    .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(ConfigErrors::new(problems))
    }
}

async fn serve(mut config: Config) -> Result<ExitCode, ExitCode> {
    let options = Options {
        samples: true,
        ..Options::default()
    };
    let emulator = Emulator::start(options)
        .await
        .map_err(|error| failed(&error))?;
    point_at(&mut config, &emulator).map_err(|error| failed(&error))?;
    let unchanged = config.clone();
    let reload = move || Ok::<_, std::convert::Infallible>(unchanged.clone());
    let serving = app::run(&config, reload, |running| {
        let invitation = invitation(running);
        // Printed on another thread, since the reader of stdout may not read yet.
        tokio::task::spawn_blocking(move || print(&invitation));
    });
    serving.await.map_err(|error| failed(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// Resolves Azure's names to the emulator, trusts its CA, and signs in as its application.
fn point_at(config: &mut Config, emulator: &Emulator) -> Result<(), config::ValueError> {
    let ca = CertificateDer::pem_slice_iter(emulator.ca_pem().as_bytes());
    config.network.extra_roots = ca.flatten().collect();
    config.network.resolve = [
        (azure_emulator::ENTRA_HOST, emulator.entra_address()),
        (azure_emulator::FHIR_HOST, emulator.fhir_address()),
        (azure_emulator::DICOM_HOST, emulator.dicom_address()),
        (
            azure_emulator::RESOURCE_MANAGER_HOST,
            emulator.resource_manager_address(),
        ),
    ]
    .map(|(host, address)| ResolveOverride {
        host: host.to_owned(),
        port: 443,
        address,
    })
    .into();
    let application = Credential::ClientSecret(ClientSecret {
        tenant: Tenant::parse(azure_emulator::TENANT)?,
        client_id: azure_emulator::CLIENT_ID.to_owned(),
        secret: SecretRef::Given(azure_emulator::CLIENT_SECRET.to_owned().into()),
        authority: ServiceUrl::parse(azure_emulator::AUTHORITY)?,
    });
    for credential in config.credentials.values_mut() {
        *credential = application.clone();
    }
    Ok(())
}

/// The first commands to try, ready to be copied.
fn invitation(running: &Running) -> String {
    let (curl, base) = match running.socket_addresses().first() {
        Some(address) if address.ip().is_loopback() => (
            "curl".to_owned(),
            format!("http://localhost:{}", address.port()),
        ),
        Some(address) => ("curl".to_owned(), format!("http://{address}")),
        None => (curl_through_socket(running), "http://localhost".to_owned()),
    };
    let status = match running.admin_address() {
        Some(address) => {
            format!("\n  # the tokens in use\n  curl http://{address}/status\n")
        }
        None => String::new(),
    };
    format!(
        "A FHIR and a DICOM service with made-up patients, no token needed. Try:\n\
         \n\
         \x20 # FHIR\n\
         \x20 {curl} {base}/fhir/metadata\n\
         \x20 {curl} {base}/fhir/Patient\n\
         \x20 {curl} '{base}/fhir/Patient?name=Garcia&_count=5'\n\
         \x20 {curl} -X POST -H 'Content-Type: application/fhir+json' \\\n\
         \x20   -d '{{\"resourceType\":\"Patient\",\"name\":[{{\"family\":\"Example\"}}]}}' {base}/fhir/Patient\n\
         \n\
         \x20 # DICOM\n\
         \x20 {curl} {base}/dicom/v2/changefeed\n\
         \x20 {curl} {base}/dicom/v2/studies\n\
         {status}\n\
         Stop with Ctrl-C.\n"
    )
}

/// `curl` through a Unix socket, for there is no TCP listener.
fn curl_through_socket(running: &Running) -> String {
    let mut addresses = running.addresses().iter();
    let path = addresses.find_map(|address| address.strip_prefix("unix:"));
    let quoted = path.unwrap_or_default().replace('\'', r"'\''");
    format!("curl --unix-socket '{quoted}'")
}
