//! A proxy and a loopback Azure in this process, and clients that talk to them over real sockets.

pub(crate) mod client;
pub(crate) mod compressed;
#[cfg(unix)]
pub(crate) mod fake_az;
pub(crate) mod forward_proxy;
pub(crate) mod frames;
pub(crate) mod partner;
#[cfg(unix)]
pub(crate) mod process;
pub(crate) mod scripted;
#[cfg(unix)]
pub(crate) mod signing_in;
#[cfg(unix)]
pub(crate) mod stub;
#[cfg(unix)]
pub(crate) mod terminal;
pub(crate) mod tls;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ahds_proxy::{
    app::{self, Running},
    clock::Clock,
    config::{self, Config, Overrides},
};
use azure_emulator::{Emulator, Options, RecordedRequest};
use tempfile::TempDir;

/// Long enough for a loaded machine; a test that gets here has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Leads to the FHIR service, whose certificate does not name it.
pub(crate) const MISNAMED_HOST: &str = "not.named.fhir.azurehealthcareapis.com";

/// The host of a workspace, which is not in the emulator's certificate either.
pub(crate) const WORKSPACE_HOST: &str = "demo.azurehealthcareapis.com";

/// A proxy in front of a loopback Azure.
pub(crate) struct Stage {
    pub(crate) emulator: Emulator,
    pub(crate) proxy: Running,
    pub(crate) clock: Clock,
    pub(crate) files: TempDir,
}

