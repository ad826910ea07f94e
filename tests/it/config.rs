//! The configuration from outside: whole files, flags and the program itself.
//!
//! Each `config/invalid/NAME.toml` stands beside the exact text it is refused with;
//! `UPDATE_EXPECT=1 cargo test` writes that text anew.

#[cfg(unix)]
mod certificate_files;
mod program;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use ahds_proxy::config::{
    Config, ConfigErrors, Credential, HttpVersion, LinkMode, Listen, LogFormat, Overrides, Route,
    RouteKind, SecretRef, ServiceUrl, load, parse,
};
use proptest::prelude::*;

fn env(name: &str) -> Option<String> {
    match name {
        "SET_SECRET" => Some("s3cret".to_owned()),
        "TWO_LINES" => Some("a\nb".to_owned()),
        _ => None,
    }
}

fn load_file(path: &Path) -> Result<Config, ConfigErrors> {
    let flags = Overrides {
        config: Some(path.to_owned()),
        ..Overrides::default()
    };
    load(&flags, &env)
}

fn load_flags(flags: &Overrides) -> Config {
    load(flags, &env).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The `.toml` files of a folder; the current directory of a test is the package's.
fn cases(folder: &str) -> Vec<PathBuf> {
    // Joined by hand, so that the expected texts name the same path on every system.
    let folder = format!("tests/it/config/{folder}");
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the cases' folder")
        .map(|entry| entry.expect("readable").file_name())
        .map(|name| PathBuf::from(format!("{folder}/{}", name.to_string_lossy())))
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    paths.sort();
    assert!(paths.len() > 2, "no cases in {folder}");
    paths
}

fn route<'c>(config: &'c Config, name: &str) -> &'c Route {
    let found = config.routes.iter().find(|route| &*route.name == name);
    found.unwrap_or_else(|| panic!("no route {name}"))
}

#[test]
#[cfg_attr(windows, ignore = "the files name Unix sockets")]
fn valid_files_are_accepted() {
    for path in cases("valid") {
        if let Err(errors) = load_file(&path) {
            panic!("{}:\n{errors}", path.display());
        }
    }
}

#[test]
#[cfg_attr(windows, ignore = "the files name Unix sockets")]
fn invalid_files_are_refused_with_exactly_this_text() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    for path in cases("invalid") {
        let errors = load_file(&path).expect_err(&path.display().to_string());
        let text = format!("{errors}\n");
        assert!(!text.contains("hunter2"), "a secret is shown:\n{text}");
        let expected = path.with_extension("stderr");
        if update {
            fs::write(&expected, text).expect("written");
        } else {
            let expected = fs::read_to_string(&expected).unwrap_or_default();
            assert_eq!(text, expected, "{}", path.display());
        }
    }
}

#[test]
fn the_example_resolves() {
    let config = load_file(Path::new("config.example.toml")).expect("valid");
    assert_eq!(config.routes.len(), 2);
}

#[test]
fn the_shortest_call_is_enough() {
    let config = load_flags(&Overrides {
        fhir: Some("https://WS-FHIR.fhir.azurehealthcareapis.com".to_owned()),
        ..Overrides::default()
    });
    let tcp = |address: &str, optional| Listen::Tcp {
        address: address.parse().expect("an address"),
        optional,
    };
    assert_eq!(
        config.listen,
        [tcp("127.0.0.1:8080", false), tcp("[::1]:8080", true)]
    );
    assert_eq!(config.admin, "127.0.0.1:8081".parse().ok());
    let [route] = &config.routes[..] else {
        panic!("{:?}", config.routes)
    };
    assert_eq!(&*route.name, "fhir");
    assert_eq!(route.kind, RouteKind::Fhir);
    assert_eq!(route.prefix.as_str(), "/fhir");
    assert_eq!(
        route.audience.as_ref().map(ToString::to_string).as_deref(),
        Some("https://ws-fhir.fhir.azurehealthcareapis.com")
    );
    assert_eq!(&*route.credential, "default");
    assert_eq!(route.http, HttpVersion::Auto);
    assert_eq!(route.links, LinkMode::Rewrite);
    assert_eq!((&route.public_url, &route.listen), (&None, &None));
    assert!(!route.retry_throttled);
    assert!(matches!(
        config.credentials.get("default"),
        Some(Credential::Auto(_))
    ));
    assert_eq!(config.credentials.len(), 1);
    assert_eq!(config.network.connect_timeout, Duration::from_secs(10));
    assert_eq!(config.network.response_timeout, Duration::from_secs(120));
    assert_eq!(config.network.idle_timeout, Duration::from_secs(60));
    assert_eq!(config.limits.connections, 4096);
    assert_eq!(config.limits.requests, 1024);
    assert_eq!(config.limits.request_head, 65_536);
    assert_eq!(config.limits.request_body.limit(), None);
    assert!(!config.security.allow_remote);
    assert_eq!(config.log.level, "info");
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.drain, Duration::from_secs(30));
}

