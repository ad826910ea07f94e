"""What the proxy sends to get a token, compared with what azure-identity sends to the same endpoints.

Both face servers that record every request. All that they send has to be the same, except for what
JUSTIFIED lists; and what it lists has to be there, so that the list stays true.
"""

from __future__ import annotations

import base64
import http.server
import json
import os
import secrets
import ssl
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from harness import BIN_DIR, FHIR_AUDIENCE, HERE, VENV_BIN, Scenario, check, equal

TENANT = "c0ffee00-0000-4000-8000-00000000d3a0"
CLIENT_ID = "ca11ab1e-0000-4000-8000-00000000d3a0"
RESOURCE_ID = "/subscriptions/5ca1ab1e/resourcegroups/demo/providers/Microsoft.ManagedIdentity/userAssignedIdentities/x"
# Both sides have this path built in, and rightly no way to change it.
ARC_KEYS = Path("/var/opt/azcmagent/tokens")

# What any HTTP client sends as it likes.
TRANSPORT = {"host", "user-agent", "accept", "accept-encoding", "connection", "content-length"}


@dataclass(frozen=True)
class Difference:
    """Where the two differ, as patterns: case and part, what each of them sends, and why that is right."""

    case: str
    part: str
    azure_identity: str
    proxy: str
    why: str

    def covers(self, case: str, part: str, azure_identity: object, proxy: object) -> bool:
        pairs = ((case, self.case), (part, self.part), (azure_identity, self.azure_identity), (proxy, self.proxy))
        return all(fnmatch(str(value), pattern) for value, pattern in pairs)

    def __str__(self) -> str:
        return f"{self.case}: {self.part}: {self.azure_identity}, from the proxy {self.proxy}: {self.why}"


NOTHING = "nothing"
JUSTIFIED = [
    Difference("*", "* header x-client-*", "*", NOTHING, "telemetry of MSAL"),
    Difference("*", "* header x-ms-*", "*", NOTHING, "telemetry of MSAL"),
    Difference("*", "* header client-request-id", "*", NOTHING, "telemetry of MSAL"),
    Difference("*", "GET */openid-configuration*", "*", NOTHING, "the path of Entra's token endpoint is documented"),
    Difference("*", "* form client_info", "1", NOTHING, "asks who the user is, and there is none"),
    Difference("certificate*", "* assertion header alg", "RS256", "PS256", "what Entra's documentation asks for now"),
    Difference("certificate*", "* assertion header x5t", "*", NOTHING, "x5t#S256 has taken its place"),
    Difference("certificate*", "* assertion header x5t#S256", NOTHING, "???*", "what the documentation asks for now"),
    Difference("certificate*", "* assertion claim nbf", NOTHING, "iat + 0 s", "one of the documented claims"),
]


@dataclass
class Recorded:
    method: str
    path: str
    query: str
    # Names in lower case.
    headers: dict[str, str]
    body: bytes

    def fields(self, assertion_file: str) -> Iterator[tuple[str, Any]]:
        """All that was sent, each part under a name of its own."""
        for name, value in urllib.parse.parse_qsl(self.query, keep_blank_values=True):
            yield f"query {name}", value
        for name, value in self.headers.items():
            if name not in TRANSPORT:
                # One says charset=utf-8 or nothing; the form is ASCII.
                yield f"header {name}", value.split(";")[0]
        for name, value in urllib.parse.parse_qsl(self.body.decode(), keep_blank_values=True):
            if name == "client_assertion" and value != assertion_file:
                yield from assertion(value)
            else:
                yield f"form {name}", value


def assertion(token: str) -> Iterator[tuple[str, Any]]:
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2])
    for name, value in header.items():
        yield f"assertion header {name}", value
    for name, value in claims.items():
        if name == "jti":
            value = f"random: {len(str(value)) >= 16}"
        elif name in ("nbf", "exp"):
            # A second may pass between the two that MSAL reads.
            value = f"iat + {60 * round((value - claims['iat']) / 60)} s"
        elif name == "iat":
            value = "now"
        yield f"assertion claim {name}", value


