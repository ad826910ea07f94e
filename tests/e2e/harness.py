"""What the scenarios share: processes with logs and deadlines, the proxy, its upstreams, HTTP, checks."""

from __future__ import annotations

import atexit
import base64
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = Path(os.environ.get("AHDS_E2E_WORK", HERE / ".work")).resolve()
BIN_DIR = Path(os.environ.get("AHDS_E2E_BIN_DIR", ROOT / "target/release")).resolve()
VENV_BIN = WORK / "venv/bin"
NODE_DIR = WORK / "node"

FHIR_HOST = "demo-fhir.fhir.azurehealthcareapis.com"
DICOM_HOST = "demo-dicom.dicom.azurehealthcareapis.com"
FHIR_AUDIENCE = f"https://{FHIR_HOST}"
DICOM_AUDIENCE = "https://dicom.healthcareapis.azure.com"
ENTRA_HOST = "login.microsoftonline.com"

# Long enough for a busy two-core machine; nothing waits this long when all is well.
DEADLINE = 60.0

T = TypeVar("T")


class Failure(Exception):
    """A check that did not hold."""


def check(holds: object, message: str) -> None:
    if not holds:
        raise Failure(message)


def equal(actual: object, expected: object, what: str) -> None:
    check(actual == expected, f"{what}: expected {expected!r}, got {actual!r}")


def wait_for(what: str, probe: Callable[[], T | None], deadline: float = DEADLINE) -> T:
    """Polls until the probe returns something true."""
    end = time.monotonic() + deadline
    while True:
        found = probe()
        if found:
            return found
        check(time.monotonic() < end, f"no {what} within {deadline:.0f} s")
        time.sleep(0.05)


