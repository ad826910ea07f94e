//! The promises of the help, the example file and the documents: each path of the admin address,
//! each key, each command, each flag and each variable that they name is tried on the program.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use crate::support::{Stage, client, process};

/// Paths of routes and of services, and folders. Every other path of one word belongs to the admin address.
const OTHER_PATHS: &[&str] = &["/dicom", "/fhir", "/metadata"];

/// Features of the admin address that a text may name without their path.
const FEATURES: &[(&str, &str)] = &[
    ("metrics", "/metrics"),
    ("Prometheus", "/metrics"),
    // The window of a terminal is a console on Windows.
    ("console page", "/"),
];

/// The tables of the configuration, with those that there may be one day.
const TABLES: &[&str] = &[
    "audit",
    "console",
    "credentials",
    "limits",
    "log",
    "network",
    "routes",
    "security",
    "shutdown",
    "telemetry",
];

/// Variables that the proxy sets for other programs (`tests/it/command.rs`). Its help does not list them.
const SET_FOR_OTHERS: &[&str] = &["AHDS_PROXY_AUDIENCE"];

/// A text that users read, and its name in the messages of these tests.
struct Text {
    name: String,
    text: String,
}

fn help(arguments: &[&str]) -> String {
    let output = process::command(arguments)
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{arguments:?}");
    process::text(&output.stdout).to_owned()
}

/// The commands that the help lists.
fn commands() -> Vec<String> {
    let help = help(&["--help"]);
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

/// The help of the program, then that of each command.
fn helps() -> Vec<Text> {
    let mut helps = vec![Text {
        name: "--help".to_owned(),
        text: help(&["--help"]),
    }];
    for command in commands() {
        if command != "help" {
            helps.push(Text {
                text: help(&[command.as_str(), "--help"]),
                name: command,
            });
        }
    }
    helps
}

fn documents() -> Vec<Text> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![
        root.join("README.md"),
        root.join("SECURITY.md"),
        root.join("config.example.toml"),
    ];
    for entry in fs::read_dir(root.join("docs")).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.extension().is_some_and(|end| end == "md") {
            paths.push(path);
        }
    }
    let mut documents = Vec::new();
    for path in paths {
        documents.push(Text {
            name: path.display().to_string(),
            text: fs::read_to_string(&path).expect("a readable file"),
        });
    }
    documents
}

/// All that these tests look into. The remedies are those for the keys of the example that do not work here.
fn texts() -> Vec<Text> {
    let mut texts = helps();
    texts.extend(documents());
    for problem in problems(&example_with_everything_on()) {
        texts.push(Text {
            name: format!("the remedy for: {}", problem.message),
            text: problem.remedy,
        });
    }
    texts
}

/// The example file with every `#key = …` and every `#[table]` switched on.
fn example_with_everything_on() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.example.toml");
    let example = fs::read_to_string(path).expect("a readable file");
    let mut text = String::new();
    for line in example.lines() {
        let switched_on = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['));
        text.push_str(switched_on.unwrap_or(line));
        text.push('\n');
    }
    text
}

struct Problem {
    message: String,
    remedy: String,
}

impl Problem {
    /// The text is right, and this machine lacks a file or a variable that it names.
    fn is_of_this_machine(&self) -> bool {
        self.message.contains("cannot be read") || self.message.contains("is not set")
    }
}

/// The errors of `check` about a configuration file.
fn problems(text: &str) -> Vec<Problem> {
    let files = tempfile::tempdir().expect("a folder");
    let path = files.path().join("ahds-proxy.toml");
    fs::write(&path, text).expect("written");
    let path = path.to_str().expect("UTF-8");
    let output = process::command(&["check", "--output", "json", "--config", path])
        .output()
        .expect("the program runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let mut problems = Vec::new();
    for problem in report["problems"].as_array().into_iter().flatten() {
        problems.push(Problem {
            message: problem["message"].as_str().expect("text").to_owned(),
            remedy: problem["remedy"].as_str().expect("text").to_owned(),
        });
    }
    problems
}

fn is_part_of_a_path(c: char) -> bool {
    c.is_ascii_alphanumeric() || "/-_.*$%{".contains(c)
}

/// Paths of one word, such as `/status`.
fn paths(text: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (start, _) in text.match_indices('/') {
        let before = &text[..start];
        let stands_alone = before.ends_with(|c: char| c.is_whitespace() || "`\"'(".contains(c));
        if !stands_alone && !before.is_empty() && !before.ends_with(":8081") {
            continue;
        }
        let path = &text[start..];
        let end = path
            .find(|c: char| !is_part_of_a_path(c))
            .unwrap_or(path.len());
        let path = path[..end].trim_end_matches('.');
        let word = &path[1..];
        if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()) {
            paths.insert(path.to_owned());
        }
    }
    paths
}