#[test]
fn kinds_and_audiences_follow_the_upstream() {
    let config = load_file(Path::new("tests/it/config/valid/kinds_and_audiences.toml"));
    let config = config.expect("valid");
    let dicom = "https://dicom.healthcareapis.azure.com";
    for (name, kind, audience) in [
        (
            "lab",
            RouteKind::Fhir,
            "https://lab-r4.fhir.azurehealthcareapis.com",
        ),
        (
            "old",
            RouteKind::Fhir,
            "https://acct.azurehealthcareapis.com",
        ),
        ("images", RouteKind::Dicom, dicom),
        ("dicom", RouteKind::Dicom, dicom),
        ("fhir", RouteKind::Fhir, "http://localhost:9000"),
        (
            "gov",
            RouteKind::Dicom,
            "https://dicom.healthcareapis.azure.us/",
        ),
        ("other", RouteKind::Http, "api://other"),
    ] {
        let route = route(&config, name);
        assert_eq!(route.kind, kind, "{name}");
        let found = route.audience.as_ref().map(ToString::to_string);
        assert_eq!(found.as_deref(), Some(audience), "{name}");
    }
    assert_eq!(route(&config, "lab").upstream.base_path(), "/v2");
}

#[test]
#[cfg_attr(windows, ignore = "the files name Unix sockets")]
fn every_key_of_a_full_file_arrives() {
    let config = load_file(Path::new("tests/it/config/valid/full.toml")).expect("valid");
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.admin, None);
    let fhir = route(&config, "fhir");
    assert_eq!(fhir.prefix.as_str(), "");
    assert_eq!(
        fhir.upstream.to_string(),
        "https://fhir.example.org:8443/r4"
    );
    assert_eq!(fhir.http, HttpVersion::Http1);
    assert!(fhir.read_only);
    assert_eq!(fhir.headers.len(), 1);
    assert_eq!(fhir.links, LinkMode::Keep);
    assert_eq!(
        fhir.public_url.as_ref().map(ToString::to_string).as_deref(),
        Some("https://proxy.example.org/fhir")
    );
    let listen = fhir.listen.as_ref().map(ToString::to_string);
    assert_eq!(listen.as_deref(), Some("127.0.0.1:8082"));
    assert!(fhir.retry_throttled);
    let plain = route(&config, "plain");
    assert_eq!((plain.http, &plain.audience), (HttpVersion::Http2, &None));
    assert_eq!(plain.links, LinkMode::Rewrite);
    assert_eq!((&plain.public_url, plain.retry_throttled), (&None, false));

    let Some(Credential::ClientSecret(app)) = config.credentials.get("app") else {
        panic!("{:?}", config.credentials)
    };
    assert_eq!(app.tenant.as_str(), "contoso.onmicrosoft.com");
    assert_eq!(app.secret, SecretRef::Env("SET_SECRET".to_owned()));
    assert_eq!(
        app.authority.to_string(),
        "https://login.microsoftonline.com"
    );
    let Some(Credential::Static(fixed)) = config.credentials.get("fixed") else {
        panic!("{:?}", config.credentials)
    };
    // From the file's own folder, wherever the proxy is started.
    let beside = Path::new("tests/it/config/valid/token.txt").to_owned();
    assert_eq!(fixed.token, SecretRef::File(beside));
    assert!(!config.credentials.contains_key("elsewhere"));

    assert_eq!(config.network.resolve.len(), 2);
    let proxy = config.network.proxy.as_ref().map(ToString::to_string);
    assert_eq!(proxy.as_deref(), Some("proxy.example.org:3128"));
    assert_eq!(config.network.connect_timeout, Duration::from_millis(500));
    assert_eq!(config.network.response_timeout, Duration::from_secs(120));
    assert_eq!(config.network.idle_timeout, Duration::from_secs(3600));
    let limits = &config.limits;
    assert_eq!((limits.connections, limits.requests), (10, 5));
    assert_eq!(
        (limits.request_head, limits.request_body.limit()),
        (8192, Some(1000))
    );
    let security = &config.security;
    assert!(!security.allow_remote);
    assert_eq!(security.allowed_hosts, ["proxy.lab.localhost", "::1"]);
    assert_eq!(security.allowed_origins, ["https://viewer.example"]);
    assert_eq!(config.log.level, "warn,ahds_proxy=debug");
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.drain, Duration::from_secs(5));
}

const FILE: &str = r#"
listen = "127.0.0.1:1000"
[routes.fhir]
upstream = "https://file.fhir.azurehealthcareapis.com"
read_only = true
[credentials.default.azure-cli]
tenant = "contoso.com"
[log]
level = "warn"
"#;

