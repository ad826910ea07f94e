"""Clients that people use read 1,000 patients, change one and refer to it, and never learn where the service is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import fhirclient.client
import fhirclient.models.observation
import fhirclient.models.patient
import fhirpy
import requests

from harness import FHIR_AUDIENCE, HERE, NODE_DIR, Answer, Proxy, Scenario, check, equal, expect, request
from scenarios.medplum import Medplum

PATIENTS = 1000
PAGE = 100


@dataclass
class Service:
    """An upstream, and the way to it past the proxy."""

    name: str
    origin: str
    directly: Callable[..., Answer]
    # The patients it holds.
    ids: list[str] = field(default_factory=list)

    def load(self) -> None:
        for start in range(0, PATIENTS, 500):
            entries = [
                {"resource": self.patient(number), "request": {"method": "POST", "url": "Patient"}}
                for number in range(start, start + 500)
            ]
            answer = self.directly("POST", self.origin, {"resourceType": "Bundle", "type": "batch", "entry": entries})
            check(answer.status == 200, f"loading {self.name}: {answer}")
            self.ids += [entry["resource"]["id"] for entry in answer.json()["entry"]]
        equal(len(set(self.ids)), PATIENTS, f"patients in {self.name}")

    def patient(self, number: int) -> dict[str, Any]:
        """Holds the service's own address, as data does."""
        return {
            "resourceType": "Patient",
            "active": True,
            "identifier": [{"system": f"{self.origin}/ids", "value": f"{number:04}"}],
            "name": [{"family": "Many", "given": [f"Number {number}"]}],
            "managingOrganization": {"reference": f"{self.origin}/Organization/1"},
        }

    def stored(self, kind: str, identity: str) -> dict[str, Any]:
        answer = self.directly("GET", f"{self.origin}/{kind}/{identity}")
        check(answer.status == 200, f"{kind} in {self.name}: {answer}")
        return answer.json()


@dataclass
class Report:
    """What a client did, in its own words."""

    # URLs it sent requests to.
    requested: list[str] = field(default_factory=list)
    # Bundle.link.url and entry.fullUrl as it got them.
    links: list[str] = field(default_factory=list)
    # Of the patients it read.
    ids: list[str] = field(default_factory=list)
    # Observations it created: of a patient's fullUrl, and derived from the first, by its Location.
    observations: list[str] = field(default_factory=list)

    def note(self, answer: requests.Response, *_: object, **__: object) -> None:
        self.requested.append(str(answer.url))
        content = answer.json()
        if content.get("type") == "searchset":
            self.links += [link["url"] for link in content["link"]]
            self.links += [entry["fullUrl"] for entry in content.get("entry", [])]


def observation(subject: str, derived_from: str | None = None) -> dict[str, Any]:
    content = {"status": "final", "code": {"text": "Heart rate"}, "subject": {"reference": subject}}
    return content | ({"derivedFrom": [{"reference": derived_from}]} if derived_from else {})


def unversioned(location: str) -> str:
    return location.split("/_history/")[0]


def with_fhirpy(base: str, patient_id: str, _: Scenario) -> Report:
    report = Report()
    locations: list[str] = []

    def note(answer: requests.Response, *_: object, **__: object) -> None:
        report.note(answer)
        locations.append(answer.headers.get("Location", ""))

    # It shows neither pages nor headers; the library below it does.
    client = fhirpy.SyncFHIRClient(base, requests_config={"hooks": {"response": note}})
    report.ids = [patient.id for patient in client.resources("Patient").limit(PAGE)]

    patient = client.reference("Patient", patient_id).to_resource()
    patient["active"] = False
    patient.save()

    full_url = client.resources("Patient").search(_id=patient_id).fetch_raw().entry[0].fullUrl
    first = client.resource("Observation", **observation(full_url)).save()
    second = client.resource("Observation", **observation(full_url, unversioned(locations[-1]))).save()
    report.observations = [first.id, second.id]
    return report


def with_fhirclient(base: str, patient_id: str, _: Scenario) -> Report:
    report = Report()
    # `prepare()` would read the capability statement and then ask for the login that it names. The
    # proxy does that, so the client must not: it is used without, as with an open server.
    smart = fhirclient.client.FHIRClient(settings={"app_id": "e2e", "api_base": base})
    server = smart.server
    server.session.hooks["response"].append(report.note)
    patients = fhirclient.models.patient.Patient
    report.ids = [patient.id for patient in patients.where({"_count": str(PAGE)}).perform_resources_iter(server)]

    patient = patients.read(patient_id, server)
    patient.active = False
    patient.update(server)

    found = next(iter(patients.where({"_id": patient_id}).perform_iter(server)))
    full_url = found.entry[0].fullUrl
    # `create` of a resource drops the headers; this is what it calls.
    observations = fhirclient.models.observation.Observation
    first = server.post_json("Observation", observations(observation(full_url)).as_json())
    derived = observations(observation(full_url, unversioned(first.headers["Location"])))
    report.observations = [first.json()["id"], derived.create(server)["id"]]
    return report


