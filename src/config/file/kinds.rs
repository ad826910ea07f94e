//! The keys of each kind of credential.

use http::HeaderName;

use super::{
    keys::Keys,
    secrets::{path, program, program_path, secret},
};
use crate::config::{
    Auto, AutoSource, AzureCli, ClientAuth, ClientCertificate, ClientSecret, Command, Credential,
    DeviceCode, EndpointUrl, HeaderText, ManagedIdentity, OAuth2, OAuth2Client, Registration,
    ServiceUrl, SmartAlgorithm, SmartBackendServices, SmartEndpoint, Tenant, Text, Tool,
    UserAssigned, WorkloadIdentity, grammar,
    report::{At, Report},
    walk::Item,
};

/// Azure CLI's own public client, which every tenant knows.
const AZURE_CLI_CLIENT_ID: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

pub(super) fn read(kind: &str, keys: &mut Keys<'_, '_>) -> Option<Credential> {
    match kind {
        "auto" => {
            keys.wants_authority = true;
            Some(auto())
        }
        "azure-cli" => Some(azure_cli(keys)),
        "azure-developer-cli" => Some(Credential::AzureDeveloperCli(tool(keys))),
        "azure-powershell" => Some(Credential::AzurePowerShell(tool(keys))),
        "client-certificate" => client_certificate(keys),
        "client-secret" => client_secret(keys),
        "command" => command(keys),
        "device-code" => device_code(keys),
        "managed-identity" => Some(managed_identity(keys)),
        "oauth2-client-credentials" => oauth2(keys),
        "smart-backend-services" => smart(keys),
        "static" => keys
            .need_secret("token")
            .map(|token| Credential::Static { token }),
        "workload-identity" => Some(workload_identity(keys)),
        _ => None,
    }
}

/// What the environment says is left to `resolve`.
pub(super) fn auto() -> Credential {
    Credential::Auto(Auto {
        sources: AutoSource::ALL,
        authority: ServiceUrl::public_authority(),
    })
}

fn azure_cli(keys: &mut Keys<'_, '_>) -> Credential {
    Credential::AzureCli(AzureCli {
        tenant: keys.read("tenant", tenant),
        subscription: keys.read("subscription", argument),
        path: keys.read("path", program),
        timeout: keys.timeout(),
    })
}

fn tool(keys: &mut Keys<'_, '_>) -> Tool {
    Tool {
        tenant: keys.read("tenant", tenant),
        path: keys.read("path", program),
        timeout: keys.timeout(),
    }
}

fn device_code(keys: &mut Keys<'_, '_>) -> Option<Credential> {
    let tenant = keys.need("tenant", tenant);
    let client_id = keys.read("client_id", argument);
    keys.wants_authority = true;
    Some(Credential::DeviceCode(DeviceCode {
        tenant: tenant?,
        client_id: client_id.unwrap_or_else(|| AZURE_CLI_CLIENT_ID.to_owned()),
        authority: ServiceUrl::public_authority(),
    }))
}

fn client_secret(keys: &mut Keys<'_, '_>) -> Option<Credential> {
    let tenant = keys.need("tenant", tenant);
    let client_id = keys.need("client_id", argument);
    let secret = keys.need_secret("secret");
    let authority = keys.authority();
    Some(Credential::ClientSecret(ClientSecret {
        tenant: tenant?,
        client_id: client_id?,
        secret: secret?,
        authority,
    }))
}

fn client_certificate(keys: &mut Keys<'_, '_>) -> Option<Credential> {
    let tenant = keys.need("tenant", tenant);
    let client_id = keys.need("client_id", argument);
    let certificate = keys.need_pem("certificate");
    let key = keys.pem("key");
    let send_chain = keys.read("send_chain", Item::boolean);
    let authority = keys.authority();
    Some(Credential::ClientCertificate(ClientCertificate {
        tenant: tenant?,
        client_id: client_id?,
        certificate: certificate?,
        key,
        send_chain,
        authority,
    }))
}