#[test]
fn flags_beat_environment_beats_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.toml");
    fs::write(&path, FILE).expect("written");
    let name = path.to_str().expect("UTF-8").to_owned();
    let env = |variable: &str| match variable {
        "AHDS_PROXY_CONFIG" => Some(name.clone()),
        "AHDS_PROXY_FHIR" => Some("https://env.fhir.azurehealthcareapis.com".to_owned()),
        "AHDS_PROXY_LISTEN" => Some("127.0.0.1:2000, [::1]:2000".to_owned()),
        "RUST_LOG" => Some("debug".to_owned()),
        // As good as unset.
        "AHDS_PROXY_ADMIN" => Some(String::new()),
        _ => None,
    };
    let config = load(&Overrides::default(), &env).unwrap_or_else(|e| panic!("{e}"));
    let fhir = route(&config, "fhir");
    assert_eq!(fhir.upstream.host(), "env.fhir.azurehealthcareapis.com");
    assert!(fhir.read_only, "the rest of the table stays");
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.log.level, "debug");

    let flags = Overrides {
        fhir: Some("https://flag.fhir.azurehealthcareapis.com".to_owned()),
        listen: vec!["127.0.0.1:3000".to_owned()],
        admin: Some("off".to_owned()),
        credential: Some("auto".to_owned()),
        log: Some("error".to_owned()),
        ..Overrides::default()
    };
    let config = load(&flags, &env).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(
        route(&config, "fhir").upstream.host(),
        "flag.fhir.azurehealthcareapis.com"
    );
    assert_eq!(config.listen.len(), 1, "a flag replaces the list");
    assert_eq!(config.admin, None);
    assert_eq!(config.log.level, "error");
    assert!(matches!(config.credentials["default"], Credential::Auto(_)));

    let same_kind = Overrides {
        credential: Some("azure-cli".to_owned()),
        ..Overrides::default()
    };
    let config = load(&same_kind, &env).unwrap_or_else(|e| panic!("{e}"));
    let Credential::AzureCli(az) = &config.credentials["default"] else {
        panic!("{:?}", config.credentials)
    };
    assert!(az.tenant.is_some(), "the kind's keys stay");
    assert_eq!(az.timeout, Duration::from_secs(60));
}

#[test]
fn the_authority_comes_from_the_environment() {
    const TEXT: &str = r#"
[routes.fhir]
upstream = "https://ws-fhir.fhir.azurehealthcareapis.us"
[credentials.default.client-secret]
tenant = "contoso.com"
client_id = "app"
secret = { env = "S" }
"#;
    let authority = |host: &'static str| {
        let env = move |name: &str| match name {
            "AZURE_AUTHORITY_HOST" => Some(host.to_owned()),
            "S" => Some("s3cret".to_owned()),
            _ => None,
        };
        parse(Path::new("c.toml"), TEXT, &env).map(|config| {
            let Credential::ClientSecret(app) = &config.credentials["default"] else {
                panic!("{:?}", config.credentials)
            };
            app.authority.to_string()
        })
    };
    for host in [
        "login.microsoftonline.us",
        "https://login.microsoftonline.us/",
    ] {
        assert_eq!(
            authority(host).expect("valid"),
            "https://login.microsoftonline.us"
        );
    }
    let errors = authority("http://login.example").expect_err("refused");
    assert!(errors.to_string().contains("--> AZURE_AUTHORITY_HOST"));

    let az = TEXT
        .split_once("[credentials")
        .expect("a credential")
        .0
        .to_owned()
        + "[credentials.default.azure-cli]\n";
    let env = |name: &str| (name == "AZURE_AUTHORITY_HOST").then(|| "http://h".to_owned());
    let loaded = parse(Path::new("c.toml"), &az, &env);
    assert!(loaded.is_ok(), "az has no authority: {loaded:?}");
}

