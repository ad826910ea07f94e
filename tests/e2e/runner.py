"""Runs the scenarios named on the command line, or all; the last line counts them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from harness import HERE, Scenario, run_all

NAMES = sorted(path.stem.replace("_", "-") for path in (HERE / "scenarios").glob("*.py"))


def scenario(name: str) -> Callable[[Scenario], None]:
    # Imported when it runs: one that cannot be imported fails, and the others still run.
    return lambda scenario: importlib.import_module(f"scenarios.{name.replace('-', '_')}").run(scenario)


def main(wanted: list[str]) -> int:
    wanted = [name.replace("_", "-") for name in wanted]
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        print(f"no scenario {', '.join(unknown)}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    return run_all({name: scenario(name) for name in wanted or NAMES})


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main(sys.argv[1:]))
