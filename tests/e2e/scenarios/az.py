"""The real Azure CLI logs in, out and in again; the proxy follows without a restart."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

from harness import (
    DICOM_AUDIENCE,
    FHIR_AUDIENCE,
    VENV_BIN,
    Answer,
    Emulator,
    Scenario,
    check,
    equal,
    expect,
    request,
    wait_for,
)

# Short, so that a token runs out before the test's eyes; long enough for two calls of az.
LIFETIME = 25
# The pause after a failure is at most four seconds, then az itself takes its time for each audience.
SOON = 15.0
SEEN = {"seen-fhir": FHIR_AUDIENCE, "seen-dicom": DICOM_AUDIENCE}


def run(scenario: Scenario) -> None:
    emulator = scenario.emulator("--token-lifetime", LIFETIME)
    az = AzureCli(scenario, emulator)
    az.register()
    az.login()

    recorder = scenario.recorder()
    roots = scenario.directory / "roots.pem"
    roots.write_text(emulator.ca_file.read_text() + (scenario.certificates() / "ca.pem").read_text())
    recorded = "".join(
        f'[routes.{name}]\nupstream = "{recorder.origin}"\nkind = "http"\naudience = "{audience}"\n'
        for name, audience in SEEN.items()
    )
    proxy = scenario.proxy(
        emulator.routes
        + recorded
        + "[credentials.default.azure-cli]\n"
        + emulator.network.replace(str(emulator.ca_file), str(roots)),
        az.environment,
    )
    proxy.wait_ready()
    patient = {"resourceType": "Patient", "name": [{"family": "Az"}]}
    created = expect(201, "POST", f"{proxy.fhir}/Patient", patient)
    location = created.headers.get("location", "")
    check(location.startswith(f"{proxy.fhir}/Patient/"), f"Location: {location!r}")
    equal(expect(200, "GET", location).json()["name"], patient["name"], "the patient that was read")
    equal(expect(200, "GET", f"{proxy.fhir}/Patient").json()["resourceType"], "Bundle", "answer of a search")
    feed = expect(200, "GET", f"{proxy.dicom}/v2/changefeed")
    check(isinstance(feed.json(), list), f"change feed: {feed}")
    # Each service checks its own audience, so both answers above needed a token of their own. The
    # recorder has the same tokens and says whose they are.
    for name in SEEN:
        expect(204, "GET", f"{proxy.url}/{name}")
    equal(recorder.audiences, list(SEEN.values()), "audiences of the tokens that the upstream saw")
    status = expect(200, "GET", f"{proxy.admin}/status")
    for audience in (FHIR_AUDIENCE, DICOM_AUDIENCE):
        check(audience in status.body.decode(), f"/status does not know a token for {audience}: {status}")
    check("eyJ" not in status.body.decode(), "/status shows a token")

    az.logout()
    # The token at hand serves to its end; then, and not before, the proxy has to give up.
    refusal = wait_for("503 after az logout", lambda: unless_served(proxy.fhir), deadline=LIFETIME + 30)
    equal(refusal.status, 503, "status after az logout")
    check("proxy-status" in refusal.headers, f"no Proxy-Status: {refusal}")
    check(refusal.headers["content-type"].startswith("application/fhir+json"), f"content type: {refusal}")
    outcome = refusal.json()
    equal(outcome["resourceType"], "OperationOutcome", "body after az logout")
    equal(outcome["issue"][0]["code"], "login", "issue code after az logout")
    check("az login" in outcome["issue"][0]["diagnostics"], f"the answer does not say what to do: {refusal}")
    for name in SEEN:
        wait_for("503 for every audience", lambda name=name: request("GET", f"{proxy.url}/{name}").status == 503)
    before = len(recorder.audiences)
    for name in SEEN:
        refusal = expect(503, "GET", f"{proxy.url}/{name}")
        check(b"az login" in refusal.body, f"the answer does not say what to do: {refusal}")
    equal(len(recorder.audiences), before, "requests that reached the upstream without a token")
    equal(request("GET", f"{proxy.admin}/readyz").status, 503, "/readyz after az logout")

    az.login()
    begun = time.monotonic()
    for what, url in (("FHIR", f"{proxy.fhir}/Patient"), ("DICOM", f"{proxy.dicom}/v2/changefeed")):
        wait_for(
            f"{what} after the second az login",
            lambda url=url: request("GET", url).status == 200,
            deadline=SOON,
        )
    print(f"  served again {time.monotonic() - begun:.1f} s after az login")
    check(proxy.process.child.poll() is None, "the proxy ended")
    check("eyJ" not in proxy.process.errors(), "the proxy logged a token")


def unless_served(fhir: str) -> Answer | None:
    answer = request("GET", f"{fhir}/Patient")
    return None if answer.status == 200 else answer


class AzureCli:
    """az with a configuration of its own, and a cloud that is the emulator."""

    def __init__(self, scenario: Scenario, emulator: Emulator, directory: Path | None = None) -> None:
        self.scenario = scenario
        self.emulator = emulator
        self.directory = directory or scenario.directory / "azure"
        bundle = scenario.directory / "az-roots.pem"
        system = Path(ssl.get_default_verify_paths().cafile or ssl.get_default_verify_paths().openssl_cafile)
        roots = system.read_text() if system.exists() else ""
        bundle.write_text(f"{roots}\n{emulator.ca_file.read_text()}")
        self.environment = {
            # The proxy finds az on PATH, as it does at a developer's desk.
            "PATH": f"{VENV_BIN}:{scenario.environment()['PATH']}",
            "AZURE_CONFIG_DIR": str(self.directory),
            "AZURE_CORE_COLLECT_TELEMETRY": "0",
            "AZURE_CORE_INSTANCE_DISCOVERY": "false",
            "AZURE_CORE_LOGIN_EXPERIENCE_V2": "off",
            "REQUESTS_CA_BUNDLE": str(bundle),
            "NO_PROXY": "127.0.0.1,localhost",
            # In place of the address that virtual machines have for it.
            "AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://127.0.0.1:{emulator.identity_port}",
        }

    def az(self, *words: str) -> str:
        return self.scenario.run([VENV_BIN / "az", *words], self.environment).stdout

    def register(self) -> None:
        entra = f"https://127.0.0.1:{self.emulator.entra_port}"
        self.az(
            "cloud",
            "register",
            "--name=Emulator",
            "--skip-endpoint-discovery",
            f"--endpoint-active-directory={entra}",
            f"--endpoint-active-directory-resource-id={entra}/",
            f"--endpoint-active-directory-graph-resource-id={entra}/graph",
            f"--endpoint-resource-manager={entra}/",
            f"--endpoint-management={entra}/",
        )
        self.az("cloud", "set", "--name=Emulator")

    def login(self) -> None:
        self.az(
            "login",
            "--service-principal",
            f"--username={self.emulator.client_id}",
            f"--password={self.emulator.client_secret}",
            f"--tenant={self.emulator.tenant}",
        )

    def logout(self) -> None:
        self.az("logout")
