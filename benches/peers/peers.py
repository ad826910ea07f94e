"""Drives each proxy in turn with wrk and divides the CPU time it took by the requests it answered."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/e2e"))

from harness import BIN_DIR, Failure, Process, Scenario, accepts, check, equal, free_port, request

SECONDS = int(os.environ.get("AHDS_BENCH_SECONDS", "2"))
ROUNDS = int(os.environ.get("AHDS_BENCH_ROUNDS", "3"))
CONNECTIONS = int(os.environ.get("AHDS_BENCH_CONNECTIONS", "16"))
CHOSEN = os.environ.get("AHDS_BENCH_PEERS", "").split(",")
TICK = os.sysconf("SC_CLK_TCK")
TOKEN = "a-static-token-about-as-long-as-real-ones-" + "x" * 1500
SIZES = os.environ.get("AHDS_BENCH_SIZES", "").split(",")
PATHS = {"865 B": "/Patient/1", "97 KB": "/Bundle", "100 MB": "/studies/1"}
PATHS = {size: path for size, path in PATHS.items() if size in SIZES or SIZES == [""]}


def main() -> int:
    scenario = Scenario.prepare("peers")
    failed = True
    try:
        upstream = start_upstream(scenario)
        for logs in (False, True):
            peers = start_peers(scenario, upstream, logs)
            report(logs, measure(scenario, peers))
            for peer in peers:
                peer.process.stop()
        failed = False
    except Failure as failure:
        print(f"peers: {failure}", file=sys.stderr)
    finally:
        scenario.finish(failed)
    return 1 if failed else 0


@dataclass
class Peer:
    name: str
    process: Process
    url: str

    def cpu_seconds(self) -> float:
        """User and system time of the process and its children that live, all threads of them."""
        family = [self.process.child.pid]
        for directory in Path("/proc").glob("[0-9]*"):
            if fields(int(directory.name))[1:2] == [str(self.process.child.pid)]:
                family.append(int(directory.name))
        return sum(int(tick) for pid in family for tick in fields(pid)[11:13]) / TICK


def fields(pid: int) -> list[str]:
    """/proc/PID/stat after the name, which may hold blanks; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def start_upstream(scenario: Scenario) -> int:
    """nginx with TLS over two files: a patient, and a page of a search."""
    port = free_port()
    files = scenario.directory / "upstream"
    (files / "Patient").mkdir(parents=True)
    (files / "Patient/1").write_text(patient(865))
    (files / "Bundle").write_text(bundle(f"https://localhost:{port}", 97 * 1024))
    (files / "studies").mkdir()
    (files / "studies/1").write_bytes(random.Random(1).randbytes(100 * 1000 * 1000))
    certificates = scenario.certificates()
    server = f"""
  default_type "application/fhir+json; charset=utf-8";
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificates}/server.pem;
    ssl_certificate_key {certificates}/server.key;
    root {files};
    access_log off;
    open_file_cache max=8;
    location /studies/ {{
      default_type "multipart/related; boundary=b";
      if ($http_authorization != "Bearer {TOKEN}") {{ return 401; }}
    }}
    location / {{ if ($http_authorization != "Bearer {TOKEN}") {{ return 401; }} }}
  }}"""
    nginx(scenario, "upstream", port, server)
    return port


def patient(size: int) -> str:
    resource = {"resourceType": "Patient", "id": "1", "name": [{"family": "Bench"}], "text": {"status": "generated"}}
    frame = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
    resource["text"]["div"] = frame.format("")  # type: ignore[index]
    resource["text"]["div"] = frame.format("x" * (size - len(json.dumps(resource))))  # type: ignore[index]
    return json.dumps(resource)