class Endpoints:
    """Entra behind TLS, and the endpoints of managed identities without."""

    def __init__(self, scenario: Scenario) -> None:
        certificates = scenario.certificates()
        self.ca_file = certificates / "ca.pem"
        self.recorded: list[Recorded] = []
        self.key = ""
        self.token = f"{segment({'alg': 'none'})}.{segment({'aud': FHIR_AUDIENCE})}.x"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        self.entra = f"https://localhost:{self.serve(scenario, context)}"
        self.machine = f"http://127.0.0.1:{self.serve(scenario, None)}"

    def serve(self, scenario: Scenario, tls: ssl.SSLContext | None) -> int:
        endpoints = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                url = urllib.parse.urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                sent = Recorded(self.command, url.path, url.query, headers, body)
                endpoints.recorded.append(sent)
                status, challenge, reply = endpoints.reply(sent)
                content = json.dumps(reply).encode()
                self.send_response(status)
                if challenge:
                    self.send_header("WWW-Authenticate", challenge)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        scenario.cleanup.callback(server.server_close)
        scenario.cleanup.callback(server.shutdown)
        return server.server_address[1]

    def reply(self, sent: Recorded) -> tuple[int, str, Any]:
        if sent.path.endswith("/openid-configuration"):
            base = f"{self.entra}/{TENANT}"
            reply = {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
            }
            return 200, "", reply
        if sent.path.startswith("/arc/") and sent.headers.get("authorization") != f"Basic {self.key}":
            self.key = secrets.token_hex(16)
            file = ARC_KEYS / f"conformance-{os.getpid()}.key"
            file.write_text(self.key)
            return 401, f"Basic realm={file}", {}
        reply = {"token_type": "Bearer", "access_token": self.token, "expires_in": 3600}
        if not sent.path.startswith(f"/{TENANT}/"):
            reply |= {"expires_in": "3600", "expires_on": "4102444800", "resource": FHIR_AUDIENCE}
        return 200, "", reply


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


# Opaque to whoever passes it on.
FEDERATED = f"{segment({'alg': 'RS256'})}.{segment({'aud': 'api://AzureADTokenExchange', 'sub': 'pod'})}.c2ln"


@dataclass
class Case:
    """One credential, for azure-identity and for the proxy."""

    name: str
    reference: str
    keywords: dict[str, Any]
    kind: str
    keys: dict[str, Any]
    env: dict[str, str] = field(default_factory=dict)


def cases(scenario: Scenario, endpoints: Endpoints) -> Iterator[Case]:
    certificate = scenario.directory / "app.pem"
    scenario.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=app"]
        + ["-keyout", scenario.directory / "app.key", "-out", scenario.directory / "app.crt"]
    )
    parts = [scenario.directory / "app.key", scenario.directory / "app.crt", endpoints.ca_file]
    certificate.write_text("".join(part.read_text() for part in parts))
    secret, federated = scenario.directory / "secret", scenario.directory / "federated"
    secret.write_text("s3cret/+&=%")
    federated.write_text(FEDERATED)

    application = {"tenant_id": TENANT, "client_id": CLIENT_ID}
    entra = application | {"authority": endpoints.entra, "disable_instance_discovery": True}
    ours = {"tenant": TENANT, "client_id": CLIENT_ID, "authority": endpoints.entra}

    keywords = entra | {"client_secret": secret.read_text()}
    yield Case("secret", "ClientSecretCredential", keywords, "client-secret", ours | {"secret": {"file": str(secret)}})
    for name, chain in (("certificate", False), ("certificate-chain", True)):
        keywords = entra | {"certificate_path": str(certificate), "send_certificate_chain": chain}
        keys = ours | {"certificate": str(certificate), "send_chain": chain}
        yield Case(name, "CertificateCredential", keywords, "client-certificate", keys)

    pod = {
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT_ID,
        "AZURE_FEDERATED_TOKEN_FILE": str(federated),
        "AZURE_AUTHORITY_HOST": endpoints.entra,
    }
    workload = {"disable_instance_discovery": True}
    yield Case("workload", "WorkloadIdentityCredential", workload, "workload-identity", {}, pod)

    def managed(name: str, env: dict[str, str], identity: dict[str, str] | None = None) -> Case:
        keywords: dict[str, Any] = {"identity_config": identity} if identity else {}
        return Case(name, "ManagedIdentityCredential", keywords, "managed-identity", identity or {}, env)

    imds = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": endpoints.machine}
    app = {"IDENTITY_ENDPOINT": f"{endpoints.machine}/msi/token/", "IDENTITY_HEADER": "s3cret"}
    for name, env in (("imds", imds), ("app-service", app)):
        yield managed(name, env)
        for key, value in (("client_id", CLIENT_ID), ("object_id", TENANT), ("resource_id", RESOURCE_ID)):
            yield managed(f"{name}-{key}", env, {key: value})
    if arc_keys(scenario):
        endpoint = f"{endpoints.machine}/arc/metadata/identity/oauth2/token"
        yield managed("arc", {"IDENTITY_ENDPOINT": endpoint, "IMDS_ENDPOINT": f"{endpoints.machine}/arc"})
    else:
        print(f"  left out: arc, since {ARC_KEYS} cannot be written")
    yield managed("cloud-shell", {"MSI_ENDPOINT": f"{endpoints.machine}/oauth2/token"})


