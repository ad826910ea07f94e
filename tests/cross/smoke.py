"""Runs ahds-proxy.exe under Wine: smoke.py WINE AHDS_PROXY_EXE STUB_EXE CONSOLE_EXE."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import Process, Scenario, accepts, check, equal, expect, run_all, wait_for

WINE, PROXY, STUB, CONSOLE = sys.argv[1:]
PREFIX = Path(os.environ["WINEPREFIX"])
# Any free ports.
DEMO = ["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
FHIR = "https://ws-fhir.fhir.azurehealthcareapis.com"
# All that cmd.exe or the C library could reinterpret. A `%` is missing: the standard library quotes it for
# the cmd.exe of Windows, and Wine's reads that in another way.
HOSTILE = [
    "two words",
    'a "quoted" word',
    "&echo injected",
    "|more",
    "^caret^",
    "!PATH!",
    "<in>out",
    "(round)",
    "trailing\\",
    "",
]


def windows_path(path: Path) -> str:
    """The path as a program under Wine sees it."""
    return "Z:" + str(path.resolve()).replace("/", "\\")


class Windows:
    """A machine with stub tools in a folder of its PATH."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.tools = scenario.directory / "my tools"
        self.tools.mkdir()
        self.output = scenario.directory / "output"
        self.arguments = scenario.directory / "arguments"
        self.environment = {
            "WINEPREFIX": str(PREFIX),
            "WINEDEBUG": "-all",
            # A relative folder on PATH is the working directory, which must not be searched.
            "WINEPATH": f".;{windows_path(self.tools)}",
            "STUB_OUTPUT": windows_path(self.output),
            "STUB_ARGUMENTS": windows_path(self.arguments),
        }

    def install(self, name: str) -> None:
        """Installs a tool that is a program."""
        shutil.copy(STUB, self.tools / name)

    def install_batch(self, name: str) -> None:
        """Installs a tool as az is installed: a batch file that passes its arguments to a program."""
        self.install("python.exe")
        (self.tools / name).write_text('@echo off\r\n"%~dp0python.exe" %*\r\n')

    def prints(self, output: object) -> None:
        self.output.write_text(output if isinstance(output, str) else json.dumps(output))

    def received(self) -> list[str]:
        """The arguments of the last call."""
        return self.arguments.read_text().splitlines()

    def configure(self, credential: str) -> None:
        """Writes the configuration that is found in the working directory."""
        text = f"[routes.fhir]\nupstream = '{FHIR}'\n[credentials.default.{credential}"
        (self.scenario.directory / "ahds-proxy.toml").write_text(text)

    def run(self, *arguments: str, expected: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.scenario.run([WINE, PROXY, *arguments], self.environment | environment, expected=expected)

    def wait_for_the_end_of_az(self) -> None:
        wait_for("end of az and of its child", lambda: not running(self.tools / "python.exe"))

    def token(self) -> str:
        return self.run("token", "fhir", "--output", "raw").stdout.strip()


def az_output(token: str, **fields: object) -> dict[str, object]:
    return {"accessToken": token, "tokenType": "Bearer"} | fields


def in_an_hour() -> int:
    return int((datetime.now(timezone.utc) + timedelta(hours=1)).timestamp())


def az_is_found_by_pathext_and_never_in_the_working_directory(scenario: Scenario) -> None:
    windows = Windows(scenario)
    windows.install_batch("az.cmd")
    # The script of az for other shells, which Windows cannot run.
    (windows.tools / "az").write_text("#!/bin/sh\nexit 1\n")
    for rogue in ("az.exe", "az.com", "cmd.exe", "python.exe"):
        shutil.copy(CONSOLE, scenario.directory / rogue)
    (scenario.directory / "az.cmd").write_text("@echo off\r\necho rogue>rogue\r\n")
    windows.configure("azure-cli]")
    windows.prints(az_output("stub-token", expires_on=in_an_hour()))
    equal(windows.token(), "stub-token", "the token")
    equal(windows.received()[:2], ["account", "get-access-token"], "the arguments")
    check(not (scenario.directory / "rogue").exists(), "a program of the working directory ran")


def a_path_to_az_follows_pathext(scenario: Scenario) -> None:
    windows = Windows(scenario)
    windows.install_batch("az.cmd")
    (windows.tools / "az").write_text("#!/bin/sh\nexit 1\n")
    windows.prints(az_output("stub-token", expires_on=in_an_hour()))
    path = windows_path(windows.tools / "az")
    for written in (path, path + ".cmd", path.replace("\\", "/")):
        windows.configure(f"azure-cli]\npath = '{written}'\n")
        equal(windows.token(), "stub-token", f"the token of {written}")
    script = windows.tools / "get.ps1"
    script.touch()
    windows.configure(f"azure-cli]\npath = '{windows_path(script)}'\n")
    check("cannot be started" in windows.run("token", "fhir", expected=1).stderr, "a script was started")
    for missing in ("nothing.cmd", "nothing.exe", "nothing"):
        windows.configure(f"azure-cli]\npath = '{windows_path(windows.tools / missing)}'\n")
        said = windows.run("token", "fhir", expected=1).stderr
        check("there is no program" in said and missing in said, said)


def arguments_arrive_as_they_are(scenario: Scenario) -> None:
    windows = Windows(scenario)
    windows.install_batch("tool.cmd")
    windows.install("tool2.exe")
    windows.prints("stub-token\n")
    for program in ("tool", "tool2", windows_path(windows.tools / "tool.cmd")):
        windows.configure(f"command]\nargv = {json.dumps([program, *HOSTILE])}\n")
        windows.arguments.unlink(missing_ok=True)
        equal(windows.token(), "stub-token", f"the token of {program}")
        equal(windows.received(), HOSTILE, f"the arguments of {program}")


def a_local_expiry_is_read_in_the_time_zone_of_the_system(scenario: Scenario) -> None:
    windows = Windows(scenario)
    windows.install_batch("az.cmd")
    windows.configure("azure-cli]")
    local = datetime.now(ZoneInfo("America/New_York")) + timedelta(hours=1)
    windows.prints(az_output("stub-token", expiresOn=local.strftime("%Y-%m-%d %H:%M:%S.%f")))
    said = json.loads(windows.run("token", "fhir", "--output", "json", TZ="America/New_York").stdout)
    check(abs(int(said["expires_on"]) - local.timestamp()) < 2, f"{local}: {said['expires_on']}")


def azd_and_powershell_are_found(scenario: Scenario) -> None:
    windows = Windows(scenario)
    windows.install("azd.exe")
    windows.install("pwsh.exe")
    windows.configure("azure-developer-cli]")
    expiry = datetime.fromtimestamp(in_an_hour(), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    windows.prints({"token": "azd-token", "expiresOn": expiry})
    equal(windows.token(), "azd-token", "the token of azd")
    equal(windows.received()[:2], ["auth", "token"], "the arguments of azd")
    windows.configure("azure-powershell]")
    windows.prints(f"ahds-proxy token {in_an_hour()} pwsh-token\n")
    equal(windows.token(), "pwsh-token", "the token of PowerShell")
    check("-EncodedCommand" in windows.received(), "the arguments of PowerShell")


def a_tool_that_takes_too_long_ends_with_its_children(scenario: Scenario) -> None:
    windows = Windows(scenario)
    windows.install_batch("az.cmd")
    windows.configure("azure-cli]\ntimeout = '5s'\n")
    done = windows.run("token", "fhir", expected=1, STUB_HANGS="1")
    check("gave no token within 5 s and was ended" in done.stderr, done.stderr)
    check(windows.arguments.exists(), "the tool did not run")
    windows.wait_for_the_end_of_az()


def ctrl_c_ends_the_tools_of_a_command(scenario: Scenario) -> None:
    windows = Windows(scenario)
    windows.install_batch("az.cmd")
    windows.configure("azure-cli]\n")
    environment = windows.environment | {"STUB_HANGS": "1"}
    process = scenario.start("token", [WINE, CONSOLE, PROXY, "token", "fhir"], environment, subprocess.PIPE)
    process.await_value("tool", lambda: len(running(windows.tools / "python.exe")) == 2)
    press_ctrl_c(process)
    equal(process.child.wait(30), 1, "the exit code after Ctrl-C")
    windows.wait_for_the_end_of_az()


def press_ctrl_c(process: Process) -> None:
    assert process.child.stdin
    process.child.stdin.write(b"\n")
    process.child.stdin.flush()


def running(program: Path) -> list[int]:
    """The processes of a program under Wine."""
    return [pid for pid, command in commands() if windows_path(program) in command]


def commands() -> list[tuple[int, str]]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append((int(path.parent.name), path.read_text(errors="replace")))
        except OSError:
            continue
    return found


def the_configuration_is_found_in_appdata(scenario: Scenario) -> None:
    windows = Windows(scenario)
    check("there is no route" in windows.run("check", expected=2).stderr, "a configuration was found before")
    [appdata] = PREFIX.glob(f"drive_c/users/{os.environ.get('USER', 'root')}/AppData/Roaming")
    folder = appdata / "ahds-proxy"
    folder.mkdir(exist_ok=True)
    scenario.cleanup.callback(shutil.rmtree, folder)
    (folder / "config.toml").write_text(f"[routes.fhir]\nupstream = '{FHIR}'\n[credentials.default.azure-cli]\n")
    check(FHIR in windows.run("check").stdout, "the file was not read")


def demo(windows: Windows) -> tuple[Process, int, str]:
    """Starts the demo in a console, and sends a request through it."""
    scenario = windows.scenario
    process = scenario.start("demo", [WINE, CONSOLE, PROXY, *DEMO], windows.environment, subprocess.PIPE)
    invitation = re.compile(r"^  curl\.exe http://localhost:(\d+)/fhir/Patient\r?$", re.MULTILINE)
    port = int(process.await_value("invitation", lambda: invitation.search(process.output()))[1])
    found = expect(200, "GET", f"http://127.0.0.1:{port}/fhir/Patient").json()
    equal(found["resourceType"], "Bundle", "the type of the response")
    expect(200, "GET", f"http://127.0.0.1:{port}/dicom/v2/changefeed")
    status = re.search(r"curl\.exe http://(\S+)/status", process.output())
    assert status
    return process, port, status[1]


def the_demo_serves_reloads_and_drains(scenario: Scenario) -> None:
    windows = Windows(scenario)
    process, port, admin = demo(windows)
    check("fhir" in windows.run("status", "--admin", admin).stdout, "status names no route")
    windows.run("reload", "--admin", admin)
    process.await_value("reload", lambda: "configuration reloaded" in process.errors())
    press_ctrl_c(process)
    equal(process.child.wait(30), 0, "the exit code after Ctrl-C")
    check(" stopped" in process.errors() and "stopped at once" not in process.errors(), "it did not drain")
    check(not accepts(port), "the port is still open")
    gone = windows.run("status", "--admin", admin, expected=1)
    check("no response from" in gone.stderr, gone.stderr)


def a_unix_socket_is_refused(scenario: Scenario) -> None:
    windows = Windows(scenario)
    refused = windows.run("check", "--fhir", FHIR, "--listen", "unix:/tmp/proxy.sock", expected=2)
    check("the proxy has no Unix sockets on Windows" in refused.stderr, refused.stderr)


CASES: Sequence[Callable[[Scenario], None]] = (
    az_is_found_by_pathext_and_never_in_the_working_directory,
    a_path_to_az_follows_pathext,
    arguments_arrive_as_they_are,
    a_local_expiry_is_read_in_the_time_zone_of_the_system,
    azd_and_powershell_are_found,
    a_tool_that_takes_too_long_ends_with_its_children,
    ctrl_c_ends_the_tools_of_a_command,
    the_configuration_is_found_in_appdata,
    the_demo_serves_reloads_and_drains,
    a_unix_socket_is_refused,
)

if __name__ == "__main__":
    sys.exit(run_all({case.__name__: case for case in CASES}))
