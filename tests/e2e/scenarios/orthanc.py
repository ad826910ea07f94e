"""Orthanc's DICOMweb behind nginx with TLS: pydicom's files stored, found and fetched, over each HTTP."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import pydicom
from dicomweb_client.api import DICOMwebClient
from pydicom.data import get_testdata_file

from harness import (
    HTTP_VERSIONS,
    WORK,
    Emulator,
    Front,
    Proxy,
    Scenario,
    accepts,
    check,
    equal,
    expect,
    free_port,
    request,
)

FILES = ("CT_small.dcm", "MR_small.dcm", "JPEG2000.dcm", "rtplan.dcm")
PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"


@dataclass
class Orthanc:
    """The server, behind a front that wants a token of the emulator's Entra."""

    upstream: str
    # Of the server itself, which has no TLS and asks for no token.
    port: int
    front: Front
    # Credentials and network.
    config: str

    @classmethod
    def start(cls, scenario: Scenario, emulator: Emulator) -> Orthanc:
        backend, front = free_port(), free_port()
        config = scenario.directory / "orthanc.json"
        store = str(scenario.directory / "orthanc-db")
        settings = {
            "Name": "e2e",
            "StorageDirectory": store,
            "IndexDirectory": store,
            "HttpPort": backend,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomServerEnabled": False,
            "Plugins": [PLUGIN],
            # Ssl makes it say https in its links, as a server behind TLS should.
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False, "Ssl": True},
        }
        config.write_text(json.dumps(settings))
        server = scenario.start("orthanc", ["Orthanc", config], {"LD_PRELOAD": str(WORK / "loopback.so")})
        server.await_value("port", lambda: accepts(backend))
        served = scenario.tls_front(front, backend, "^Bearer eyJ")
        roots = scenario.directory / "roots.pem"
        roots.write_text(emulator.ca_file.read_text() + (scenario.certificates() / "ca.pem").read_text())
        credential = emulator.client_secret_credential(scenario.directory)
        network = emulator.network.replace(str(emulator.ca_file), str(roots))
        return cls(f"https://localhost:{front}/dicom-web", backend, served, credential + network)

    def route(self, run: str, route: str = "") -> str:
        """A proxy's, which marks its requests with the name of the run."""
        return f'[routes.dicom]\nupstream = "{self.upstream}"\nkind = "dicom"\nheaders = {{ X-Run = "{run}" }}\n{route}'


def run(scenario: Scenario) -> None:
    # Its tokens are fetched for the audience of Azure's DICOM services.
    server = Orthanc.start(scenario, scenario.emulator())
    for version, protocol in HTTP_VERSIONS.items():
        config = server.route(version, f'http = "{version}"\n') + server.config
        proxy = scenario.proxy(config, name=f"proxy-http-{version}")
        proxy.wait_ready()
        exercise(proxy)
        equal(proxy.process.stop(), 0, "exit code after SIGTERM")
        equal(server.front.protocols(version), {protocol}, f'protocols of http = "{version}"')


def exercise(proxy: Proxy) -> None:
    client = DICOMwebClient(url=proxy.dicom)
    paths = {name: get_testdata_file(name) for name in FILES}
    check(all(paths.values()), f"pydicom comes without some of {FILES}")
    sent = {name: pydicom.dcmread(path) for name, path in paths.items()}
    # One request with four parts, of four sizes and three transfer syntaxes.
    stored = client.store_instances(list(sent.values()))
    equal(len(stored.ReferencedSOPSequence), len(sent), "instances stored")

    for name, dataset in sent.items():
        retrieve(client, name, dataset)

    image = sent["CT_small.dcm"]
    uids = (image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID)
    frame = client.retrieve_instance_frames(*uids, frame_numbers=[1], media_types=("application/octet-stream",))
    equal(digest(frame[0]), digest(image.PixelData), "frame 1 of CT_small.dcm")
    image = sent["JPEG2000.dcm"]
    fetched = client.retrieve_instance(image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID)
    equal(fetched.file_meta.TransferSyntaxUID, image.file_meta.TransferSyntaxUID, "transfer syntax of JPEG2000.dcm")

    links(proxy.dicom, uids[0])
    missing = request("GET", f"{proxy.dicom}/studies/1.2.3/metadata", headers={"Accept": "application/dicom+json"})
    check(400 <= missing.status < 500 and "proxy-status" not in missing.headers, f"an unknown study: {missing}")
    log = proxy.process.errors()
    for dataset in sent.values():
        check(str(dataset.StudyInstanceUID) not in log, "the proxy logged a study's UID")


def retrieve(client: DICOMwebClient, name: str, dataset: pydicom.Dataset) -> None:
    study, series, instance = dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID
    found = client.search_for_studies(search_filters={"StudyInstanceUID": str(study)})
    equal([value(one, "0020000D") for one in found], [study], f"studies found for {name}")
    found = client.search_for_instances(study, series)
    equal([value(one, "00080018") for one in found], [instance], f"instances found for {name}")
    metadata = client.retrieve_instance_metadata(study, series, instance)
    equal(value(metadata, "00080016"), dataset.SOPClassUID, f"SOPClassUID in the metadata of {name}")

    # Any transfer syntax: the stored bytes, not a copy that the server decoded.
    anything = (("application/dicom", "*"),)
    for what, got in (
        ("instance", [client.retrieve_instance(study, series, instance, media_types=anything)]),
        ("series", client.retrieve_series(study, series, media_types=anything)),
        ("study", client.retrieve_study(study, media_types=anything)),
    ):
        equal([one.SOPInstanceUID for one in got], [instance], f"{what} of {name}")
        pixels = getattr(dataset, "PixelData", None)
        if pixels is not None:
            equal(digest(got[0].PixelData), digest(pixels), f"pixel data in the {what} of {name}")


def links(dicom: str, study: str) -> None:
    """The links of a store's answer lead somewhere."""
    path = get_testdata_file("CT_small.dcm")
    with open(path, "rb") as file:
        part = file.read()
    body = b"--edge\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n--edge--\r\n"
    headers = {
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=edge',
        "Accept": "application/dicom+json",
    }
    answer = expect(200, "POST", f"{dicom}/studies/{study}", body, headers).json()
    urls = [answer["00081190"]["Value"][0]]
    urls += [item["00081190"]["Value"][0] for item in answer["00081199"]["Value"]]
    for url in urls:
        check(url.startswith(f"{dicom}/studies/{study}"), f"a link to {url}")
        accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        check(b"DICM" in expect(200, "GET", url, headers=accept).body, f"no DICOM at {url}")
    # Metadata is stored data, and comes as the server sent it.
    metadata = expect(200, "GET", f"{dicom}/studies/{study}/metadata", headers={"Accept": "application/dicom+json"})
    check(json.loads(metadata.body), "no metadata")


def value(dataset: dict[str, Any], tag: str) -> str:
    return str(dataset[tag]["Value"][0])


def digest(data: bytes) -> str:
    # Padding to an even length is not the image's.
    return hashlib.sha256(data.rstrip(b"\0")).hexdigest()
