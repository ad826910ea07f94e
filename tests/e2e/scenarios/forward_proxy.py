"""Squid as the HTTP proxy of a network: open, with a password, with a denied host, inspecting TLS, stopped."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness import (
    BIN_DIR,
    DICOM_AUDIENCE,
    DICOM_HOST,
    ENTRA_HOST,
    FHIR_AUDIENCE,
    FHIR_HOST,
    Emulator,
    Process,
    Proxy,
    Scenario,
    accepts,
    check,
    equal,
    expect,
    free_port,
    wait_for,
)

USER, PASSWORD = "corp\\user", "p@ss/w#rd"
ENCODED = "corp%5Cuser:p%40ss%2Fw%23rd"
CA_NAME = "Inspection CA"
# No name server knows it.
UNKNOWN_HOST = "unknown.invalid"


def run(scenario: Scenario) -> None:
    emulator = scenario.emulator()
    squid = Squid(scenario, emulator)
    config = configuration(scenario, emulator, emulator.ca_file)

    proxy = scenario.proxy(config, squid.environment(squid.open), name="open")
    proxy.wait_ready()
    serves(proxy)
    explained(proxy, "unknown", 502, f"cannot connect to {UNKNOWN_HOST} (status 5")
    online = [BIN_DIR / "ahds-proxy", "check", "--online", "--config", scenario.directory / "open.toml"]
    # The unknown host fails.
    checked = scenario.run(online, squid.environment(squid.open), expected=1).stdout
    for name in ("fhir", "dicom"):
        rows = [line for line in checked.splitlines() if line.startswith(f"{name} ")]
        check(rows and all(" ok " in row for row in rows), f"check --online: {checked}")
        way = f"through the proxy 127.0.0.1:{squid.open}"
        check(any(row.endswith(way) for row in rows), f"check --online of {name}: {checked}")

    before = squid.log.read_text().count(UNKNOWN_HOST)
    check(before > 0, "Squid got no request for the unknown host")
    exceptions = squid.environment(squid.open) | {"NO_PROXY": "localhost,.invalid"}
    direct = scenario.proxy(config, exceptions, name="direct")
    direct.wait_ready()
    serves(direct)
    explained(direct, "unknown", 502, f"the host name {UNKNOWN_HOST} does not resolve")
    equal(squid.log.read_text().count(UNKNOWN_HOST), before, "requests to Squid for a host in NO_PROXY")
    # Squid logs a connection when it ends.
    direct.process.stop()
    hosts = {ENTRA_HOST: emulator.entra_port, FHIR_HOST: emulator.fhir_port, DICOM_HOST: emulator.dicom_port}
    wanted = {f"{host}:{port}" for host, port in hosts.items()}
    wait_for(f"log of the connections to {wanted}", lambda: wanted <= squid.tunnels())

    signed_in = scenario.proxy(config, squid.environment(squid.locked, ENCODED), name="signed-in")
    signed_in.wait_ready()
    serves(signed_in)
    for name, user_info, text in (
        ("unnamed", "", "requires a user name and a password (status 407). Write them in HTTPS_PROXY"),
        ("mistyped", "corp%5Cuser:hunter2", "does not accept the user name and the password in HTTPS_PROXY"),
    ):
        refused = scenario.proxy(config, squid.environment(squid.locked, user_info), name=name)
        explained(refused, "fhir", 503, text)

    strict = scenario.proxy(config, squid.environment(squid.strict), name="strict")
    expect(200, "GET", f"{strict.fhir}/Patient")
    explained(strict, "dicom", 502, f"refuses to connect to {DICOM_HOST} (status 403); ask the proxy's administrator")

    inspected = scenario.proxy(config, squid.environment(squid.inspecting), name="inspected")
    explained(inspected, "fhir", 503, f"issued by {CA_NAME}, is not trusted")
    explained(inspected, "fhir", 503, f"add the certificate (PEM) of {CA_NAME} to network.ca_file")
    trusting = configuration(scenario, emulator, squid.ca_file)
    inspected = scenario.proxy(trusting, squid.environment(squid.inspecting), name="trusting")
    inspected.wait_ready()
    serves(inspected)

    squid.process.stop()
    explained(proxy, "fhir", 502, f"the proxy 127.0.0.1:{squid.open} does not accept connections: connection refused")
    for process in scenario.processes:
        for secret in (PASSWORD, ENCODED, "hunter2", "eyJ"):
            check(secret not in process.errors(), f"{process.name} logged {secret}")


def serves(proxy: Proxy) -> None:
    equal(expect(200, "GET", f"{proxy.fhir}/Patient").json()["resourceType"], "Bundle", "response of a search")
    expect(200, "GET", f"{proxy.dicom}/v2/changefeed")


def explained(proxy: Proxy, route: str, status: int, text: str) -> None:
    answer = expect(status, "GET", f"{proxy.url}/{route}/Patient")
    check(text in answer.body.decode(), f"{text!r} is not in {answer}")
    check("proxy-status" in answer.headers, f"no Proxy-Status: {answer}")


def configuration(scenario: Scenario, emulator: Emulator, ca_file: Path) -> str:
    """Names without addresses. The ports are the emulator's, since Squid connects to the port in the request."""
    return (
        f'[routes.fhir]\nupstream = "https://{FHIR_HOST}:{emulator.fhir_port}"\naudience = "{FHIR_AUDIENCE}"\n'
        f'[routes.dicom]\nupstream = "https://{DICOM_HOST}:{emulator.dicom_port}"\naudience = "{DICOM_AUDIENCE}"\n'
        f'[routes.unknown]\nupstream = "https://{UNKNOWN_HOST}"\naudience = "{FHIR_AUDIENCE}"\n'
        f'{emulator.client_secret_credential(scenario.directory)}'
        f'authority = "https://{ENTRA_HOST}:{emulator.entra_port}"\n'
        f'[security]\ntrusted_upstreams = ["{UNKNOWN_HOST}"]\n[network]\nca_file = "{ca_file}"\n'
    )


