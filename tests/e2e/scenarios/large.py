"""Bodies of gigabytes in both directions, byte for byte, in memory that does not grow; a request line of 32 KiB.

`AHDS_E2E_STUDY_MIB` is the size of each study, 256 by default, and `AHDS_E2E_BUNDLE_MIB` that of the
bundle, 2048. By hand: AHDS_E2E_STUDY_MIB=4096 AHDS_E2E_BUNDLE_MIB=4096 tests/e2e/run large
"""

from __future__ import annotations

import hashlib
import http.client
import http.server
import json
import os
import re
import ssl
import threading
import urllib.parse
from collections.abc import Iterable, Iterator
from pathlib import Path

from harness import DEADLINE, Proxy, Scenario, check, equal, expect

STUDY = int(os.environ.get("AHDS_E2E_STUDY_MIB", "256")) << 20
BUNDLE = int(os.environ.get("AHDS_E2E_BUNDLE_MIB", "2048")) << 20
CHUNK = 1 << 20
# What the proxy may hold at its fullest, whatever the size.
MEMORY_KIB = 64 << 10

MULTIPART = 'multipart/related; type="application/dicom"; boundary=edge'


def run(scenario: Scenario) -> None:
    upstream = Upstream(scenario)
    token_file = scenario.directory / "token"
    token_file.write_text("a-static-token-of-the-tests")
    ca_file = scenario.certificates() / "ca.pem"
    proxy = scenario.proxy(
        f'[routes.fhir]\nupstream = "{upstream.origin}"\nkind = "fhir"\n'
        f'[routes.dicom]\nupstream = "{upstream.origin}"\nkind = "dicom"\naudience = "{upstream.origin}"\n'
        f'[credentials.default.static]\ntoken = {{ file = "{token_file}" }}\n'
        f'[network]\nca_file = "{ca_file}"\n'
    )
    base = proxy.fhir
    equal(
        download(f"{base}/Patient"),
        digest(searchset(upstream.origin, links=base)),
        "a searchset with the proxy's links and the service's data",
    )
    equal(download(f"{proxy.dicom}/studies/1"), digest(study(upstream.origin)), "a study that was retrieved")
    body = study(upstream.origin)
    equal(upload(f"{proxy.dicom}/studies", body), digest(study(upstream.origin)), "a study that was stored")

    target = "/Patient?_id=" + ",".join(f"{number:07}" for number in range(4096))
    check(len(target) > 32 << 10, "the request line is too short")
    equal(expect(200, "GET", f"{base}{target}").json(), {"target": target}, "a request line of 32 KiB")

    peak = peak_memory(proxy)
    check(peak < MEMORY_KIB, f"the proxy took {peak} KiB at its fullest")


def searchset(data: str, links: str) -> Iterator[bytes]:
    """As a service would write it: its own address in links, and in the resources, where it is data."""
    yield (
        f'{{"resourceType":"Bundle","type":"searchset","link":[{{"relation":"self","url":"{links}/Patient"}}],"entry":['
    ).encode()
    entry = (
        f'{{"fullUrl":"{links}/Patient/1","resource":{{"resourceType":"Patient","id":"1",'
        f'"managingOrganization":{{"reference":"{data}/Organization/1"}},"text":{{"status":"generated",'
        f'"div":"{"A patient of many words. " * 40}"}}}},"search":{{"mode":"match"}}}},'
    ).encode()
    block = entry * 1000
    for _ in range(BUNDLE // 1_250_000):
        yield block
    yield entry[:-1] + b"]}"


def study(data: str) -> Iterator[bytes]:
    """Parts of any bytes, among them what would be a link elsewhere."""
    part = bytes(range(256)) * 3500 + f'"fullUrl":"{data}/Patient/1"'.encode()
    block = b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n"
    for _ in range(STUDY // len(block)):
        yield block
    yield b"--edge--\r\n"


class Upstream:
    """Streams what it is asked for, and says what it was sent."""

    def __init__(self, scenario: Scenario) -> None:
        upstream = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:  # noqa: N802
                if self.path == "/Patient":
                    self.stream("application/fhir+json", searchset(upstream.origin, links=upstream.origin))
                elif self.path == "/studies/1":
                    self.stream(MULTIPART, study(upstream.origin))
                else:
                    self.answer({"target": self.path})

            def do_POST(self) -> None:  # noqa: N802
                self.answer({"sha256": digest(self.chunks())})

            def chunks(self) -> Iterator[bytes]:
                while size := int(self.rfile.readline(), 16):
                    yield self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()

            def stream(self, kind: str, body: Iterable[bytes]) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for piece in body:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.write(b"0\r\n\r\n")

            def answer(self, content: object) -> None:
                body = json.dumps(content).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        certificates = scenario.certificates()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.pem", certificates / "server.key")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self.origin = f"https://localhost:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        scenario.cleanup.callback(server.server_close)
        scenario.cleanup.callback(server.shutdown)


def download(url: str) -> str:
    connection, path = connect(url)
    connection.request("GET", path)
    answer = connection.getresponse()
    equal(answer.status, 200, f"status of {path}")
    return digest(iter(lambda: answer.read(CHUNK), b""))


def upload(url: str, body: Iterable[bytes]) -> str:
    connection, path = connect(url)
    connection.request("POST", path, body, {"Content-Type": MULTIPART}, encode_chunked=True)
    return str(json.loads(connection.getresponse().read())["sha256"])


def connect(url: str) -> tuple[http.client.HTTPConnection, str]:
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname
    return http.client.HTTPConnection(parts.hostname, parts.port, timeout=DEADLINE), parts.path


def digest(pieces: Iterable[bytes]) -> str:
    sha256 = hashlib.sha256()
    for piece in pieces:
        sha256.update(piece)
    return sha256.hexdigest()


def peak_memory(proxy: Proxy) -> int:
    """In KiB, since it started."""
    status = Path(f"/proc/{proxy.process.child.pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match
    return int(match[1])