/// The set-up of a stage before it starts.
pub(crate) struct Setup {
    options: Options,
    clock: Clock,
    /// Lines of the configuration by table; `""` is the top level.
    lines: Vec<(&'static str, String)>,
    /// Files beside the configuration, by name.
    files: Vec<(&'static str, String)>,
    forward_proxy: Option<SocketAddr>,
    wait_for_tokens: bool,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self {
            options: Options {
                samples: true,
                ..Options::default()
            },
            clock: Clock::default(),
            lines: Vec::new(),
            files: Vec::new(),
            forward_proxy: None,
            wait_for_tokens: true,
        }
    }

    /// Adds lines to a table of the configuration.
    pub(crate) fn with(mut self, table: &'static str, lines: impl Into<String>) -> Self {
        self.lines.push((table, lines.into()));
        self
    }

    /// Puts a file beside the configuration.
    pub(crate) fn file(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.files.push((name, text.into()));
        self
    }

    /// Has the hosts of the loopback Azure reached through this HTTP proxy only.
    pub(crate) fn behind(mut self, forward_proxy: SocketAddr) -> Self {
        self.forward_proxy = Some(forward_proxy);
        self
    }

    /// Changes how the loopback Azure starts.
    pub(crate) fn emulator(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// Does not wait until every route has its first token.
    pub(crate) fn without_waiting(mut self) -> Self {
        self.wait_for_tokens = false;
        self
    }

    /// Starts everything.
    pub(crate) async fn start(self) -> Stage {
        let wait = self.wait_for_tokens;
        let emulator = Emulator::start(self.options.clone())
            .await
            .expect("the emulator starts");
        let stage = self.start_before(emulator).await;
        if wait {
            stage.ready().await;
        }
        stage
    }

    /// Starts a proxy in front of an emulator that runs already.
    pub(crate) async fn start_before(self, emulator: Emulator) -> Stage {
        let files = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in &self.files {
            std::fs::write(files.path().join(name), text).expect("a temporary file is written");
        }
        let path = match self.forward_proxy {
            None => write_config(&emulator, &files, &self.lines),
            Some(proxy) => forward_proxy::write_config(&emulator, &files, proxy, &self.lines),
        };
        let flags = Overrides {
            config: Some(path),
            ..Overrides::default()
        };
        let config = config::load(&flags, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
        let proxy = app::start(&config, self.clock.clone())
            .await
            .expect("the proxy starts");
        Stage {
            emulator,
            proxy,
            clock: self.clock,
            files,
        }
    }
}

impl Stage {
    /// With the default configuration.
    pub(crate) async fn start() -> Self {
        Setup::new().start().await
    }

    /// The address of the proxy.
    pub(crate) fn address(&self) -> SocketAddr {
        self.proxy.socket_addresses()[0]
    }

    /// Requests that any service behind the proxy has seen.
    pub(crate) fn upstream_hits(&self) -> u64 {
        self.emulator.fhir().traffic().counters().requests
            + self.emulator.dicom().traffic().counters().requests
    }

    /// The latest request that the FHIR service has seen.
    pub(crate) fn forwarded(&self) -> RecordedRequest {
        let latest = self.emulator.fhir().traffic().last();
        latest.expect("it was forwarded")
    }

    /// The admin address of the proxy.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.proxy.admin_address().expect("the admin address is on")
    }

    /// Waits until every route has a token.
    pub(crate) async fn ready(&self) {
        client::until(self.admin(), "/readyz", |response| response.status == 200).await;
    }
}

/// The names of the emulator's hosts, and their addresses.
fn hosts(emulator: &Emulator) -> [(&'static str, SocketAddr); 7] {
    [
        (azure_emulator::ENTRA_HOST, emulator.entra_address()),
        (azure_emulator::FHIR_HOST, emulator.fhir_address()),
        (azure_emulator::DICOM_HOST, emulator.dicom_address()),
        (azure_emulator::OAUTH_HOST, emulator.oauth_address()),
        (
            azure_emulator::RESOURCE_MANAGER_HOST,
            emulator.resource_manager_address(),
        ),
        (MISNAMED_HOST, emulator.fhir_address()),
        (WORKSPACE_HOST, emulator.fhir_address()),
    ]
}

/// The configuration file of a stage, with fixed addresses for the emulator's hosts.
pub(crate) fn config_text(emulator: &Emulator, lines: &[(&'static str, String)]) -> String {
    config_text_with(&resolve_text(emulator), lines)
}

const CA_FILE: &str = "ca_file = \"ca.pem\"";

/// The keys of `[network]` that lead Azure's names to the emulator.
pub(crate) fn network_text(emulator: &Emulator) -> String {
    format!("{CA_FILE}\n{}\n", resolve_text(emulator))
}

fn resolve_text(emulator: &Emulator) -> String {
    let hosts = hosts(emulator);
    let entries = hosts.map(|(host, address)| format!("\"{host}:443\" = \"{address}\""));
    format!("resolve = {{ {} }}", entries.join(", "))
}

fn config_text_with(network: &str, lines: &[(&'static str, String)]) -> String {
    use std::fmt::Write as _;

    let mut tables: Vec<(&str, String)> = vec![
        (
            "",
            "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n".to_owned(),
        ),
        (
            "routes.fhir",
            format!("upstream = \"{}\"\n", azure_emulator::FHIR_AUDIENCE),
        ),
        (
            "routes.dicom",
            format!("upstream = \"{}\"\n", azure_emulator::DICOM_ORIGIN),
        ),
        (
            "credentials.default.client-secret",
            format!(
                "tenant = \"{}\"\nclient_id = \"{}\"\nsecret = {{ file = \"secret\" }}\nauthority = \"{}\"\n",
                azure_emulator::TENANT,
                azure_emulator::CLIENT_ID,
                azure_emulator::AUTHORITY
            ),
        ),
        ("network", format!("{CA_FILE}\n{network}\n")),
    ];
    for (table, added) in lines {
        match tables.iter_mut().find(|(name, _)| name == table) {
            Some((_, text)) => {
                text.push_str(added);
                text.push('\n');
            }
            None => tables.push((table, format!("{added}\n"))),
        }
    }
    let mut text = String::new();
    for (table, lines) in tables {
        if table.is_empty() {
            text.push_str(&lines);
        } else {
            let _ = write!(text, "\n[{table}]\n{lines}");
        }
    }
    text
}

/// Writes a stage's configuration file and the files that it names; returns its path.
pub(crate) fn write_config(
    emulator: &Emulator,
    files: &TempDir,
    lines: &[(&'static str, String)],
) -> PathBuf {
    write_files(emulator, files, &config_text(emulator, lines))
}

fn write_files(emulator: &Emulator, files: &TempDir, config: &str) -> PathBuf {
    let write = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).expect("a temporary file is written");
        path
    };
    write("ca.pem", emulator.ca_pem());
    write("secret", azure_emulator::CLIENT_SECRET);
    write("ahds-proxy.toml", config)
}

/// A configuration that names no emulator.
pub(crate) fn minimal_config() -> Config {
    let flags = Overrides {
        fhir: Some(azure_emulator::FHIR_AUDIENCE.to_owned()),
        ..Overrides::default()
    };
    config::load(&flags, &|_| None).unwrap_or_else(|errors| panic!("{errors}"))
}
