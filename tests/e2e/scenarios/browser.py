"""Chromium at the proxy's address: what is stored cannot act there, pages read what they may and no more."""

from __future__ import annotations

import http.server
import json
import shutil
import zlib
from typing import Any

from harness import HERE, NODE_DIR, Scenario, check, equal, expect, free_port

TOKEN = "a-static-token-of-the-tests"
RAN = "document.title = 'ran'; fetch('/fhir/Patient').then((r) => r.text()).then((t) => { document.title = t; });"
# A stored document that would read every patient.
SCRIPT = f"<script>{RAN}</script><form id='f' action='/fhir/Patient'></form><script>f.submit()</script>"
PATIENTS = '{"resourceType": "Bundle", "id": "all-patients"}'


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = (7).to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    rows = zlib.compress(bytes(8))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


STORED: dict[str, tuple[str | None, bytes]] = {
    "/Binary/html": ("text/html", f"<title>x</title>{SCRIPT}".encode()),
    "/Binary/svg": (
        "image/svg+xml",
        f"<svg xmlns='http://www.w3.org/2000/svg'><title>x</title><script>{RAN}</script></svg>".encode(),
    ),
    "/Binary/xml": (
        "application/xml",
        f"<html xmlns='http://www.w3.org/1999/xhtml'><head><title>x</title></head><body><script>{RAN}</script></body>"
        "</html>".encode(),
    ),
    "/Binary/untyped": (None, f"<!doctype html><title>x</title>{SCRIPT}".encode()),
    "/Binary/text": ("text/plain", f"<html><title>x</title>{SCRIPT}".encode()),
    "/Binary/png": ("image/png", png()),
    "/Binary/worker": ("text/javascript", b"self.addEventListener('fetch', () => {});"),
    "/Patient": ("application/fhir+json", PATIENTS.encode()),
}
APPLICATION: dict[str, tuple[str | None, bytes]] = {
    "/": ("text/html", b"<title>app</title><script src='main.js'></script>"),
    "/main.js": ("text/javascript", b"document.title = 'main.js ran';"),
    "/data": ("application/json", b'"its own data"'),
    "/worker.js": STORED["/Binary/worker"],
}


def serve(scenario: Scenario, files: dict[str, tuple[str | None, bytes]]) -> tuple[int, list[str]]:
    """A server on loopback, and the requests that it got."""
    seen: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            seen.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            content_type, body = files.get(self.path.partition("?")[0], ("text/plain", b"stored"))
            self.send_response(200)
            if content_type:
                self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return scenario.serve(Handler), seen


def run(scenario: Scenario) -> None:
    stored, seen = serve(scenario, STORED)
    application, _ = serve(scenario, APPLICATION)
    page = ("text/html", b"<title>page</title>")
    foreign, _ = serve(scenario, {"/": page})
    friendly, _ = serve(scenario, {"/": page})
    token = scenario.directory / "token"
    token.write_text(TOKEN)
    port = free_port()
    proxy = scenario.proxy(
        f'[routes.fhir]\nupstream = "http://127.0.0.1:{stored}"\nkind = "fhir"\nlisten = "127.0.0.1:{port}"\n'
        f'[routes.app]\nupstream = "http://127.0.0.1:{application}"\nkind = "http"\npages = true\n'
        f'[credentials.default.static]\ntoken = {{ file = "{token}" }}\n'
        f'[security]\nallowed_origins = ["http://localhost:{friendly}"]\n'
    )
    proxy.wait_ready()
    at = proxy.url.replace("127.0.0.1", "localhost")

    def browse(wanted: dict[str, Any]) -> dict[str, Any]:
        chromium = shutil.which("chromium")
        part = HERE / "parts/browser.mjs"
        done = scenario.run(["node", part, NODE_DIR, chromium, json.dumps(wanted)])
        return json.loads(done.stdout)

    documents = [f"{at}/fhir{path}" for path in STORED if path.startswith("/Binary/")]
    found = browse({"documents": documents, "images": [f"{at}/fhir/Binary/png"]})
    for url, document in found["documents"].items():
        equal(document["status"], 200, url)
        check(document["title"] in ("x", "", "png (7×1)"), f"a script of {url} ran: {document}")
        check("all-patients" not in document["text"], f"{url} read the patients")
    equal(found["images"][f"{at}/fhir/Binary/png"], 7, "the width of a stored image")
    check("GET /Patient" not in " ".join(seen), f"a stored document asked for the patients: {seen}")

    reads = f"fetch('{at}/fhir/Patient').then((r) => r.text()).catch(() => 'refused')"
    sends = (
        f"fetch('{at}/fhir/Patient', {{ method: 'POST', mode: 'no-cors', body: '{{}}' }})"
        ".then(() => 'sent').catch(() => 'refused')"
    )
    writes = (
        f"fetch('{at}/fhir/Patient/1', {{ method: 'PUT', body: '{{}}', "
        "headers: { 'Content-Type': 'application/fhir+json' } }).then((r) => String(r.status)).catch(() => 'refused')"
    )
    worker = "navigator.serviceWorker.register('%s').then(() => 'registered').catch(() => 'refused')"
    other = f"http://localhost:{foreign}/"
    mine = f"http://localhost:{friendly}/"
    app = f"{at}/app/"
    cases = [
        (other, reads, "refused"),
        (other, writes, "refused"),
        (mine, reads, PATIENTS),
        (mine, writes, "200"),
        (app, "document.title", "main.js ran"),
        (app, "fetch('data').then((r) => r.json())", "its own data"),
        (app, "fetch('/fhir/Patient').then((r) => String(r.status))", "403"),
        (app, worker % "worker.js", "refused"),
        (app, worker % "/fhir/Binary/worker", "refused"),
        (mine, worker % f"{at}/fhir/Binary/worker", "refused"),
    ]
    seen.clear()
    found = browse({"pages": [{"url": url, "script": script} for url, script, _ in cases]})
    for url, script, expected in cases:
        equal(found["pages"][f"{url} {script}"], expected, f"{script} at {url}")
    equal(sorted(seen), ["GET /Patient", "PUT /Patient/1"], "what reached the service")

    # A page that cannot read the response must not be able to send either.
    seen.clear()
    browse({"pages": [{"url": other, "script": sends}]})
    equal(seen, [], "what a foreign page sent")
    expect(200, "GET", f"{proxy.fhir}/Patient")
