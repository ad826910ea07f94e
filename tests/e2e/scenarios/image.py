"""The Dockerfile, read by hadolint; nothing is built."""

from __future__ import annotations

from harness import ROOT, VENV_BIN, Scenario


def run(scenario: Scenario) -> None:
    scenario.run([VENV_BIN / "hadolint", "--no-color", ROOT / "Dockerfile"])
