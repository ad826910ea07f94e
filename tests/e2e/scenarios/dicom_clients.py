"""dicomweb-client stores pydicom's test files and gets every byte back: by a prefix, and from a route's own listener."""

from __future__ import annotations

import io
import warnings
from collections import defaultdict
from pathlib import Path

import pydicom
from dicomweb_client.api import DICOMwebClient
from pydicom.encaps import generate_frames
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from harness import DICOM_HOST, Proxy, Scenario, check, equal, expect, free_port
from scenarios.orthanc import Orthanc, value

# Whatever was stored, not a copy in another transfer syntax.
AS_STORED = (("application/dicom", "*"),)


def run(scenario: Scenario) -> None:
    files = test_files()
    emulator = scenario.emulator()
    orthanc = Orthanc.start(scenario, emulator)
    credential = emulator.client_secret_credential(scenario.directory)
    upstream = f"https://{DICOM_HOST}"
    azure = f'[routes.dicom]\nupstream = "{upstream}"\n'

    # Clients that take a host and a port only, or drop the path of a base URL, use the second.
    for name, route, rest, version in (
        ("emulator", azure, credential + emulator.network, "/v2"),
        ("orthanc", orthanc.route("proxy"), orthanc.config, ""),
    ):
        own = free_port()
        proxy = scenario.proxy(f'{route}listen = "127.0.0.1:{own}"\n{rest}', name=f"proxy-{name}")
        proxy.wait_ready()
        bases = {f"the prefix with {name}": proxy.dicom, f"the own listener with {name}": f"http://127.0.0.1:{own}"}
        for what, base in bases.items():
            exercise(f"{base}{version}", files, what, is_azure=name == "emulator")
        if name == "emulator":
            change_feed(f"{proxy.dicom}/v2", len(files))
        check_log(proxy, files)
    equal(orthanc.front.runs(), {"proxy"}, "who sent requests to Orthanc")


