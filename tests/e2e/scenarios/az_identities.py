"""The real Azure CLI logged in as every kind of identity it knows; each serves through the proxy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness import DICOM_AUDIENCE, FHIR_AUDIENCE, Emulator, Scenario, check, equal, expect
from scenarios.az import AzureCli

USER_ASSIGNED = "1de7711e-0000-4000-8000-00000000d3a0"
USER = "demo.user@demo.example"


@dataclass(frozen=True)
class Identity:
    """How az logs in, and who /status then says serves."""

    name: str
    login: Callable[[Scenario, AzureCli], None]
    served_by: str


def secret(_: Scenario, az: AzureCli) -> None:
    az.login()


def certificate(scenario: Scenario, az: AzureCli) -> None:
    key, pem = scenario.directory / "app.key", scenario.directory / "app.pem"
    scenario.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=app"]
        + ["-keyout", key, "-out", pem]
    )
    both = scenario.directory / "both.pem"
    both.write_text(key.read_text() + pem.read_text())
    az.az(
        "login",
        "--service-principal",
        f"--username={az.emulator.client_id}",
        f"--certificate={both}",
        f"--tenant={az.emulator.tenant}",
    )


def device_code(_: Scenario, az: AzureCli) -> None:
    # The emulator approves the code at the second poll.
    az.az("login", "--use-device-code", f"--tenant={az.emulator.tenant}")


def system_assigned(_: Scenario, az: AzureCli) -> None:
    az.az("login", "--identity")


def user_assigned(_: Scenario, az: AzureCli) -> None:
    az.az("login", "--identity", f"--client-id={USER_ASSIGNED}")


def run(scenario: Scenario) -> None:
    emulator = scenario.emulator("--samples")
    for identity in (
        Identity("secret", secret, emulator.client_id),
        Identity("certificate", certificate, emulator.client_id),
        Identity("device-code", device_code, USER),
        Identity("system-assigned", system_assigned, USER_ASSIGNED),
        Identity("user-assigned", user_assigned, USER_ASSIGNED),
    ):
        serve(scenario, emulator, identity)


def serve(scenario: Scenario, emulator: Emulator, identity: Identity) -> None:
    az = AzureCli(scenario, emulator, scenario.directory / f"azure-{identity.name}")
    az.register()
    identity.login(scenario, az)
    credential = "[credentials.default.azure-cli]\n"
    proxy = scenario.proxy(
        emulator.routes + credential + emulator.network, az.environment, name=f"proxy-{identity.name}"
    )
    proxy.wait_ready()
    expect(200, "GET", f"{proxy.fhir}/Patient?_count=1")
    expect(200, "GET", f"{proxy.dicom}/v2/changefeed")
    tokens: list[dict[str, Any]] = proxy.status()["tokens"]
    equal(
        {token["audience"]: token["identity"] for token in tokens},
        dict.fromkeys((FHIR_AUDIENCE, DICOM_AUDIENCE), identity.served_by),
        f"who serves after az login by {identity.name}",
    )
    check("eyJ" not in proxy.process.errors(), "the proxy logged a token")
    proxy.process.stop()
