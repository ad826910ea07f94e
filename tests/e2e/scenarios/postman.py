"""The Postman collection of examples/, run by newman against the emulator, without a token in sight."""

from __future__ import annotations

import json
from typing import Any

from harness import NODE_DIR, ROOT, Scenario, check, equal

EXAMPLES = ROOT / "examples"


def run(scenario: Scenario) -> None:
    collection = EXAMPLES / "ahds-proxy.postman_collection.json"
    environment = EXAMPLES / "ahds-proxy.postman_environment.json"
    for path in (collection, environment):
        text = path.read_text().lower()
        for word in ("bearertoken", "clientsecret", "authorization"):
            check(word not in text, f"{path.name} deals with {word}: that is the proxy's work")

    emulator = scenario.emulator()
    credential = emulator.client_secret_credential(scenario.directory)
    proxy = scenario.proxy(emulator.routes + credential + emulator.network)
    proxy.wait_ready()

    report = scenario.directory / "newman.json"
    newman = scenario.run(
        [
            "node",
            NODE_DIR / "node_modules/newman/bin/newman.js",
            "run",
            collection,
            "--environment",
            environment,
            "--env-var",
            f"fhirurl={proxy.fhir}",
            "--env-var",
            f"dicomurl={proxy.dicom}/v2",
            "--timeout-request",
            "30000",
            "--reporters",
            "cli,json",
            "--reporter-json-export",
            report,
        ],
        expected=None,
    )
    (scenario.directory / "newman.txt").write_text(newman.stdout + newman.stderr)
    check(report.exists(), f"newman wrote no report: {newman.stdout[-2000:]}{newman.stderr[-2000:]}")
    result = json.loads(report.read_text())["run"]
    failures = [
        f"{failure['source'].get('name', '?')}: {failure['error']['message']}" for failure in result["failures"]
    ]
    check(not failures, "\n".join(failures))
    equal(newman.returncode, 0, "newman's exit code")

    wanted = count(json.loads(collection.read_text())["item"])
    check(result["stats"]["requests"]["total"] >= wanted, f"newman sent fewer than the {wanted} requests")
    check(result["stats"]["assertions"]["total"] >= wanted, "there are requests without a test")

    log = proxy.process.errors()
    check("Patient" in log and "studies" in log, "the proxy logged no requests")
    # A name from a query, a UID from a path, a continuation token, an access token.
    for secret in ("Patrick", "2.25.", "ct=", "eyJ"):
        check(secret not in log, f"the proxy logged {secret}")


def count(items: list[dict[str, Any]]) -> int:
    return sum(count(item["item"]) if "item" in item else 1 for item in items)