def bundle(base: str, size: int) -> str:
    entries: list[dict[str, object]] = []
    page = {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "next", "url": f"{base}/Patient?ct=abc"}, {"relation": "self", "url": f"{base}/Patient"}],
        "entry": entries,
    }
    resource = json.loads(patient(865))
    for number in range(size // 1000):
        entries.append({"fullUrl": f"{base}/Patient/{number}", "resource": resource | {"id": str(number)}})
    return json.dumps(page)


def nginx(scenario: Scenario, name: str, port: int, http: str) -> Process:
    directory = scenario.directory / f"{name}-nginx"
    directory.mkdir(exist_ok=True)
    config = directory / "nginx.conf"
    temporary = "\n".join(
        f"  {kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config.write_text(
        f"""daemon off; pid {directory}/pid; worker_processes 1; error_log stderr;
{"user root;" if os.geteuid() == 0 else ""}
events {{ worker_connections 1024; }}
http {{
{temporary}
  keepalive_requests 100000000;
{http}
}}
"""
    )
    process = scenario.start(name, ["nginx", "-p", directory, "-e", "stderr", "-c", config])
    process.await_value("port", lambda: accepts(port))
    return process


def start_nginx(scenario: Scenario, upstream: int, logs: bool) -> Peer:
    port = free_port()
    log = f"{scenario.directory}/nginx-access.log combined" if logs else "off"
    http = f"""
  access_log {log};
  upstream service {{
    server localhost:{upstream};
    keepalive 64;
    keepalive_requests 100000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location /fhir/ {{
      proxy_pass https://service/;
      proxy_http_version 1.1;
      proxy_set_header Host localhost:{upstream};
      proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer {TOKEN}";
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate {scenario.certificates()}/ca.pem;
      proxy_ssl_server_name on;
      proxy_ssl_name localhost;
      # Room for the larger answer: with the default it would be slower, and go through a file.
      proxy_buffer_size 16k;
      proxy_buffers 16 16k;
      proxy_busy_buffers_size 64k;
      proxy_max_temp_file_size 0;
    }}
  }}"""
    return Peer("nginx", nginx(scenario, f"nginx-{logs}", port, http), f"http://127.0.0.1:{port}/fhir")


def start_haproxy(scenario: Scenario, upstream: int, logs: bool) -> Peer:
    port = free_port()
    config = scenario.directory / "haproxy.cfg"
    config.write_text(
        f"""global
  nbthread 1
  maxconn 2000
{"  log stdout format raw local0 info" if logs else ""}
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
  http-reuse always
{"  log global" if logs else ""}
{"  option httplog" if logs else ""}
frontend local
  bind 127.0.0.1:{port}
  default_backend service
backend service
  http-request set-path %[path,regsub(^/fhir,)]
  http-request set-header Host localhost:{upstream}
  http-request set-header Authorization "Bearer {TOKEN}"
  default-server ssl verify required ca-file {scenario.certificates()}/ca.pem
  server one 127.0.0.1:{upstream} sni str(localhost) verifyhost localhost
"""
    )
    process = scenario.start(f"haproxy-{logs}", ["haproxy", "-db", "-f", config])
    process.await_value("port", lambda: accepts(port))
    return Peer("haproxy", process, f"http://127.0.0.1:{port}/fhir")


def start_ahds(scenario: Scenario, upstream: int, logs: bool) -> Peer:
    return start_own(scenario, "ahds-proxy", "keep", upstream, logs)


def start_rewriting(scenario: Scenario, upstream: int, logs: bool) -> Peer:
    return start_own(scenario, "with rewriting", "rewrite", upstream, logs)


def start_own(scenario: Scenario, name: str, links: str, upstream: int, logs: bool) -> Peer:
    """With HTTP/1.1 to the upstream, as nginx and HAProxy speak it."""
    port = free_port()
    token = scenario.directory / "token"
    token.write_text(TOKEN)
    config = scenario.directory / f"ahds-proxy-{links}.toml"
    config.write_text(
        f"""listen = ["127.0.0.1:{port}"]
admin = "off"
[routes.fhir]
upstream = "https://localhost:{upstream}"
kind = "fhir"
http = 1
links = "{links}"
[credentials.default.static]
token = {{ file = "{token}" }}
[network]
ca_file = "{scenario.certificates()}/ca.pem"
"""
    )
    flags = ["--log-format", "text", "--log", "info" if logs else "warn"]
    program = [BIN_DIR / "ahds-proxy", "run", "--config", config, *flags]
    process = scenario.start(f"ahds-proxy-{links}-{logs}", program)
    process.await_value("port", lambda: accepts(port))
    return Peer(name, process, f"http://127.0.0.1:{port}/fhir")


STARTERS: dict[str, Callable[[Scenario, int, bool], Peer]] = {
    "ahds-proxy": start_ahds,
    "with rewriting": start_rewriting,
    "nginx": start_nginx,
    "haproxy": start_haproxy,
}


def start_peers(scenario: Scenario, upstream: int, logs: bool) -> list[Peer]:
    names = [name for name in STARTERS if name in CHOSEN or CHOSEN == [""]]
    names = [name for name in names if name != "haproxy" or shutil.which(name)]
    peers = [STARTERS[name](scenario, upstream, logs) for name in names]
    for peer in peers:
        for size, path in PATHS.items():
            answer = request("GET", peer.url + path)
            equal(answer.status, 200, f"status of {peer.name} for {size}")
            original = (scenario.directory / "upstream" / path[1:]).read_bytes()
            if peer.name == "with rewriting" and path == "/Bundle":
                original = original.replace(f"https://localhost:{upstream}".encode(), peer.url.encode())
            check(answer.body == original, f"{peer.name} changed the body of {size}")
    return peers


@dataclass
class Sample:
    micros: float
    rate: float


def measure(scenario: Scenario, peers: list[Peer]) -> dict[str, dict[str, list[Sample]]]:
    """Back and forth between the peers, so that a machine that slows down slows all of them."""
    samples: dict[str, dict[str, list[Sample]]] = {size: {peer.name: [] for peer in peers} for size in PATHS}
    for turn in range(ROUNDS):
        for size, path in PATHS.items():
            for peer in peers if turn % 2 == 0 else reversed(peers):
                before = peer.cpu_seconds()
                wrk = scenario.run(["wrk", "-t1", f"-c{2 if size == '100 MB' else CONNECTIONS}", f"-d{SECONDS}s", peer.url + path])
                used = peer.cpu_seconds() - before
                check(
                    "Non-2xx" not in wrk.stdout and "Socket errors" not in wrk.stdout,
                    f"{peer.name} failed under load:\n{wrk.stdout}",
                )
                done = re.search(r"(\d+) requests in ([\d.]+)s", wrk.stdout)
                check(done, f"wrk says: {wrk.stdout}")
                requests, seconds = int(done[1]), float(done[2])  # type: ignore[index]
                check(requests, f"{peer.name} answered nothing")
                samples[size][peer.name].append(Sample(used / requests * 1e6, requests / seconds))
    return samples


def report(logs: bool, samples: dict[str, dict[str, list[Sample]]]) -> None:
    print(
        f"\naccess log {'on, to a file' if logs else 'off'}; {ROUNDS} rounds of {SECONDS} s, {CONNECTIONS} connections"
    )
    print(f"{'answer':8} {'proxy':16} {'CPU us/request':>15} {'min..max':>15} {'relative':>9} {'requests/s':>11}")
    for size, rows in samples.items():
        own = next(iter(rows.values()))
        base = statistics.median(sample.micros for sample in own)
        for name, taken in rows.items():
            micros = [sample.micros for sample in taken]
            median = statistics.median(micros)
            spread = f"{min(micros):.1f}..{max(micros):.1f}"
            rate = statistics.median(sample.rate for sample in taken)
            print(f"{size:8} {name:16} {median:15.1f} {spread:>15} {median / base:9.2f} {rate:11.0f}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
