//! `ahds-proxy demo`: a loopback Azure and the proxy in front of it, with no file and no network.

use std::{io, net::SocketAddr, process::ExitCode};

use azure_emulator::{Emulator, Fault, Options};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tempfile::TempDir;

use super::{
    args::DemoOptions,
    banner,
    examples::{base_url, curl_option},
    output::{failed, logging, misused, print},
    running, runtime,
};
use crate::{
    app::{self, Running},
    config::{
        self, ClientSecret, Config, ConfigErrors, Credential, Location, Overrides, Problem,
        ResolveOverride, SecretRef, ServiceUrl, Tenant,
    },
    instance::Start,
    shell::{CURL, quoted},
};

/// The environment variables that the demo uses: those for listeners and the log. A demo must not
/// use an upstream from the environment.
const VARIABLES: &[&str] = &[
    "AHDS_PROXY_LISTEN",
    "AHDS_PROXY_ADMIN",
    "AHDS_PROXY_LOG_FORMAT",
    "RUST_LOG",
];

pub(super) fn demo(
    flags: &Overrides,
    has_workspace: bool,
    options: &DemoOptions,
) -> Result<ExitCode, ExitCode> {
    only_its_own(flags, has_workspace).map_err(|errors| super::refused(&errors))?;
    let fault = match options.fault.as_deref().map(str::parse::<Fault>) {
        Some(Err(error)) => {
            return Err(misused(
                &error,
                "write for example `ahds-proxy demo --fault 403`",
            ));
        }
        Some(Ok(fault)) => Some(fault),
        None => None,
    };
    let flags = Overrides {
        fhir: Some(azure_emulator::FHIR_AUDIENCE.to_owned()),
        dicom: Some(azure_emulator::DICOM_ORIGIN.to_owned()),
        ..flags.clone()
    };
    let wanted = |name: &str| super::environment(name).filter(|_| VARIABLES.contains(&name));
    let config = config::load(&flags, &wanted).map_err(|errors| super::refused(&errors))?;
    logging(&config, banner::is_wanted(&config))?;
    runtime::block_on(serve(config, fault, options.print_config))?
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
            "remove `{flag}`, since the demo has its own services and its own sign-in; `ahds-proxy \
             run` serves your services"
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

async fn serve(
    mut config: Config,
    fault: Option<Fault>,
    print_config: bool,
) -> Result<ExitCode, ExitCode> {
    let options = Options {
        samples: true,
        ..Options::default()
    };
    let emulator = Emulator::start(options)
        .await
        .map_err(|error| failed(&error))?;
    point_at(&mut config, &emulator).map_err(|error| failed(&error))?;
    match fault {
        None => {}
        // Public endpoints still respond, as for an identity without a role.
        Some(Fault::Forbidden) => {
            emulator.fhir().set_lacks_role(true);
            emulator.dicom().set_lacks_role(true);
        }
        Some(fault) => {
            emulator.fhir().faults().always(fault.clone());
            emulator.dicom().faults().always(fault);
        }
    }
    let files = Files::write(&emulator).map_err(|error| {
        failed(&format_args!(
            "the demo's files cannot be written to the temporary folder: {error}"
        ))
    })?;
    // Kept while the demo serves.
    let mut record = None;
    let unchanged = config.clone();
    let reload = move || Ok::<_, std::convert::Infallible>(unchanged.clone());
    let serving = app::run(&config, reload, |running| {
        record = running::leave_record(running, files.start());
        let invitation = if print_config {
            files.config.clone()
        } else {
            invitation(running)
        };
        // Printed on another thread, since the reader of stdout may not read yet.
        tokio::task::spawn_blocking(move || print(&invitation));
    });
    serving.await.map_err(|error| failed(&error))?;
    drop(record);
    Ok(ExitCode::SUCCESS)
}

/// The configuration with which another ahds-proxy can use the demo's services, and the files that it
/// names. They are removed on drop.
struct Files {
    folder: TempDir,
    config: String,
}

impl Files {
    fn write(emulator: &Emulator) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("ahds-proxy-demo-")
            .tempdir()?;
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text)?;
            Ok::<String, io::Error>(
                toml::Value::from(path.to_string_lossy().into_owned()).to_string(),
            )
        };
        let ca_file = write("ca.pem", emulator.ca_pem())?;
        let secret = write("secret", azure_emulator::CLIENT_SECRET)?;
        let entry = |(host, address)| format!("\"{host}:443\" = \"{address}\"\n");
        let config = format!(
            "# The services of a running `ahds-proxy demo`. They end with it.\n\
             [routes.fhir]\nupstream = \"{}\"\n\n\
             [routes.dicom]\nupstream = \"{}\"\n\n\
             [credentials.default.client-secret]\ntenant = \"{}\"\nclient_id = \"{}\"\n\
             secret = {{ file = {secret} }}\nauthority = \"{}\"\n\n\
             [network]\nca_file = {ca_file}\nproxy = \"off\"\n\n[network.resolve]\n{}",
            azure_emulator::FHIR_AUDIENCE,
            azure_emulator::DICOM_ORIGIN,
            azure_emulator::TENANT,
            azure_emulator::CLIENT_ID,
            azure_emulator::AUTHORITY,
            hosts(emulator).map(entry).concat(),
        );
        std::fs::write(folder.path().join(CONFIG), &config)?;
        Ok(Self { folder, config })
    }

    /// How to start a proxy with this configuration.
    fn start(&self) -> Start {
        Start {
            folder: self.folder.path().to_owned(),
            arguments: vec!["--config".to_owned(), CONFIG.to_owned()],
            variables: Vec::new(),
        }
    }
}

