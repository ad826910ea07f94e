"""`ahds-proxy demo`: every curl line that it prints does what it promises."""

from __future__ import annotations

import shlex

from harness import BIN_DIR, Scenario, check, free_port


def run(scenario: Scenario) -> None:
    addresses = ["--listen", "127.0.0.1:0", "--admin", f"127.0.0.1:{free_port()}"]
    demo = scenario.start("demo", [BIN_DIR / "ahds-proxy", "demo", *addresses])
    lines = demo.await_value("curl lines for FHIR and DICOM", lambda: both_services(curls(demo.output())))
    options = ["--silent", "--show-error", "--output", scenario.directory / "body", "--write-out", "%{http_code}"]
    for line in lines:
        answer = scenario.run([*shlex.split(line), *options], deadline=60, expected=None)
        check(
            answer.returncode == 0 and answer.stdout[-3:].startswith("2"),
            f"{line}\nended with {answer.returncode}, status {answer.stdout[-3:]}: {answer.stderr}",
        )
    check(demo.child.poll() is None, "the demo ended")
    check(demo.stop() == 0, f"the demo ended with {demo.child.returncode} after SIGTERM")


def curls(output: str) -> list[str]:
    """Whole lines that start with curl, continued ones joined."""
    text = output[: output.rfind("\n") + 1].replace("\\\n", " ")
    lines = (line.strip().removeprefix("$ ") for line in text.splitlines())
    return [line for line in lines if line.startswith("curl ")]


def both_services(lines: list[str]) -> list[str]:
    text = " ".join(lines)
    return lines if "/fhir" in text and "/dicom" in text else []
