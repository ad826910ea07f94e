"""The .http files of examples/: every request in them is sent, from top to bottom, and succeeds."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.data import get_testdata_file

from harness import ROOT, Answer, Scenario, check, equal, request

EXAMPLES = ROOT / "examples"


@dataclass
class Call:
    title: str
    # By which later requests call its answer.
    name: str
    method: str
    url: str
    headers: dict[str, str]
    body: bytes


def run(scenario: Scenario) -> None:
    emulator = scenario.emulator("--samples")
    credential = emulator.client_secret_credential(scenario.directory)
    proxy = scenario.proxy(emulator.routes + credential + emulator.network)
    proxy.wait_ready()
    for name, variable, base in (("fhir", "fhirurl", proxy.fhir), ("dicom", "dicomurl", f"{proxy.dicom}/v2")):
        path = Path(shutil.copy(EXAMPLES / f"{name}.http", scenario.directory))
        text = path.read_text()
        check("authorization" not in text.lower(), f"{name}.http deals with tokens: that is the proxy's work")
        variables = dict(re.findall(r"^@(\w+) *= *(.*)$", text, re.MULTILINE))
        if name == "dicom":
            sample(scenario.directory / "red-triangle.dcm", variables)
        check(variables[variable].startswith("http://localhost:8080/"), f"{variable} is not the proxy's default")
        exercise(path, variables | {variable: base}, base)


def exercise(path: Path, variables: dict[str, str], base: str) -> None:
    answers: dict[str, Answer] = {}
    blocks = re.split(r"^###", path.read_text(), flags=re.MULTILINE)[1:]
    for block in blocks:
        call = parse(block, path.parent, variables, answers)
        check(call.url.startswith(f"{base}/"), f"{path.name}: {call.title}: {call.url}")
        answer = request(call.method, call.url, call.body or None, call.headers)
        check(200 <= answer.status < 300, f"{path.name}: {call.title}: {answer}")
        answers[call.name] = answer
    equal(len(blocks), path.read_text().count("\n###"), f"requests in {path.name}")


def parse(block: str, directory: Path, variables: dict[str, str], answers: dict[str, Answer]) -> Call:
    """One request, as REST Client reads it: its line, headers, an empty line, a body that may include files."""
    title, _, rest = block.partition("\n")
    named = re.search(r"^# @name (\w+)$", rest, re.MULTILINE)
    rest = re.sub(r"^#.*\n", "", rest, flags=re.MULTILINE)

    def value(match: re.Match[str]) -> str:
        known = variables.get(match[1])
        return known if known is not None else of_answer(match[1], answers)

    head, _, body = re.sub(r"\{\{(.+?)\}\}", value, rest).strip().partition("\n\n")
    line, *fields = head.split("\n")
    method, url = line.split(" ")
    headers = dict(field.split(": ", 1) for field in fields)
    ending = b"\r\n" if "multipart" in headers.get("Content-Type", "") else b"\n"
    lines = [
        (directory / line[2:]).read_bytes() if line.startswith("< ") else line.encode() for line in body.split("\n")
    ]
    return Call(title.strip(), named[1] if named else title, method, url, headers, ending.join(lines))


def of_answer(path: str, answers: dict[str, Answer]) -> str:
    """`NAME.response.headers.HEADER`, or `NAME.response.body.$` and a path of JSON."""
    name, _, part, rest = path.split(".", 3)
    if part == "headers":
        return answers[name].headers[rest.lower()]
    found: Any = answers[name].json()
    for member, test, wanted in re.findall(r"\.(\w+)(?:\[\?\(@\.(\w+)=='(\w+)'\)\])?", rest):
        found = found[member]
        if test:
            found = next(item for item in found if item[test] == wanted)
    return str(found)


def sample(path: Path, uids: dict[str, str]) -> None:
    """Another image under the UIDs of the one that the file asks for."""
    image = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    image.StudyInstanceUID, image.SeriesInstanceUID = uids["studyid"], uids["seriesid"]
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = uids["instanceid"]
    image.save_as(path)