fn workload_identity(keys: &mut Keys<'_, '_>) -> Credential {
    Credential::WorkloadIdentity(WorkloadIdentity {
        tenant: keys.read("tenant", tenant),
        client_id: keys.read("client_id", argument),
        token_file: keys.read("token_file", path),
        authority: keys.authority(),
    })
}

fn managed_identity(keys: &mut Keys<'_, '_>) -> Credential {
    let client_id = keys.read("client_id", argument);
    let object_id = keys.read("object_id", argument);
    let resource_id = keys.read("resource_id", argument);
    keys.only_one(&["client_id", "object_id", "resource_id"]);
    let endpoint = keys.read("endpoint", |item, report| {
        item.parse(report, grammar::metadata_url)
    });
    Credential::ManagedIdentity(ManagedIdentity {
        identity: client_id
            .map(UserAssigned::ClientId)
            .or(object_id.map(UserAssigned::ObjectId))
            .or(resource_id.map(UserAssigned::ResourceId)),
        endpoint,
    })
}

fn command(keys: &mut Keys<'_, '_>) -> Option<Credential> {
    let argv = keys.need("argv", |item, report| {
        let argv = item.list(report, |text| Ok(text.to_owned()))?;
        let mut argv = argv.into_iter().map(|at| at.value);
        let program = argv.next().filter(|program| !program.is_empty());
        if program.is_none() {
            report.refuse(
                item.place,
                format!("`{}` names no program", item.key),
                "write the program and its arguments: [\"/usr/bin/token\", \"--raw\"]",
            );
        }
        Some((program_path(&program?, report), argv.collect()))
    });
    let timeout = keys.timeout();
    let (program, arguments) = argv?;
    Some(Credential::Command(Command {
        program,
        arguments,
        timeout,
    }))
}

fn oauth2(keys: &mut Keys<'_, '_>) -> Option<Credential> {
    let token_url = keys.need("token_url", endpoint);
    let registration = registration(keys);
    let is_registered = ["client_id", "client_secret"]
        .iter()
        .any(|key| keys.table.has(key));
    // `None` where a key is missing; `Some(None)` where only a registration can tell.
    let client = if is_registered || !keys.table.has("registration") {
        let id = keys.need("client_id", argument);
        let secret = keys.need_secret("client_secret");
        id.zip(secret)
            .map(|(id, secret)| Some(OAuth2Client { id, secret }))
    } else {
        Some(None)
    };
    let scope = keys.read("scope", argument);
    let resource = keys.read("resource", argument);
    let auth = keys.read("auth", |item, report| {
        item.parse(report, |text| {
            grammar::choice(
                text,
                &[("body", ClientAuth::Body), ("basic", ClientAuth::Basic)],
            )
        })
    });
    let headers = keys.read("headers", headers);
    let parameters = keys.read("parameters", parameters);
    Some(Credential::OAuth2(Box::new(OAuth2 {
        token_url: token_url?,
        client: client?,
        registration,
        scope,
        resource,
        auth: auth.unwrap_or(ClientAuth::Body),
        headers: headers.unwrap_or_default(),
        parameters: parameters.unwrap_or_default(),
    })))
}

fn registration(keys: &mut Keys<'_, '_>) -> Option<Registration> {
    let (url, statement) = keys.read("registration", |item, report| {
        let mut table = item.table(report)?;
        let url = table.need(report, "url", endpoint);
        let statement = table.need(report, "software_statement", secret);
        table.finish(report);
        Some((url?.value, statement?))
    })?;
    Some(Registration {
        url,
        software_statement: keys.remember("registration.software_statement", statement, false),
    })
}