#[tokio::test]
async fn the_admin_address_serves_each_path_that_a_text_names() {
    let stage = Stage::start().await;
    let mut named = BTreeSet::new();
    let mut missing = Vec::new();
    for Text { name, text } in texts() {
        let mut paths = paths(&text);
        paths.retain(|path| !OTHER_PATHS.contains(&path.as_str()));
        for (feature, path) in FEATURES {
            if text.contains(*feature) {
                paths.insert((*path).to_owned());
            }
        }
        for path in paths {
            if client::get(stage.admin(), &path).await.status == 404 {
                missing.push(format!("{name}: {path}"));
            }
            named.insert(path);
        }
    }
    assert!(
        missing.is_empty(),
        "neither served nor in OTHER_PATHS: {missing:#?}"
    );
    for path in ["/livez", "/readyz", "/status"] {
        assert!(named.contains(path), "no text names {path}");
    }
}

#[test]
fn check_accepts_each_key_of_the_example() {
    for problem in problems(&example_with_everything_on()) {
        let is_announced = problem.message.contains("is not available yet");
        assert!(
            is_announced || problem.is_of_this_machine(),
            "{}",
            problem.message
        );
    }
}

#[test]
fn check_accepts_each_piece_of_configuration_in_a_document() {
    let mut pieces = 0;
    for Text { name, text } in documents() {
        for behind in text.split("```toml\n").skip(1) {
            let (piece, _) = behind.split_once("```").expect("a closed code block");
            let route = if piece.contains("[routes.") {
                ""
            } else {
                "\n[routes.fhir]\nupstream = \"https://WS-FHIR.fhir.azurehealthcareapis.com\"\n"
            };
            for problem in problems(&format!("{piece}{route}")) {
                assert!(
                    problem.is_of_this_machine(),
                    "{name}: {}\n{piece}",
                    problem.message
                );
            }
            pieces += 1;
        }
    }
    assert!(pieces > 0, "no document shows a piece of configuration");
}

/// The names of routes and credentials are the user's: `routes.*.upstream`.
fn general(key: &str) -> String {
    let mut parts: Vec<&str> = key.split('.').collect();
    if parts.len() > 2 && matches!(parts[0], "routes" | "credentials") {
        parts[1] = "*";
    }
    parts.join(".")
}

fn collect(table: &DeTable<'_>, path: &str, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        let name = format!("{path}{}", key.get_ref());
        found.insert(general(&name));
        if let DeValue::Table(inner) = value.get_ref() {
            collect(inner, &format!("{name}."), found);
        }
    }
}

/// Keys with their table before them, such as `security.tls`.
fn dotted_keys(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let mut keys = BTreeSet::new();
    for word in text.split(|c: char| !is_part(c)) {
        let word = word.trim_matches('.');
        let parts: Vec<&str> = word.split('.').collect();
        let (first, last) = (parts[0], parts[parts.len() - 1]);
        let is_file = matches!(last, "md" | "rs" | "toml");
        let is_placeholder = last.contains(|c: char| c.is_ascii_uppercase());
        // `routes.fhir` has a name of the user's in place of a key.
        let has_key = match first {
            "routes" | "credentials" => parts.len() > 2,
            _ => parts.len() > 1,
        };
        if TABLES.contains(&first) && has_key && !is_file && !is_placeholder {
            keys.insert(word.to_owned());
        }
    }
    keys
}

#[test]
fn the_example_has_each_key_that_a_text_names() {
    let example = example_with_everything_on();
    let tree = DeTable::parse(&example).expect("valid TOML");
    let mut known = BTreeSet::new();
    collect(tree.get_ref(), "", &mut known);
    let mut named = 0;
    for Text { name, text } in texts() {
        for key in dotted_keys(&text) {
            assert!(known.contains(&general(&key)), "{name}: {key}");
            named += 1;
        }
    }
    assert!(named > 0, "no text names a key");
}

/// The words behind the program's name, for each time that a text shows how to call it.
fn calls(text: &str) -> Vec<Vec<String>> {
    const PROGRAM: &str = "ahds-proxy ";
    let text = text.replace("\\\n", " ");
    let mut calls = Vec::new();
    for line in text.lines() {
        for (start, _) in line.match_indices(PROGRAM) {
            let before = &line[..start];
            let is_call = before.trim().is_empty()
                || before.trim() == "$"
                || before.ends_with('`')
                || before.ends_with("  ");
            if !is_call {
                continue;
            }
            let arguments = &line[start + PROGRAM.len()..];
            let end = arguments.find(['`', '#', '|', ';']);
            let arguments = &arguments[..end.unwrap_or(arguments.len())];
            calls.push(arguments.split_whitespace().map(str::to_owned).collect());
        }
    }
    calls
}