def free_port() -> int:
    """For programs that cannot be asked to take any port and say which."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def __str__(self) -> str:
        return f"{self.status} {dict(self.headers)} {self.body[:600]!r}"


def request(
    method: str,
    url: str,
    body: bytes | object | None = None,
    headers: Mapping[str, str] | None = None,
    over: http.client.HTTPConnection | None = None,
) -> Answer:
    """One plain HTTP request that follows no redirect and adds no header but Host and a length."""
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname
    sent = dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        sent.setdefault("Content-Type", "application/fhir+json")
    connection = over or http.client.HTTPConnection(parts.hostname, parts.port, timeout=DEADLINE)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, target, body=body, headers=sent)
        answer = connection.getresponse()
        fields = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, fields, answer.read())
    finally:
        connection.close()


def expect(status: int, method: str, url: str, *arguments: Any, **named: Any) -> Answer:
    answer = request(method, url, *arguments, **named)
    check(answer.status == status, f"{method} {url}: expected {status}, got {answer}")
    return answer


class Resolved(http.client.HTTPSConnection):
    """To a name that is to be found at a port of this machine."""

    def __init__(self, name: str, port: int, ca_file: Path) -> None:
        self.trust = ssl.create_default_context(cafile=str(ca_file))
        super().__init__(name, timeout=DEADLINE, context=self.trust)
        self.at = ("127.0.0.1", port)

    def connect(self) -> None:
        self.sock = self.trust.wrap_socket(socket.create_connection(self.at, self.timeout), server_hostname=self.host)


@dataclass
class Process:
    """A program in a process group of its own, its output in files."""

    name: str
    child: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    def output(self) -> str:
        return self.stdout.read_text(errors="replace")

    def errors(self) -> str:
        return self.stderr.read_text(errors="replace")

    def await_value(self, what: str, find: Callable[[], T | None]) -> T:
        """Waits for a sign of life, and fails at once when the program has ended without one."""

        def probe() -> T | None:
            ended = self.child.poll() is not None
            found = find()
            check(
                found or not ended,
                f"{self.name} ended with {self.child.returncode} before its {what}",
            )
            return found

        return wait_for(f"{what} of {self.name}", probe)

    def stop(self) -> int:
        """Ends the whole group: kindly, then not."""
        for sign, patience in ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)):
            if self.child.poll() is None:
                self.child.send_signal(sign)
            try:
                self.child.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        return self.child.returncode


@dataclass
class Emulator:
    """The loopback Azure of crates/azure-emulator."""

    process: Process
    ca_file: Path
    entra_port: int
    fhir_port: int
    dicom_port: int
    identity_port: int
    tenant: str
    client_id: str
    client_secret: str

    @property
    def network(self) -> str:
        """The configuration that lets the proxy find the emulator under the real names."""
        names = {ENTRA_HOST: self.entra_port, FHIR_HOST: self.fhir_port, DICOM_HOST: self.dicom_port}
        rows = ", ".join(f'"{name}:443" = "127.0.0.1:{port}"' for name, port in names.items())
        return f'[network]\nca_file = "{self.ca_file}"\nresolve = {{ {rows} }}\n'

    @property
    def routes(self) -> str:
        return f'[routes.fhir]\nupstream = "https://{FHIR_HOST}"\n[routes.dicom]\nupstream = "https://{DICOM_HOST}"\n'

    def token(self, audience: str) -> str:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "scope": f"{audience}/.default",
        }
        answer = request(
            "POST",
            f"https://{ENTRA_HOST}/{self.tenant}/oauth2/v2.0/token",
            urllib.parse.urlencode(form).encode(),
            {"Content-Type": "application/x-www-form-urlencoded"},
            over=Resolved(ENTRA_HOST, self.entra_port, self.ca_file),
        )
        return str(answer.json()["access_token"])

    def past_the_proxy(
        self,
        method: str,
        url: str,
        body: bytes | object | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """What a data service itself answers, for instance of what it holds."""
        host, port, audience = (
            (FHIR_HOST, self.fhir_port, FHIR_AUDIENCE)
            if url.startswith(FHIR_AUDIENCE)
            else (DICOM_HOST, self.dicom_port, DICOM_AUDIENCE)
        )
        token = {"Authorization": f"Bearer {self.token(audience)}"}
        return request(method, url, body, token | dict(headers or {}), over=Resolved(host, port, self.ca_file))

    def client_secret_credential(self, directory: Path) -> str:
        secret = directory / "client-secret"
        secret.write_text(self.client_secret)
        return (
            "[credentials.default.client-secret]\n"
            f'tenant = "{self.tenant}"\nclient_id = "{self.client_id}"\nsecret = {{ file = "{secret}" }}\n'
        )


@dataclass
class Proxy:
    process: Process
    url: str
    admin: str

    @property
    def fhir(self) -> str:
        return f"{self.url}/fhir"

    @property
    def dicom(self) -> str:
        return f"{self.url}/dicom"

    def status(self) -> Any:
        return expect(200, "GET", f"{self.admin}/status").json()

    def wait_ready(self) -> None:
        def ready() -> bool:
            try:
                return request("GET", f"{self.admin}/readyz").status == 200
            except OSError:
                return False

        self.process.await_value("readiness", ready)


@dataclass
class Recorder:
    """An upstream that remembers for whom the token of each request was."""

    origin: str
    audiences: list[str] = field(default_factory=list)

    def see(self, authorization: str) -> None:
        claims = authorization.removeprefix("Bearer ").split(".")[1]
        self.audiences.append(json.loads(base64.urlsafe_b64decode(claims + "=="))["aud"])


@dataclass
class Front:
    """nginx before an upstream; its log has a line for each request, `X-RUN PROTOCOL`."""

    log: Path

    def protocols(self, run: str) -> set[str]:
        """What the requests that carried this X-Run came in."""
        lines = [line.split() for line in self.log.read_text().splitlines()]
        return {protocol for name, protocol in lines if name == run}

    def runs(self) -> set[str]:
        """Every X-Run that came; "-" is a request without."""
        return {line.split()[0] for line in self.log.read_text().splitlines()}


# What a route may say of its upstream's HTTP, and what that means before a front that speaks both.
HTTP_VERSIONS = {"auto": "HTTP/2.0", "1": "HTTP/1.1", "2": "HTTP/2.0"}


@dataclass
class Scenario:
    """One run of a scenario: a directory, and everything that must end with it."""

    name: str
    directory: Path
    processes: list[Process] = field(default_factory=list)
    cleanup: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def prepare(cls, name: str) -> Scenario:
        directory = WORK / "runs" / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        scenario = cls(name, directory)
        # Whatever ends this program, even a signal, nothing that it started stays behind.
        atexit.register(scenario.cleanup.close)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        return scenario

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Little but PATH: credentials and proxies of whoever runs the tests must not leak in."""
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        base = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
        return base | dict(extra or {})

    def start(
        self,
        name: str,
        argv: Sequence[object],
        env: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
    ) -> Process:
        stdout, stderr = self.directory / f"{name}.stdout", self.directory / f"{name}.stderr"
        with stdout.open("wb") as out, stderr.open("wb") as err:
            child = subprocess.Popen(
                [str(word) for word in argv],
                stdin=stdin,
                stdout=out,
                stderr=err,
                env=self.environment(env),
                cwd=self.directory,
                start_new_session=True,
            )
        process = Process(name, child, stdout, stderr)
        self.processes.append(process)
        self.cleanup.callback(process.stop)
        return process

    def run(
        self,
        argv: Sequence[object],
        env: Mapping[str, str] | None = None,
        deadline: float = 4 * DEADLINE,
        expected: int | None = 0,
    ) -> subprocess.CompletedProcess[str]:
        """A program that ends by itself."""
        words = [str(word) for word in argv]
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=self.environment(env),
            cwd=self.directory,
            timeout=deadline,
            check=False,
        )
        if expected is not None:
            check(
                done.returncode == expected,
                f"{words[0]} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}",
            )
        return done

    def emulator(self, *flags: object) -> Emulator:
        ca_file = self.directory / "emulator-ca.pem"
        program = BIN_DIR / "azure-emulator"
        check(program.exists(), f"no azure-emulator in {BIN_DIR}")
        process = self.start("emulator", [program, "--ca-out", ca_file, *flags])

        def first_line() -> dict[str, Any] | None:
            text = process.output()
            return json.loads(text.split("\n")[0]) if "\n" in text else None

        facts = process.await_value("line of JSON", first_line)

        def port(service: str) -> int:
            match = re.search(r":(\d+)/?$", str(facts[service]))
            check(match, f"no port in {facts[service]!r}")
            return int(match[1])  # type: ignore[index]

        return Emulator(
            process,
            ca_file,
            port("entra"),
            port("fhir"),
            port("dicom"),
            port("identity"),
            facts["tenant"],
            facts["client_id"],
            facts["client_secret"],
        )

    def proxy(self, config: str, env: Mapping[str, str] | None = None, name: str = "proxy") -> Proxy:
        """Starts the proxy on any port and waits until it listens; ready it may be later."""
        admin = f"127.0.0.1:{free_port()}"
        path = self.directory / f"{name}.toml"
        path.write_text(f'listen = ["127.0.0.1:0"]\nadmin = "{admin}"\n{config}')
        program = [BIN_DIR / "ahds-proxy", "run", "--config", path, "--log-format", "json"]
        process = self.start(name, program, env)
        address = process.await_value("address", lambda: listening(process.errors(), path.read_text()))
        return Proxy(process, f"http://{address}", f"http://{admin}")

    def certificates(self) -> Path:
        """A directory with ca.pem, server.pem and server.key, for localhost."""
        directory = self.directory / "certificates"
        if not directory.exists():
            self.run([HERE / "certificates", directory])
        return directory

    def serve(self, handler: type[http.server.BaseHTTPRequestHandler], trust: ssl.SSLContext | None = None) -> int:
        """A server on loopback until the scenario ends; returns its port."""
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if trust:
            server.socket = trust.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.cleanup.callback(server.server_close)
        self.cleanup.callback(server.shutdown)
        return int(server.server_address[1])

    def recorder(self) -> Recorder:
        certificates = self.certificates()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.pem", certificates / "server.key")

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802
                recorder.see(self.headers["Authorization"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        recorder = Recorder(f"https://localhost:{self.serve(Handler, context)}")
        return recorder

    def tls_front(self, port: int, backend: int, authorization: str, directives: str = "") -> Front:
        """nginx with TLS, HTTP/1.1 and HTTP/2 before a plain server; answers 401 unless Authorization
        matches the pattern. `directives` are added to the server's."""
        certificates = self.certificates()
        directory = self.directory / "front"
        directory.mkdir()
        config = directory / "nginx.conf"
        log = directory / "access.log"
        paths = "\n".join(
            f"  {kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config.write_text(
            f"""daemon off; pid {directory}/pid; worker_processes 1; error_log stderr;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 256; }}
http {{
{paths}
  log_format run "$http_x_run $server_protocol";
  access_log {log} run;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {certificates}/server.pem;
    ssl_certificate_key {certificates}/server.key;
    client_max_body_size 0;
    {directives}
    location / {{
      if ($http_authorization !~ "{authorization}") {{
        add_header WWW-Authenticate Bearer always;
        return 401;
      }}
      proxy_pass http://127.0.0.1:{backend};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      # An upstream that shows what reached it.
      proxy_request_buffering off;
      proxy_buffering off;
    }}
  }}
}}
"""
        )
        process = self.start("front", ["nginx", "-p", directory, "-e", "stderr", "-c", config])
        process.await_value("port", lambda: accepts(port))
        return Front(log)

    def finish(self, failed: bool) -> None:
        if failed:
            for process in self.processes:
                tail = "\n".join(f"    {line[:300]}" for line in process.errors().splitlines()[-15:])
                if tail:
                    print(f"  last lines of {process.name} ({process.stderr}):\n{tail}", flush=True)
        self.cleanup.close()


def run_all(cases: Mapping[str, Callable[[Scenario], None]]) -> int:
    """Runs each case in a scenario of its own. Returns the exit code."""
    results = [passes(name, case) for name, case in cases.items()]
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if all(results) else 1


def passes(name: str, case: Callable[[Scenario], None]) -> bool:
    begun = time.monotonic()
    scenario = Scenario.prepare(name)
    reason = ""
    try:
        case(scenario)
    except Failure as failure:
        reason = str(failure)
    except Exception:  # A case that breaks is a case that fails; the others still run.
        reason = traceback.format_exc()
    seconds = time.monotonic() - begun
    print(f"{'FAIL' if reason else 'ok':4} {name.replace('_', ' ')} ({seconds:.1f} s)", flush=True)
    if reason:
        print("\n".join(f"  {line}" for line in reason.splitlines()), flush=True)
    scenario.finish(bool(reason))
    return not reason


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def events(log: str) -> list[dict[str, Any]]:
    """The events of a JSON log, fields at the top whether or not the format nests them."""
    found = []
    # The last piece is a line still being written, or nothing.
    for line in log.split("\n")[:-1]:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            found.append(event | event.get("fields", {}))
    return found


def listening(log: str, config: str) -> str | None:
    """The address the proxy took, from its log. Those that the configuration names are other listeners."""
    for event in events(log):
        address = str(event.get("address", ""))
        if event.get("message") == "listening" and address not in config and re.fullmatch(r"127\.0\.0\.1:\d+", address):
            return address
    return None