def test_files() -> list[pydicom.FileDataset]:
    """Those that come with pydicom and can be sent: whole files, of each SOP instance one."""
    chosen: dict[str, pydicom.FileDataset] = {}
    for path in sorted((Path(pydicom.__file__).parent / "data/test_files").glob("*.dcm")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                file = pydicom.dcmread(path)
                syntax = file.file_meta.TransferSyntaxUID
                instance = (file.StudyInstanceUID, file.SeriesInstanceUID, file.SOPInstanceUID)
                encode(file)
                count_frames(file)
            except Exception:  # Half of them are there to be broken, each in its own way.
                continue
        # Neither Azure nor Orthanc's DICOMweb is at home in these two.
        if syntax not in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
            chosen.setdefault(instance[-1], file)
    check(len(chosen) > 30, f"pydicom comes with only {len(chosen)} files that can be sent")
    return list(chosen.values())


def exercise(base: str, files: list[pydicom.FileDataset], what: str, is_azure: bool) -> None:
    # Of its own accord it takes an answer to a store in any form. Azure has JSON only, Orthanc would
    # choose XML, and links in DICOM's XML are not changed.
    client = DICOMwebClient(url=base, headers={"Accept": "application/dicom+json"})
    if is_azure:
        # The round before stored the same. Orthanc has no DELETE and takes it twice.
        delete(client, files)
    store(client, base, files, what)
    sent = {str(file.SOPInstanceUID): encode(file) for file in files}
    studies: dict[str, list[pydicom.FileDataset]] = defaultdict(list)
    for file in files:
        studies[str(file.StudyInstanceUID)].append(file)

    found = {value(study, "0020000D") for study in client.search_for_studies(limit=200)}
    equal(found, set(studies), f"studies found by {what}")
    for study, instances in studies.items():
        uids = {str(file.SOPInstanceUID) for file in instances}
        metadata = client.retrieve_study_metadata(study)
        equal({value(one, "00080018") for one in metadata}, uids, f"metadata by {what}")
        fetched = client.retrieve_study(study, media_types=AS_STORED)
        for got in fetched:
            same = encode(got) == sent[str(got.SOPInstanceUID)]
            check(same, f"{got.SOPInstanceUID} is not what was sent, by {what}")
        equal({str(got.SOPInstanceUID) for got in fetched}, uids, f"instances in a study by {what}")

    compared = 0
    for file in files:
        frames = expected_frames(file, is_azure)
        if frames:
            got = retrieve_frames(client, file, len(frames))
            check([one.rstrip(b"\0") for one in got] == frames, f"frames of {file.SOPInstanceUID} differ, by {what}")
            compared += len(frames)
    check(compared >= 8, f"only {compared} frames were compared by {what}")


def store(client: DICOMwebClient, base: str, files: list[pydicom.FileDataset], what: str) -> None:
    # dicomweb-client sends one request with a part for each.
    answer = client.store_instances(files)
    failed = answer.get("FailedSOPSequence")
    check(not failed, f"not stored by {what}: {failed}")
    referenced = answer.ReferencedSOPSequence
    equal(len(referenced), len(files), f"instances stored by {what}")
    for item in referenced:
        check(item.RetrieveURL.startswith(f"{base}/studies/"), f"{what}: retrieve it from {item.RetrieveURL!r}")
    # It makes its URLs itself; this follows one that it got.
    accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    content = expect(200, "GET", referenced[0].RetrieveURL, headers=accept).body
    check(encode(files[0]) in content, f"not the first file at its RetrieveURL by {what}")


def retrieve_frames(client: DICOMwebClient, file: pydicom.FileDataset, count: int) -> list[bytes]:
    return client.retrieve_instance_frames(
        file.StudyInstanceUID,
        file.SeriesInstanceUID,
        file.SOPInstanceUID,
        frame_numbers=list(range(1, count + 1)),
        media_types=(("application/octet-stream", "*"),),
    )


def expected_frames(file: pydicom.FileDataset, is_azure: bool) -> list[bytes]:
    """Without padding to an even length. Azure gives compressed frames as they are, Orthanc decodes them."""
    count = count_frames(file)
    if "PixelData" not in file or (file.file_meta.TransferSyntaxUID.is_compressed and not is_azure):
        return []
    if file.file_meta.TransferSyntaxUID.is_compressed:
        return [one.rstrip(b"\0") for one in generate_frames(file.PixelData, number_of_frames=count)]
    size = file.Rows * file.Columns * file.SamplesPerPixel * file.BitsAllocated // 8
    if size * count > len(file.PixelData):
        return []
    return [file.PixelData[at : at + size].rstrip(b"\0") for at in range(0, size * count, size)]


def count_frames(file: pydicom.FileDataset) -> int:
    return int(file.get("NumberOfFrames") or 1)


def change_feed(base: str, count: int) -> None:
    """Page by page to its end. There are no links in it: the client counts."""
    seen: list[dict[str, str]] = []
    while page := expect(200, "GET", f"{base}/changefeed?limit=7&offset={len(seen)}&includeMetadata=false").json():
        seen += page
        check(len(seen) < 20 * count, "the change feed does not end")
    numbers = [int(change["sequence"]) for change in seen]
    equal(numbers, sorted(set(numbers)), "sequence numbers in the change feed")
    latest = expect(200, "GET", f"{base}/changefeed/latest?includeMetadata=false").json()
    equal(seen[-1], latest, "the last change")
    created = [change for change in seen if change["action"].lower() == "create"]
    equal(len(created), 2 * count, "instances created, by the change feed")


def delete(client: DICOMwebClient, files: list[pydicom.FileDataset]) -> None:
    stored = {value(study, "0020000D") for study in client.search_for_studies(limit=200)}
    for study in stored & {str(file.StudyInstanceUID) for file in files}:
        client.delete_study(study)


def check_log(proxy: Proxy, files: list[pydicom.FileDataset]) -> None:
    log = proxy.process.errors()
    for file in files:
        check(str(file.StudyInstanceUID) not in log, "the proxy logged a study's UID")


def encode(file: pydicom.Dataset) -> bytes:
    """As dicomweb-client does."""
    with io.BytesIO() as buffer:
        pydicom.dcmwrite(buffer, file)
        return buffer.getvalue()