/// `--output` of `--output=json,`.
fn flag(word: &str) -> Option<&str> {
    let rest = word.strip_prefix("--")?;
    let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '-');
    let length = end.unwrap_or(rest.len());
    (length > 0).then(|| &word[..2 + length])
}

fn offers(help: &str, flag: &str) -> bool {
    help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .any(|word| word == flag)
}

#[test]
fn the_program_has_each_command_and_flag_that_a_text_names() {
    let helps = helps();
    let commands = commands();
    let mut named = 0;
    for Text { name, text } in texts() {
        for call in calls(&text) {
            let command = call.first().filter(|word| {
                !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase())
            });
            if let Some(command) = command {
                assert!(commands.contains(command), "{name}: ahds-proxy {command}");
                named += 1;
            }
            let page = command.filter(|command| *command != "help");
            let page = page.map_or("--help", String::as_str);
            let page = helps.iter().find(|help| help.name == page);
            let page = page.expect("the help of a command");
            for flag in call.iter().filter_map(|word| flag(word)) {
                assert!(offers(&page.text, flag), "{name}: {flag} in {call:?}");
                named += 1;
            }
        }
        // `--log debug` without the program before it.
        for flag in text.split('`').filter_map(flag) {
            let is_offered = helps.iter().any(|help| offers(&help.text, flag));
            assert!(is_offered, "{name}: {flag}");
        }
    }
    assert!(named > 10, "the texts name {named} commands and flags only");
}

fn variables(text: &str) -> BTreeSet<String> {
    const START: &str = "AHDS_PROXY_";
    let mut variables = BTreeSet::new();
    for (start, _) in text.match_indices(START) {
        let variable = &text[start..];
        let end = variable.find(|c: char| !c.is_ascii_uppercase() && c != '_');
        let variable = &variable[..end.unwrap_or(variable.len())];
        if variable.len() > START.len() {
            variables.insert(variable.to_owned());
        }
    }
    variables
}

/// A value that no variable may have is refused, by the name of the variable.
#[test]
fn the_program_reads_each_variable_that_a_text_names() {
    let mut named = BTreeSet::from(["RUST_LOG".to_owned()]);
    for Text { text, .. } in texts() {
        named.extend(variables(&text));
    }
    for variable in &named {
        if SET_FOR_OTHERS.contains(&variable.as_str()) {
            continue;
        }
        let output = process::command(&["check"])
            .env(variable, "no such: value")
            .output()
            .expect("the program runs");
        let stderr = process::text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{variable}: {stderr}");
        assert!(stderr.contains(variable.as_str()), "{variable}: {stderr}");
    }
    assert!(named.len() > 5, "the texts name {named:?} only");
}

/// Kinds of credentials that have no key `authority` take it from a variable, and the remedy says so.
#[test]
fn no_remedy_names_a_key_that_a_kind_does_not_have() {
    let files = tempfile::tempdir().expect("a folder");
    let path = files.path().join("ahds-proxy.toml");
    for kind in ["auto", "device-code"] {
        let tenant = if kind == "auto" {
            ""
        } else {
            "tenant = \"contoso.onmicrosoft.com\"\n"
        };
        let text = format!(
            "[routes.fhir]\nupstream = \"https://ws-fhir.fhir.azurehealthcareapis.com\"\n\
             [credentials.default.{kind}]\n{tenant}\
             [network.resolve]\n\"localhost:8005\" = \"192.0.2.1:8005\"\n"
        );
        fs::write(&path, text).expect("written");
        let output = process::command(&["check", "--config", path.to_str().expect("UTF-8")])
            .env("AZURE_AUTHORITY_HOST", "http://localhost:8005")
            .output()
            .expect("the program runs");
        let stderr = process::text(&output.stderr);
        assert!(
            stderr.contains("an https URL in `AZURE_AUTHORITY_HOST`"),
            "{kind}: {stderr}"
        );
        assert!(!stderr.contains("authority`"), "{kind}: {stderr}");
    }
}

#[test]
fn a_kind_names_all_that_may_stand_for_the_keys_it_needs() {
    for (kind, keys) in [
        (
            "oauth2-client-credentials",
            "needs token_url, and either client_id and client_secret or registration",
        ),
        (
            "smart-backend-services",
            "needs client_id, key, algorithm, scope, and token_url or issuer",
        ),
    ] {
        let fhir = "https://ws-fhir.fhir.azurehealthcareapis.com";
        let output = process::command(&["check", "--fhir", fhir, "--credential", kind])
            .output()
            .expect("the program runs");
        let stderr = process::text(&output.stderr);
        assert!(stderr.contains(keys), "{kind}: {stderr}");
    }
}
