//! The loopback Azure on its own, for end-to-end tests with real clients.
//!
//! Prints one line of JSON once it listens, and serves until SIGTERM, SIGINT or, with
//! `--until-stdin-closes`, the end of its standard input.

use std::{io::Write as _, path::PathBuf, time::Duration};

use ahds_proxy::emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, Http, Options, TENANT};
use clap::Parser;

#[derive(Parser)]
#[command(
    about = "A loopback Azure: Entra, FHIR and DICOM behind TLS, managed identities beside them"
)]
struct Arguments {
    /// Where to write the CA's certificate (PEM)
    #[arg(long, value_name = "FILE")]
    ca_out: PathBuf,
    #[arg(long, value_name = "N", default_value_t = 0)]
    entra_port: u16,
    #[arg(long, value_name = "N", default_value_t = 0)]
    fhir_port: u16,
    #[arg(long, value_name = "N", default_value_t = 0)]
    dicom_port: u16,
    /// Start with sample patients and a study
    #[arg(long)]
    samples: bool,
    /// Seconds an access token lives
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
    std::fs::write(&arguments.ca_out, emulator.ca_pem())?;

    let line = serde_json::json!({
        "entra": emulator.entra_address(),
        "fhir": emulator.fhir_address(),
        "dicom": emulator.dicom_address(),
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