/// The proxy for a service, and the name of the key or variable that names the proxy.
#[test]
fn the_http_proxy_comes_from_the_key_or_the_environment() {
    const UPSTREAM: &str = "https://ws-fhir.fhir.azurehealthcareapis.com";
    let load = |key: &str, variables: &[(&str, &str)]| {
        let text = format!("[routes.fhir]\nupstream = \"{UPSTREAM}\"\n[network]\n{key}\n");
        let env = |name: &str| {
            let mut set = variables.iter();
            let found = set.find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        parse(Path::new("c.toml"), &text, &env)
    };
    let to = |upstream: &str, key: &str, variables: &[(&str, &str)]| {
        let config = load(key, variables).unwrap_or_else(|errors| panic!("{errors}"));
        let url = ServiceUrl::parse(upstream).expect("a URL");
        let proxy = config.network.proxy_to_service(&url);
        proxy.map(|proxy| format!("{proxy} by {}", proxy.named_by()))
    };
    let all = [
        ("ALL_PROXY", "all.example:1"),
        ("HTTPS_PROXY", "http://upper.example:2"),
        ("https_proxy", "http://lower.example:3"),
        ("HTTP_PROXY", "http://wrong.example:4"),
        ("NO_PROXY", "10.0.0.0/8,*.lab.example"),
    ];
    let one = "proxy = \"http://u:p@key.example:5\"";
    for (key, variables, expected) in [
        ("", &[][..], None),
        ("", &all[3..], None),
        ("", &all, Some("lower.example:3 by https_proxy")),
        (
            "proxy = \"env\"",
            &all[..2],
            Some("upper.example:2 by HTTPS_PROXY"),
        ),
        ("", &all[..1], Some("all.example:1 by ALL_PROXY")),
        ("proxy = \"off\"", &all, None),
        (one, &all, Some("key.example:5 by network.proxy")),
    ] {
        let found = to(UPSTREAM, key, variables);
        assert_eq!(found.as_deref(), expected, "{key} {variables:?}");
    }
    for direct in [
        "http://localhost:9000",
        "https://localhost:9000",
        "https://127.0.0.1",
        "https://[::1]",
        "https://169.254.169.254",
        "https://10.1.2.3",
        "https://fhir.lab.example",
        "https://pinned.example:8443",
    ] {
        let key = format!("{one}\nresolve = {{ \"pinned.example:8443\" = \"10.0.0.1:443\" }}");
        assert_eq!(to(direct, &key, &all), None, "{direct}");
    }
    assert!(to("https://pinned.example", one, &all).is_some());

    for (value, remedy) in [
        ("socks5://u:hunter2@proxy.example:1", "http://HOST:PORT"),
        ("http://u:hunter2@proxy.example:1/path", "http://HOST:PORT"),
        ("http://u:hunter2/@proxy.example:1", "percent-encode"),
        ("http://127.0.0.1:8080", "your network's proxy"),
    ] {
        let errors = load("", &[("HTTPS_PROXY", value)]).expect_err(value);
        let text = errors.to_string();
        assert!(text.contains("error: `HTTPS_PROXY`"), "{text}");
        assert!(text.contains("--> HTTPS_PROXY"), "{text}");
        assert!(text.contains(remedy), "{text}");
        assert!(text.contains("set proxy = \"off\""), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(load("proxy = \"off\"", &[("HTTPS_PROXY", value)]).is_ok());
    }
}

#[test]
fn problems_of_flags_and_variables_name_them() {
    let flags = Overrides {
        config: Some("no-such-file.toml".into()),
        fhir: Some("https://fhir.example.org".to_owned()),
        dicom: Some("nonsense".to_owned()),
        credential: Some("client-secret".to_owned()),
        log_format: Some("xml".to_owned()),
        ..Overrides::default()
    };
    let env = |name: &str| (name == "AHDS_PROXY_ADMIN").then(|| "here".to_owned());
    let text = load(&flags, &env).expect_err("refused").to_string();
    for place in [
        "--config",
        "--fhir",
        "--dicom",
        "--credential",
        "--log-format",
        "AHDS_PROXY_ADMIN",
    ] {
        assert!(text.contains(&format!("--> {place}\n")), "{place}:\n{text}");
    }
    assert!(text.ends_with("6 problems; nothing was started"), "{text}");
}

/// The valid files and the example, to be damaged.
fn seeds() -> Vec<String> {
    let mut paths = cases("valid");
    paths.push("config.example.toml".into());
    let read = |path: &PathBuf| fs::read_to_string(path).expect("readable");
    paths.iter().map(read).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_accepted_or_refused(text in "(?s).{0,200}") {
        if let Err(errors) = parse(Path::new("c.toml"), &text, &env) {
            let _ = errors.to_string();
        }
    }

    #[test]
    fn any_damaged_file_is_accepted_or_refused(
        seed in proptest::sample::select(seeds()),
        at in any::<proptest::sample::Index>(),
        length in 0_usize..30,
        insert in "[\\[\\]{}\"'=.#\n a-z0-9é\u{1b}]{0,8}",
    ) {
        let characters: Vec<char> = seed.chars().collect();
        let start = at.index(characters.len());
        let end = (start + length).min(characters.len());
        let damaged: String = characters[..start]
            .iter()
            .copied()
            .chain(insert.chars())
            .chain(characters[end..].iter().copied())
            .collect();
        if let Err(errors) = parse(Path::new("c.toml"), &damaged, &env) {
            prop_assert!(!errors.problems().is_empty());
            let _ = errors.to_string();
        }
    }
}