def arc_keys(scenario: Scenario) -> bool:
    """Whether the agent's folder can be used; whatever is made there is removed again."""
    made: list[Path] = []
    try:
        for folder in reversed([ARC_KEYS, *ARC_KEYS.parents]):
            if not folder.exists():
                folder.mkdir()
                made.append(folder)
    except OSError:
        pass

    def remove() -> None:
        (ARC_KEYS / f"conformance-{os.getpid()}.key").unlink(missing_ok=True)
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()

    scenario.cleanup.callback(remove)
    return os.access(ARC_KEYS, os.W_OK)


def sent_by(endpoints: Endpoints) -> dict[str, Any]:
    """What was recorded since the last call, by the name of each part."""
    for request in endpoints.recorded:
        # Each challenge of Arc has a key of its own.
        if request.headers.get("authorization") == f"Basic {endpoints.key}":
            request.headers["authorization"] = "Basic KEY"
    found: dict[str, Any] = {}
    for request in endpoints.recorded:
        name = f"{request.method} {request.path}"
        # Arc asks twice.
        while name in found:
            name += " again"
        found[name] = "sent"
        found |= {f"{name} {part}": value for part, value in request.fields(FEDERATED)}
    endpoints.recorded.clear()
    return found


def run(scenario: Scenario) -> None:
    endpoints = Endpoints(scenario)
    used: set[Difference] = set()
    wrong: list[str] = []
    for case in cases(scenario, endpoints):
        reference = from_azure_identity(scenario, endpoints, case)
        ours = from_the_proxy(scenario, endpoints, case)
        parts = dict.fromkeys([*reference, *ours])
        differing = [part for part in parts if reference.get(part) != ours.get(part)]
        for part in differing:
            values = reference.get(part, NOTHING), ours.get(part, NOTHING)
            known = [difference for difference in JUSTIFIED if difference.covers(case.name, part, *values)]
            used.update(known)
            if not known:
                wrong.append(f"{case.name}: {part}: {values[0]!r}, but from the proxy {values[1]!r}")
        print(f"  {case.name}: {len(parts) - len(differing)} parts alike")
    check(not wrong, "what the proxy sends differs from what azure-identity sends\n" + "\n".join(wrong))
    for difference in JUSTIFIED:
        print(f"  differs: {difference}")
    stale = [str(difference) for difference in JUSTIFIED if difference not in used]
    equal(stale, [], "differences that are listed and are not there")


def from_azure_identity(scenario: Scenario, endpoints: Endpoints, case: Case) -> dict[str, Any]:
    program = [VENV_BIN / "python", HERE / "parts/azure_identity_token.py", f"{FHIR_AUDIENCE}/.default"]
    env = case.env | {"REQUESTS_CA_BUNDLE": str(endpoints.ca_file)}
    done = scenario.run([*program, case.reference, json.dumps(case.keywords)], env)
    equal(done.stdout.strip(), endpoints.token, f"{case.name}: azure-identity's token")
    return sent_by(endpoints)


def from_the_proxy(scenario: Scenario, endpoints: Endpoints, case: Case) -> dict[str, Any]:
    config = scenario.directory / f"{case.name}.toml"
    rows = "".join(f"{key} = {toml(value)}\n" for key, value in case.keys.items())
    config.write_text(
        f'[routes.fhir]\nupstream = "{FHIR_AUDIENCE}"\n'
        f"[credentials.default.{case.kind}]\n{rows}"
        f'[network]\nca_file = "{endpoints.ca_file}"\n'
    )
    program = [BIN_DIR / "ahds-proxy", "--config", config, "token", "fhir", "--output", "raw"]
    done = scenario.run(program, case.env)
    equal(done.stdout.strip(), endpoints.token, f"{case.name}: the proxy's token")
    return sent_by(endpoints)


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    # Strings and booleans are written as in JSON.
    return json.dumps(value)
