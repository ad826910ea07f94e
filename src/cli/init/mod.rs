//! `ahds-proxy init`: finds the services that the user may use, and writes a configuration.

mod choice;
mod document;

use std::{
    fs::{self, OpenOptions},
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{
    args::InitOptions,
    complaint,
    examples::first_request,
    output::{complain, environment, failed, failed_with, misused, print},
    runtime,
    search::{self, Discovery},
};
use crate::{
    config::{self, Overrides, RouteKind},
    resource_manager::{Access, Search, Service, roles},
    shell::{CURL, quoted},
};

/// The file that ahds-proxy reads by itself in its working directory.
const DEFAULT_OUTPUT: &str = "ahds-proxy.toml";

pub(super) fn init(
    flags: &Overrides,
    workspace: Option<String>,
    options: InitOptions,
) -> Result<ExitCode, ExitCode> {
    let output = options.output.unwrap_or_else(|| DEFAULT_OUTPUT.into());
    let is_stdout = output.as_os_str() == "-";
    if !is_stdout && !options.force && output.exists() {
        return Err(occupied(&output));
    }
    let search = Search {
        subscription: options.subscription,
        workspace,
    };
    let discovery = search::search(flags, &search)?;
    for (subscription, failure) in &discovery.found.failures {
        complaint::warning(&format!("in the subscription {subscription}: {failure}"));
    }
    if discovery.found.services.is_empty() {
        return Err(discovery.explain_nothing(&search));
    }
    show(&discovery);
    let chosen = choose(&discovery.found.services, options.all)?;
    for service in &chosen {
        warn(service, &discovery);
    }
    let other_tables = other_tables(flags)?;
    let text = document::write(&chosen, &discovery, flags, &other_tables);
    if is_stdout {
        return Ok(print(&text));
    }
    save(&output, &text, options.force)?;
    complain(&format_args!(
        "\nWrote {}. Next:\n\n{}",
        output.display(),
        next(&output, &chosen)
    ));
    Ok(ExitCode::SUCCESS)
}

fn occupied(output: &Path) -> ExitCode {
    misused(
        &format_args!("{} already exists", output.display()),
        "replace it with --force, or write another file with --output FILE; `--output -` prints the \
         configuration",
    )
}

/// Lists the services on stderr, numbered.
fn show(discovery: &Discovery) {
    let services = &discovery.found.services;
    let noun = if services.len() == 1 {
        "service"
    } else {
        "services"
    };
    complain(&format_args!(
        "Found {} {noun} as {}:\n",
        services.len(),
        discovery.identity()
    ));
    let widest = |text: fn(&Service) -> usize| services.iter().map(text).max().unwrap_or_default();
    let name = widest(|service| service.name.len());
    let url = widest(|service| service.url.to_string().len());
    for (number, service) in services.iter().enumerate() {
        let access = match service.access {
            Access::Write => "read and write",
            Access::Read => "read only",
            Access::None => "no role on its data",
            Access::Unknown => "role not known",
        };
        let network = if service.is_private {
            ", private network only"
        } else {
            ""
        };
        complain(&format_args!(
            "{:>4}  {:<5}  {:<name$}  {:<url$}  {access}{network}  ({})",
            number + 1,
            service.kind.title(),
            service.name,
            service.url.to_string(),
            service.subscription,
        ));
    }
    complain(&"");
}

fn choose(services: &[Service], all: bool) -> Result<Vec<&Service>, ExitCode> {
    if all {
        return Ok(services.iter().collect());
    }
    let is_plain = choice::is_one_of_each(services);
    if !io::stdin().is_terminal() {
        if is_plain {
            return Ok(services.iter().collect());
        }
        return Err(misused(
            &"there are several services of a kind, and `init` cannot ask for a choice, since stdin is \
              not a terminal",
            "choose all with --all, or fewer with --workspace NAME or --subscription NAME",
        ));
    }
    loop {
        let question = choice::question(services);
        let _ = write!(io::stderr().lock(), "{question}");
        let Some(line) = runtime::run_to_end(read_line())? else {
            complain(&"");
            return Err(failed(&"no service was chosen, so no file was written"));
        };
        match choice::read(&line, services) {
            Ok(chosen) if chosen.is_empty() => {
                return Err(failed(&"no service was chosen, so no file was written"));
            }
            Ok(chosen) => return Ok(chosen),
            Err(why) => complain(&why),
        }
    }
}

/// A line from the terminal; `None` at its end. Ctrl-C must reach the caller while it waits.
async fn read_line() -> Option<String> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        let length = io::stdin().read_line(&mut line).ok()?;
        (length > 0).then_some(line)
    });
    read.await.ok()?
}

