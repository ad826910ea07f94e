"""Runs the scenarios named on the command line, or all; the last line counts them."""

from __future__ import annotations

import importlib
import sys
import time
import traceback
from pathlib import Path

from harness import HERE, Failure, Scenario

NAMES = sorted(path.stem.replace("_", "-") for path in (HERE / "scenarios").glob("*.py"))


def run(name: str) -> bool:
    begun = time.monotonic()
    scenario = Scenario.prepare(name)
    reason = ""
    try:
        importlib.import_module(f"scenarios.{name.replace('-', '_')}").run(scenario)
    except Failure as failure:
        reason = str(failure)
    except Exception:  # A scenario that breaks is a scenario that fails; the others still run.
        reason = traceback.format_exc()
    seconds = time.monotonic() - begun
    print(f"{'FAIL' if reason else 'ok':4} {name} ({seconds:.1f} s)", flush=True)
    if reason:
        print("\n".join(f"  {line}" for line in reason.splitlines()), flush=True)
    scenario.finish(bool(reason))
    return not reason


def main(wanted: list[str]) -> int:
    wanted = [name.replace("_", "-") for name in wanted]
    unknown = sorted(set(wanted) - set(NAMES))
    if unknown:
        print(f"no scenario {', '.join(unknown)}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    results = [run(name) for name in wanted or NAMES]
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    sys.exit(main(sys.argv[1:]))