fn smart(keys: &mut Keys<'_, '_>) -> Option<Credential> {
    let client_id = keys.need("client_id", argument);
    let key = keys.need_pem("key");
    let algorithm = keys.need("algorithm", |item, report| {
        item.parse(report, |text| {
            grammar::choice(
                text,
                &[
                    ("RS384", SmartAlgorithm::Rs384),
                    ("ES384", SmartAlgorithm::Es384),
                ],
            )
        })
    });
    let scope = keys.need("scope", argument);
    let token_url = keys.read("token_url", endpoint);
    let issuer = keys.read("issuer", url);
    let key_id = keys.read("key_id", argument);
    let either = ["token_url", "issuer"];
    keys.only_one(&either);
    if !either.iter().any(|key| keys.table.has(key)) {
        keys.refuse(
            keys.table.place,
            format!("`{}` needs either `token_url` or `issuer`", keys.table.path),
            "write the token endpoint as `token_url`, or as `issuer` where to discover it",
        );
    }
    let endpoint = token_url
        .map(SmartEndpoint::TokenUrl)
        .or(issuer.map(SmartEndpoint::Issuer));
    Some(Credential::SmartBackendServices(SmartBackendServices {
        client_id: client_id?,
        key: key?,
        algorithm: algorithm?,
        scope: scope?,
        endpoint: endpoint?,
        key_id,
    }))
}

fn tenant(item: &Item<'_>, report: &mut Report) -> Option<Tenant> {
    item.parse(report, Tenant::parse)
}

fn argument(item: &Item<'_>, report: &mut Report) -> Option<String> {
    item.parse(report, grammar::argument)
}

fn url(item: &Item<'_>, report: &mut Report) -> Option<ServiceUrl> {
    item.parse(report, ServiceUrl::parse_secure)
}

fn endpoint(item: &Item<'_>, report: &mut Report) -> Option<EndpointUrl> {
    item.parse(report, EndpointUrl::parse)
}

fn headers(item: &Item<'_>, report: &mut Report) -> Option<Vec<(HeaderName, HeaderText)>> {
    texts(item, report, |name, item, report| {
        let plain = item.is_string();
        let text = if plain { item.str(report)? } else { "" };
        let (header, value) =
            report.accept(name.place, &item.key, grammar::header(name.value, text))?;
        let value = if plain {
            HeaderText::Plain(value)
        } else {
            HeaderText::Secret(secret(item, report)?)
        };
        Some((header, value))
    })
}

/// Fields the credential itself writes: none may come twice (RFC 6749, section 3.2).
const OWN_PARAMETERS: [(&str, &str); 5] = [
    ("client_id", "write it as the credential's `client_id`"),
    (
        "client_secret",
        "write it as the credential's `client_secret`",
    ),
    ("grant_type", "leave it out: it is client_credentials"),
    ("resource", "write it as the credential's `resource`"),
    ("scope", "write it as the credential's `scope`"),
];

fn parameters(item: &Item<'_>, report: &mut Report) -> Option<Vec<(String, Text)>> {
    texts(item, report, |name, item, report| {
        if let Some((own, remedy)) = OWN_PARAMETERS.iter().find(|(own, _)| *own == name.value) {
            let message = format!("`{}`: the credential itself sends `{own}`", item.key);
            report.refuse(name.place, message, *remedy);
            return None;
        }
        let value = if item.is_string() {
            Text::Plain(item.str(report)?.to_owned())
        } else {
            Text::Secret(secret(item, report)?)
        };
        Some((name.value.to_owned(), value))
    })
}

/// Every entry of a table whose keys the user chooses; none where one was refused.
fn texts<T>(
    item: &Item<'_>,
    report: &mut Report,
    mut read: impl FnMut(&At<&str>, &Item<'_>, &mut Report) -> Option<T>,
) -> Option<Vec<T>> {
    let table = item.table(report)?;
    // Collected first, so that every entry's problem is noted.
    let read: Vec<Option<T>> = table
        .entries()
        .map(|(name, item)| read(&name, &item, report))
        .collect();
    read.into_iter().collect()
}