class Squid:
    """One Squid with a port for each kind of network. It knows the emulator's names, and no name server."""

    def __init__(self, scenario: Scenario, emulator: Emulator) -> None:
        # As root, Squid becomes the user proxy, who may not enter the directory of the scenario.
        self.directory = Path(tempfile.mkdtemp(prefix="ahds-squid-"))
        scenario.cleanup.callback(shutil.rmtree, self.directory, ignore_errors=True)
        self.log = self.directory / "access.log"
        self.ca_file = self.directory / "ca.pem"
        self.open, self.locked, self.strict, self.inspecting = (free_port() for _ in range(4))
        self.prepare(emulator)
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", "proxy:proxy", self.directory], check=True)
        config = self.directory / "squid.conf"
        self.process: Process = scenario.start("squid", ["squid", "-N", "-d", "1", "-f", config])
        self.process.await_value("port", lambda: accepts(self.inspecting))

    def prepare(self, emulator: Emulator) -> None:
        def openssl(*words: object) -> str:
            argv = ["openssl", *(str(word) for word in words)]
            return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

        directory = self.directory
        key = directory / "ca.key"
        openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", 2, "-subj", f"/CN={CA_NAME}"),
            *("-keyout", key, "-out", self.ca_file, "-addext", "keyUsage=critical,keyCertSign"),
        )
        shutil.copy(emulator.ca_file, directory / "emulator-ca.pem")
        hashed = openssl("passwd", "-apr1", PASSWORD).strip()
        (directory / "passwords").write_text(f"{USER}:{hashed}\n")
        names = " ".join((ENTRA_HOST, FHIR_HOST, DICOM_HOST))
        (directory / "hosts").write_text(f"127.0.0.1 {names}\n")
        certgen = "/usr/lib/squid/security_file_certgen"
        subprocess.run([certgen, "-c", "-s", directory / "issued", "-M", "4MB"], check=True, capture_output=True)
        (directory / "squid.conf").write_text(
            f"""http_port 127.0.0.1:{self.open}
http_port 127.0.0.1:{self.locked}
http_port 127.0.0.1:{self.strict}
http_port 127.0.0.1:{self.inspecting} ssl-bump generate-host-certificates=on tls-cert={self.ca_file} tls-key={key}
sslcrtd_program {certgen} -s {directory}/issued -M 4MB
sslcrtd_children 1 startup=1
ssl_bump bump all
tls_outgoing_options cafile={directory}/emulator-ca.pem
auth_param basic program /usr/lib/squid/basic_ncsa_auth {directory}/passwords
auth_param basic children 1 startup=1
auth_param basic realm corp
acl on_locked localport {self.locked}
acl on_strict localport {self.strict}
acl user proxy_auth REQUIRED
acl dicom dstdomain {DICOM_HOST}
http_access deny on_locked !user
http_access deny on_strict dicom
http_access allow localhost
http_access deny all
hosts_file {directory}/hosts
dns_nameservers 127.0.0.1
dns_timeout 1 second
dns_retransmit_interval 1 second
access_log stdio:{self.log}
cache_log {directory}/cache.log
pid_filename {directory}/squid.pid
coredump_dir {directory}
cache deny all
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname squid.example
"""
        )

    def environment(self, port: int, user_info: str = "") -> dict[str, str]:
        return {"HTTPS_PROXY": f"http://{user_info}{'@' if user_info else ''}127.0.0.1:{port}"}

    def tunnels(self) -> set[str]:
        """Host and port of each connection that was opened."""
        lines = (line.split() for line in self.log.read_text().splitlines())
        return {words[6] for words in lines if words[5] == "CONNECT" and words[3].endswith("/200")}