def with_fhir_kit_client(base: str, patient_id: str, scenario: Scenario) -> Report:
    done = scenario.run(["node", HERE / "parts/fhir_kit_client.mjs", NODE_DIR, base, patient_id, PAGE])
    return Report(**json.loads(done.stdout))


CLIENTS = {"fhirpy": with_fhirpy, "fhirclient": with_fhirclient, "fhir-kit-client": with_fhir_kit_client}


def run(scenario: Scenario) -> None:
    emulator = scenario.emulator()
    service = Service("the emulator", FHIR_AUDIENCE, emulator.past_the_proxy)
    credential = emulator.client_secret_credential(scenario.directory)
    # Its name leads nowhere without the proxy's `resolve`, and it wants a token.
    proxy = scenario.proxy(emulator.routes + credential + emulator.network, name="proxy-emulator")
    proxy.wait_ready()
    exercise(scenario, proxy, service)
    export(proxy, service)

    medplum = Medplum.start(scenario)

    def past_the_front(method: str, url: str, *arguments: Any) -> Answer:
        return request(method, url.replace(medplum.origin, f"http://127.0.0.1:{medplum.port}"), *arguments)

    proxy = scenario.proxy(medplum.config("proxy"), name="proxy-medplum")
    exercise(scenario, proxy, Service("Medplum", medplum.origin, past_the_front))
    equal(medplum.front.runs(), {"proxy"}, "who sent requests to Medplum")


def exercise(scenario: Scenario, proxy: Proxy, service: Service) -> None:
    service.load()
    for (name, client), patient_id in zip(CLIENTS.items(), service.ids, strict=False):
        what = f"{name} with {service.name}"
        before = service.stored("Patient", patient_id)
        report = client(proxy.fhir, patient_id, scenario)

        equal(sorted(report.ids), sorted(service.ids), f"patients read by {what}")
        check(len(report.requested) > PATIENTS / PAGE, f"{what}: {len(report.requested)} requests are too few")
        for url in report.requested + report.links:
            check(url.startswith(f"{proxy.fhir}/"), f"{what} learnt of {url!r}")
        check(len(report.links) > PATIENTS, f"{what}: the pages had only {len(report.links)} links")

        after = service.stored("Patient", patient_id)
        changed = {key for key in before | after if before.get(key) != after.get(key)}
        equal(changed, {"active", "meta"}, f"what {what} changed in a patient")

        first, second = (service.stored("Observation", identity) for identity in report.observations)
        subject = f"{service.origin}/Patient/{patient_id}"
        equal([one["subject"]["reference"] for one in (first, second)], [subject] * 2, f"subjects stored by {what}")
        origin = f"{service.origin}/Observation/{report.observations[0]}"
        equal(second["derivedFrom"][0]["reference"], origin, f"derivedFrom stored by {what}")
        for stored in (after, first, second):
            check(proxy.url not in json.dumps(stored), f"{what} left the proxy's address in {stored}")

        # What a client was told to call the patient is good for a search too.
        query = f"{proxy.fhir}/Observation?subject={proxy.fhir}/Patient/{patient_id}"
        found = expect(200, "GET", query).json().get("entry", [])
        equal({entry["resource"]["id"] for entry in found}, set(report.observations), f"observations of {what}")


def export(proxy: Proxy, service: Service) -> None:
    """From kick-off to manifest by returned URLs only; the files lie elsewhere and stay there."""
    asked = f"{proxy.fhir}/$export?_type=Patient"
    headers = {"Accept": "application/fhir+json", "Prefer": "respond-async"}
    status = expect(202, "GET", asked, headers=headers).headers["content-location"]
    check(status.startswith(f"{proxy.fhir}/_operations/export/"), f"Content-Location: {status}")
    end = time.monotonic() + 30
    while (answer := request("GET", status)).status == 202:
        check(time.monotonic() < end, "the export does not end")
    manifest = answer.json()
    equal(manifest["request"], asked, "the manifest's request")
    for file in manifest["output"]:
        check(file["url"].startswith("https://demostorage.blob.core.windows.net/"), f"a file at {file['url']}")
