//! The emulator as a program, for tests with real clients.
//!
//! The program prints one line of JSON once it listens. It serves until SIGTERM, SIGINT or, with
//! `--until-stdin-closes`, the end of its standard input.

use std::{io::Write as _, path::PathBuf, time::Duration};

use azure_emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, Fault, Http, Options, TENANT};
use clap::Parser;

#[derive(Parser)]
#[command(
    version,
    about = "A loopback Azure for tests: Entra, FHIR and DICOM behind TLS, managed identities beside them",
    after_help = "Once it listens it prints one line of JSON: the address of each service, the CA's file, and the \
                  tenant, client id and secret of an application that may sign in."
)]
struct Arguments {
    /// The file to write the CA's certificate to (PEM)
    #[arg(long, value_name = "FILE")]
    ca_out: PathBuf,
    /// The port of Entra; 0 takes any free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    entra_port: u16,
    /// The port of the FHIR service; 0 takes any free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    fhir_port: u16,
    /// The port of the DICOM service; 0 takes any free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    dicom_port: u16,
    /// The port of an OAuth 2.0 server of another make; 0 takes any free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    oauth_port: u16,
    /// A fault that every request to a service meets, for example fhir=403, dicom=delay:2 or entra=hang;
    /// one of: STATUS, close, hang, delay:SECONDS, throttle:SECONDS
    #[arg(long, value_name = "SERVICE=FAULT", value_parser = fault)]
    fault: Vec<(Service, Fault)>,
    /// Start with sample patients and a study
    #[arg(long)]
    samples: bool,
    /// The life of an access token, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    token_lifetime: u64,
    /// Approve device codes at their n-th poll
    #[arg(long, value_name = "N", default_value_t = 2)]
    device_code_polls: u32,
    /// Speak one protocol only: 1 or 2
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u8).range(1..=2))]
    http: Option<u8>,
    /// Remember no requests, for load tests
    #[arg(long)]
    forget_requests: bool,
    /// Stop at the end of standard input
    #[arg(long)]
    until_stdin_closes: bool,
}

#[derive(Clone, Copy)]
enum Service {
    Entra,
    Fhir,
    Dicom,
}

/// Reads `SERVICE=FAULT`.
fn fault(text: &str) -> Result<(Service, Fault), String> {
    let (service, fault) = text.split_once('=').ok_or("write it as SERVICE=FAULT")?;
    let service = match service {
        "entra" => Service::Entra,
        "fhir" => Service::Fhir,
        "dicom" => Service::Dicom,
        _ => return Err(format!("`{service}` is not one of entra, fhir, dicom")),
    };
    Ok((service, fault.parse()?))
}

fn main() -> std::io::Result<()> {
    let arguments = Arguments::parse();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(run(arguments))
}

async fn run(arguments: Arguments) -> std::io::Result<()> {
    let defaults = Options::default();
    let emulator = Emulator::start(Options {
        entra_port: arguments.entra_port,
        fhir_port: arguments.fhir_port,
        dicom_port: arguments.dicom_port,
        oauth_port: arguments.oauth_port,
        http: match arguments.http {
            Some(1) => Http::Http1,
            Some(_) => Http::Http2,
            None => Http::Any,
        },
        samples: arguments.samples,
        token_lifetime: Duration::from_secs(arguments.token_lifetime),
        approve_device_code_at_poll: Some(arguments.device_code_polls),
        remembered_requests: if arguments.forget_requests {
            0
        } else {
            defaults.remembered_requests
        },
        ..defaults
    })
    .await?;
    for (service, fault) in arguments.fault {
        let faults = match service {
            Service::Entra => emulator.entra().faults(),
            Service::Fhir => emulator.fhir().faults(),
            Service::Dicom => emulator.dicom().faults(),
        };
        faults.always(fault);
    }
    std::fs::write(&arguments.ca_out, emulator.ca_pem())?;

    let line = serde_json::json!({
        "entra": emulator.entra_address(),
        "fhir": emulator.fhir_address(),
        "dicom": emulator.dicom_address(),
        "resource_manager": emulator.resource_manager_address(),
        "oauth": emulator.oauth_address(),
        "identity": emulator.identity_address(),
        "ca_file": arguments.ca_out,
        "tenant": TENANT,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    });
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()?;
    drop(stdout);

    tokio::select! {
        () = terminated() => {}
        () = stdin_closed(), if arguments.until_stdin_closes => {}
    }
    Ok(())
}

async fn terminated() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

async fn stdin_closed() {
    // A thread rather than tokio's stdin: that one would keep the runtime from shutting down.
    let (closed, wait) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(closed);
    });
    let _ = wait.await;
}