const CONFIG: &str = "ahds-proxy.toml";

/// The names of Azure's that lead to the emulator.
fn hosts(emulator: &Emulator) -> [(&'static str, SocketAddr); 4] {
    [
        (azure_emulator::ENTRA_HOST, emulator.entra_address()),
        (azure_emulator::FHIR_HOST, emulator.fhir_address()),
        (azure_emulator::DICOM_HOST, emulator.dicom_address()),
        (
            azure_emulator::RESOURCE_MANAGER_HOST,
            emulator.resource_manager_address(),
        ),
    ]
}

/// Resolves Azure's names to the emulator, trusts its CA, and signs in as its application.
fn point_at(config: &mut Config, emulator: &Emulator) -> Result<(), config::ValueError> {
    let ca = CertificateDer::pem_slice_iter(emulator.ca_pem().as_bytes());
    config.network.extra_roots = ca.flatten().collect();
    config.network.resolve = hosts(emulator)
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
    let (base, option) = (base_url(running), curl_option(running));
    let status = match running.admin_address() {
        Some(address) => {
            format!("\n  # the tokens in use\n  {CURL} http://{address}/status\n")
        }
        None => String::new(),
    };
    let search = quoted(format!("{base}/fhir/Patient?name=Garcia&_count=5"));
    format!(
        "The demo serves FHIR and DICOM with made-up patients. Requests need no token. Try:\n\
         \n\
         \x20 # FHIR\n\
         \x20 {CURL}{option} {base}/fhir/metadata\n\
         \x20 {CURL}{option} {base}/fhir/Patient\n\
         \x20 {CURL}{option} {search}\n\
         {}\
         \n\
         \x20 # DICOM\n\
         \x20 {CURL}{option} {base}/dicom/v2/changefeed\n\
         \x20 {CURL}{option} {base}/dicom/v2/studies\n\
         {status}\n\
         Stop with Ctrl-C.\n",
        create_a_patient(&base, &option)
    )
}

/// A request with JSON in its command line. No form of it works in every shell of Windows.
fn create_a_patient(base: &str, option: &str) -> String {
    if cfg!(windows) {
        return String::new();
    }
    format!(
        "\x20 {CURL}{option} -X POST -H 'Content-Type: application/fhir+json' \\\n\
         \x20   -d '{{\"resourceType\":\"Patient\",\"name\":[{{\"family\":\"Example\"}}]}}' {base}/fhir/Patient\n"
    )
}
