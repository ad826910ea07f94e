"""Medplum's FHIR server behind nginx with TLS: create, read, search, page, update, delete, over each HTTP."""

from __future__ import annotations

import re
import ssl
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import (
    HERE,
    HTTP_VERSIONS,
    NODE_DIR,
    Front,
    Proxy,
    Scenario,
    check,
    equal,
    expect,
    free_port,
    request,
)

TOKEN = "a-static-token-of-the-tests"


@dataclass
class Medplum:
    """The server, behind a front that wants a token."""

    origin: str
    # Of the server itself, which has no TLS and asks for no token.
    port: int
    front: Front
    ca_file: Path
    token_file: Path

    @classmethod
    def start(cls, scenario: Scenario) -> Medplum:
        front = free_port()
        origin = f"https://localhost:{front}"
        server = scenario.start("medplum", ["node", HERE / "parts/medplum.mjs", NODE_DIR, origin])
        port = server.await_value("port", lambda: int(server.output() or 0))
        served = scenario.tls_front(front, port, f"^Bearer {TOKEN}$")
        token_file = scenario.directory / "token"
        token_file.write_text(TOKEN)
        return cls(origin, port, served, scenario.certificates() / "ca.pem", token_file)

    def config(self, run: str, route: str = "") -> str:
        """A proxy's, which marks its requests with the name of the run."""
        return (
            f'[routes.fhir]\nupstream = "{self.origin}"\nkind = "fhir"\nheaders = {{ X-Run = "{run}" }}\n{route}'
            f'[credentials.default.static]\ntoken = {{ file = "{self.token_file}" }}\n'
            f'[network]\nca_file = "{self.ca_file}"\n'
        )


def run(scenario: Scenario) -> None:
    server = Medplum.start(scenario)
    equal(status_without_token(f"{server.origin}/metadata", server.ca_file), 401, "the upstream without a token")
    for version, protocol in HTTP_VERSIONS.items():
        proxy = scenario.proxy(server.config(version, f'http = "{version}"\n'), name=f"proxy-http-{version}")
        # A name of its own for each round: the server remembers the patients of the others.
        exercise(proxy, server.origin, f"e2e-{version}")
        equal(proxy.process.stop(), 0, "exit code after SIGTERM")
        equal(server.front.protocols(version), {protocol}, f'protocols of http = "{version}"')


def exercise(proxy: Proxy, origin: str, family: str) -> None:
    base = proxy.fhir
    capabilities = expect(200, "GET", f"{base}/metadata").json()
    equal(capabilities["fhirVersion"], "4.0.1", "FHIR version")
    equal(capabilities["implementation"]["url"], base, "implementation.url")

    created = [create(base, origin, family, name) for name in ("Avery", "Blake", "Casey")]
    patient = created[0]
    one = f"{base}/Patient/{patient['id']}"
    # A client's own Authorization must not reach the upstream, which would refuse it.
    read = expect(200, "GET", one, headers={"Authorization": "Bearer of-the-client"})
    version = patient["meta"]["versionId"]
    equal(read.headers.get("etag"), f'W/"{version}"', "ETag")
    equal(read.json(), patient, "the patient that was read")
    # What is stored stays as it is, even where it holds the upstream's own address.
    equal(read.json()["identifier"][0]["system"], f"{origin}/ids", "identifier.system")

    found = expect(200, "GET", f"{base}/Patient?family={family}&given=Blake").json()
    equal([entry["resource"]["id"] for entry in found["entry"]], [created[1]["id"]], "search by name")
    posted = request(
        "POST",
        f"{base}/Patient/_search",
        f"family={family}&given=Casey".encode(),
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    equal([entry["resource"]["id"] for entry in posted.json()["entry"]], [created[2]["id"]], "POST _search")
    equal(sorted(walk(base, origin, family)), sorted(one["id"] for one in created), "patients on all pages")

    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "Heart rate"},
        "subject": {"reference": f"Patient/{patient['id']}"},
    }
    expect(201, "POST", f"{base}/Observation", observation)
    mine = expect(200, "GET", f"{base}/Observation?subject=Patient%2F{patient['id']}").json()
    equal(len(mine["entry"]), 1, "observations of the patient")

    patient["active"] = False
    changed = expect(200, "PUT", one, patient, {"If-Match": read.headers["etag"]})
    check(changed.json()["meta"]["versionId"] != version, "the version did not change")
    expect(412, "PUT", one, patient, {"If-Match": read.headers["etag"]})
    history = expect(200, "GET", f"{one}/_history").json()
    equal(len(history["entry"]), 2, "versions in the history")
    batch = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [
            {"request": {"method": "GET", "url": f"Patient/{created[1]['id']}"}},
            {"request": {"method": "GET", "url": "Patient/00000000-0000-4000-8000-000000000000"}},
        ],
    }
    answers = expect(200, "POST", base, batch).json()["entry"]
    equal([entry["response"]["status"] for entry in answers], ["200", "404"], "statuses of the batch")

    expect(200, "DELETE", one)
    gone = expect(404, "GET", one)
    equal(gone.json()["resourceType"], "OperationOutcome", "what is left of a deleted patient")
    check("proxy-status" not in gone.headers, "an answer of the upstream passes for one of the proxy")
    # The token has to be in the log of nobody.
    check(TOKEN not in proxy.process.errors(), "the proxy logged the token")
    check(patient["id"] not in proxy.process.errors(), "the proxy logged the id of a patient")


def create(base: str, origin: str, family: str, name: str) -> dict[str, Any]:
    patient = {
        "resourceType": "Patient",
        "name": [{"family": family, "given": [name]}],
        "identifier": [{"system": f"{origin}/ids", "value": name}],
    }
    answer = expect(201, "POST", f"{base}/Patient", patient)
    location = answer.headers.get("location", "")
    pattern = re.escape(base) + r"/Patient/[^/]+/_history/[^/]+"
    check(re.fullmatch(pattern, location), f"Location: {location!r}")
    equal(expect(200, "GET", location).json()["name"], patient["name"], "the patient at Location")
    return answer.json()


def walk(base: str, origin: str, family: str) -> list[str]:
    """Follows `next` to the end, one patient a page."""
    seen: list[str] = []
    url: str | None = f"{base}/Patient?family={family}&_count=1&_sort=_id"
    while url and len(seen) < 10:
        page = expect(200, "GET", url).json()
        links = {link["relation"]: link["url"] for link in page["link"]}
        for where in [*links.values(), *(entry["fullUrl"] for entry in page["entry"])]:
            check(where.startswith(f"{base}/Patient"), f"a link to {where}")
        for entry in page["entry"]:
            equal(entry["resource"]["identifier"][0]["system"], f"{origin}/ids", "identifier in a bundle")
            seen.append(entry["resource"]["id"])
        url = links.get("next")
    return seen


def status_without_token(url: str, ca_file: object) -> int:
    try:
        context = ssl.create_default_context(cafile=str(ca_file))
        with urllib.request.urlopen(url, context=context, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