/// Says on stderr how a service will fail, and the remedy.
fn warn(service: &Service, discovery: &Discovery) {
    let name = &service.name;
    if let (Some(theirs), Some(own)) = (&service.tenant, &discovery.claims.tenant)
        && !theirs.as_str().eq_ignore_ascii_case(own)
        && theirs.as_str().contains('-')
    {
        complaint::warning(&format!(
            "{name} accepts tokens of tenant {theirs} only, but this sign-in is to tenant {own}\n  = help: \
             Run: az login --tenant {theirs}"
        ));
    }
    if service.is_private {
        complaint::warning(&format!(
            "{name} accepts requests from its private network only\n  = help: connect to that network \
             (VPN) before you start ahds-proxy"
        ));
    }
    if service.access == Access::None
        && let Some((reader, writer)) = roles(service.kind)
    {
        let who = discovery.claims.object_id.as_deref().unwrap_or("OBJECT-ID");
        complaint::warning(&format!(
            "{name} will respond with 403, since this identity has no role on its data\n  = help: Ask its \
             owner for the role \"{reader}\", or \"{writer}\" to write as well. The owner can run: az role \
             assignment create --role \"{reader}\" --assignee {who} --scope {}",
            service.id
        ));
    }
}

/// The tables of the configuration in use, apart from its routes.
fn other_tables(flags: &Overrides) -> Result<toml::Table, ExitCode> {
    let Some(path) = config::config_file(flags, &environment) else {
        return Ok(toml::Table::new());
    };
    let text = fs::read_to_string(&path).map_err(|error| {
        failed(&format_args!(
            "the configuration file {} cannot be read: {error}",
            path.display()
        ))
    })?;
    let mut tables: toml::Table = toml::from_str(&text).map_err(|error| {
        failed(&format_args!(
            "{} is not valid TOML: {}",
            path.display(),
            error.message()
        ))
    })?;
    tables.remove("routes");
    Ok(tables)
}

/// Writes the file as a whole or not at all.
fn save(output: &Path, text: &str, force: bool) -> Result<(), ExitCode> {
    let saved = if force {
        replace(output, text)
    } else {
        create(output, text)
    };
    saved.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => occupied(output),
        _ => failed_with(
            &format!("{} cannot be written: {error}", output.display()),
            "Write another file with --output FILE, or print the configuration with --output -",
        ),
    })
}

fn create(output: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(output)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written.inspect_err(|_| {
        let _ = fs::remove_file(output);
    })
}

fn replace(output: &Path, text: &str) -> io::Result<()> {
    let mut new = output.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let _ = fs::remove_file(&new);
    create(&new, text)?;
    fs::rename(&new, output).inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

/// The commands to go on with.
fn next(output: &Path, chosen: &[&Service]) -> String {
    let config = if output == Path::new(DEFAULT_OUTPUT) {
        String::new()
    } else {
        format!(" --config {}", quoted(output))
    };
    let routes = document::route_names(chosen);
    let patients = chosen
        .iter()
        .position(|service| service.kind == RouteKind::Fhir);
    let first = patients.unwrap_or_default();
    let request = first_request(chosen[first].kind);
    let url = quoted(format!("http://localhost:8080/{}{request}", routes[first]));
    format!("  ahds-proxy{config}\n  {CURL} {url}\n")
}
