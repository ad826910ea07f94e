"""Installs each package, runs the program from it, and stops it: packages.py WHEEL NPM DEB ARCHIVE."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import yaml
from harness import ROOT, Failure, Process, Scenario, accepts, check, equal, expect, run_all, wait_for

WHEEL, NPM, DEB, ARCHIVE = (Path(path).resolve() for path in sys.argv[1:])
UNIT = ROOT / "deploy/systemd/ahds-proxy.service"
# Any free ports.
DEMO = ["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
NOBODY = 65534


def version() -> str:
    """The version of Cargo.toml, which every package must have."""
    match = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert match
    return match[1]


def plain(scenario: Scenario, *argv: object) -> list[str]:
    """The command, run as a user without privileges."""
    if os.getuid() != 0:
        return [str(word) for word in argv]
    home = scenario.directory / "home"
    home.mkdir(exist_ok=True)
    for path in (scenario.directory, home):
        os.chown(path, NOBODY, NOBODY)
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]
    return user + [str(word) for word in argv]


def says_version(scenario: Scenario, *program: object) -> None:
    said = scenario.run(plain(scenario, *program, "--version")).stdout
    equal(said, f"ahds-proxy {version()}\n", f"{program[0]} --version")


def demo(scenario: Scenario, *program: object) -> tuple[Process, int]:
    """Starts the demo, and sends a request through it. Returns its process and port."""
    process = scenario.start("demo", plain(scenario, *program, *DEMO))
    pattern = re.compile(r"^  curl http://localhost:(\d+)/fhir/Patient$", re.MULTILINE)
    port = int(process.await_value("invitation", lambda: pattern.search(process.output()))[1])
    found = expect(200, "GET", f"http://127.0.0.1:{port}/fhir/Patient").json()
    equal(found["resourceType"], "Bundle", "the type of the response")
    return process, port


def stops(process: Process, port: int, sign: signal.Signals = signal.SIGTERM) -> int:
    """Sends the signal to the process alone, and waits until it has ended. Returns its exit code."""
    process.child.send_signal(sign)
    try:
        code = process.child.wait(30)
    except subprocess.TimeoutExpired:
        raise Failure(f"{process.name} still runs after {sign.name}") from None
    # Below npx, the program ends a little later.
    wait_for("end of the proxy", lambda: not accepts(port))
    log = wait_for("last line of the log", lambda: process.errors() if " stopped" in process.errors() else None)
    check("stopped at once" not in log, f"the proxy did not drain:\n{log}")
    return code


def works(scenario: Scenario, *program: object) -> None:
    says_version(scenario, *program)
    equal(stops(*demo(scenario, *program)), 0, "the exit code after SIGTERM")


def the_wheel_installs_into_an_empty_environment(scenario: Scenario) -> None:
    venv = scenario.directory / "venv"
    scenario.run([sys.executable, "-m", "venv", venv])
    scenario.run([venv / "bin/pip", "install", "--quiet", "--no-index", WHEEL])
    works(scenario, venv / "bin/ahds-proxy")
    [license_file] = venv.glob("lib/python*/site-packages/ahds_proxy-*.dist-info/licenses/LICENSE")
    equal(license_file.read_text(), (ROOT / "LICENSE").read_text(), "the license")


def npm_install(scenario: Scenario) -> Path:
    """Installs the package, and returns its launcher."""
    prefix = scenario.directory / "prefix"
    prefix.mkdir()
    plain(scenario)
    if os.getuid() == 0:
        os.chown(prefix, NOBODY, NOBODY)
    scenario.run(plain(scenario, "npm", "install", "--offline", "--no-audit", "--prefix", prefix, NPM))
    return prefix / "node_modules/.bin/ahds-proxy"


def the_npm_package_installs_into_an_empty_folder(scenario: Scenario) -> None:
    works(scenario, npm_install(scenario))


def npx_starts_the_packed_file(scenario: Scenario) -> None:
    npx = ["npx", "--yes", "--offline", "--package", NPM, "--", "ahds-proxy"]
    says_version(scenario, *npx)
    stops(*demo(scenario, *npx))


def the_launcher_of_npm_forwards_signals(scenario: Scenario) -> None:
    launcher = npm_install(scenario)
    process, port = demo(scenario, launcher)
    process.child.send_signal(signal.SIGHUP)
    process.await_value("reload", lambda: "reloaded" in process.errors())
    equal(stops(process, port, signal.SIGINT), 0, "the exit code after SIGINT")


def the_launcher_of_npm_ends_as_the_program_ends(scenario: Scenario) -> None:
    launcher = npm_install(scenario)
    usage = scenario.run(plain(scenario, launcher, "check", "--fhir", "two words"), expected=2)
    check("contains white space" in usage.stderr, f"the argument arrived otherwise: {usage.stderr}")
    program = stand_in(launcher, "#!/bin/sh\nkill -KILL $$\n")
    killed = scenario.run(plain(scenario, launcher), expected=None)
    equal(killed.returncode, -signal.SIGKILL, "the end after the program was killed")
    program.unlink()


def stand_in(launcher: Path, script: str) -> Path:
    """Replaces the program of an installed npm package."""
    [program] = launcher.resolve().parent.glob("binaries/*/ahds-proxy")
    program.write_text(script)
    return program


def the_launcher_of_npm_names_the_platforms(scenario: Scenario) -> None:
    launcher = npm_install(scenario)
    # A script whose interpreter is missing fails as a program does without its dynamic linker.
    program = stand_in(launcher, "#!/missing/ld.so\n")
    without = scenario.run(plain(scenario, launcher), expected=1)
    check("needs glibc" in without.stderr, without.stderr)
    program.parent.rename(program.parent.with_name("plan9-mips"))
    unsupported = scenario.run(plain(scenario, launcher), expected=1)
    check(re.search(r"no program for \w+-\w+, only for plan9-mips", unsupported.stderr), unsupported.stderr)


def the_debian_package_installs_and_leaves_nothing(scenario: Scenario) -> None:
    fields = scenario.run(["dpkg-deb", "--field", DEB, "Package", "Version", "Depends"]).stdout
    check(f"Package: ahds-proxy\nVersion: {version()}\n" in fields, fields)
    check("ca-certificates" in fields and "libc6" in fields, fields)
    installed = os.getuid() == 0
    if installed:
        state = scenario.run(["dpkg-query", "--show", "--showformat=${Status}", "ahds-proxy"], expected=None)
        check("installed" not in state.stdout, "ahds-proxy is installed on this machine; remove it first")
        root = Path("/")
        scenario.cleanup.callback(lambda: scenario.run(["dpkg", "--purge", "ahds-proxy"], expected=None))
        scenario.run(["dpkg", "--install", DEB])
    else:
        print("not root: the Debian package is unpacked, not installed", flush=True)
        root = scenario.directory / "root"
        scenario.run(["dpkg-deb", "--extract", DEB, root])

    program = root / "usr/bin/ahds-proxy"
    example = root / "usr/share/doc/ahds-proxy/config.example.toml"
    equal(example.read_text(), (ROOT / "config.example.toml").read_text(), "the example file")
    scenario.run(plain(scenario, program, "check", "--config", example), expected=None)
    for shell, path in {
        "bash": "usr/share/bash-completion/completions/ahds-proxy",
        "zsh": "usr/share/zsh/vendor-completions/_ahds-proxy",
        "fish": "usr/share/fish/vendor_completions.d/ahds-proxy.fish",
    }.items():
        script = scenario.run([program, "completions", shell]).stdout
        equal((root / path).read_text(), script, f"the completions for {shell}")
    unit = root / "usr/lib/systemd/system/ahds-proxy.service"
    check(unit.exists(), "the systemd unit is missing")
    works(scenario, program)

    if installed:
        wanted = list(Path("/etc/systemd").rglob("ahds-proxy.service"))
        equal(wanted, [], "the links that start the service")
        scenario.run(["dpkg", "--purge", "ahds-proxy"])
        check(not program.exists() and not example.exists() and not unit.exists(), "files are left behind")


def the_unit_is_valid_and_hardened(scenario: Scenario) -> None:
    # systemd checks that the program exists.
    text = UNIT.read_text().replace("/usr/bin/ahds-proxy", shutil.which("true") or "/bin/true")
    unit = scenario.directory / UNIT.name
    unit.write_text(text)
    said = scenario.run(["systemd-analyze", "verify", "--man=no", unit])
    equal(said.stderr, "", "the complaints of systemd-analyze")
    # The exposure in tenths; services without protection have 96.
    scenario.run(["systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", unit])


def the_archive_contains_the_program(scenario: Scenario) -> None:
    with tarfile.open(ARCHIVE) as tar:
        tar.extractall(scenario.directory)
    [folder] = scenario.directory.glob(f"ahds-proxy-{version()}-*")
    works(scenario, folder / "ahds-proxy")
    equal((folder / "LICENSE").read_text(), (ROOT / "LICENSE").read_text(), "the license")


def stand_ins(scenario: Scenario) -> dict[str, str]:
    """Archives for every platform, of which only the checksums count, and these checksums."""
    sums = {}
    for platform in (
        "aarch64-apple-darwin.tar.gz",
        "x86_64-apple-darwin.tar.gz",
        "aarch64-unknown-linux-gnu.tar.gz",
        "x86_64-unknown-linux-gnu.tar.gz",
        "x86_64-pc-windows-msvc.zip",
    ):
        archive = scenario.directory / f"ahds-proxy-{version()}-{platform}"
        archive.write_text(platform)
        sums[archive.name] = hashlib.sha256(archive.read_bytes()).hexdigest()
    return sums


def manifests(scenario: Scenario, expected: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs the recipe with the environment of these tests, since it calls cargo."""
    command = [ROOT / "deploy/packages/manifests", "--url", "https://files.test/v", "--homepage", "https://home.test"]
    done = subprocess.run([*command, scenario.directory], capture_output=True, text=True, check=False)
    equal(done.returncode, expected, f"the exit code of the recipe\n{done.stderr}")
    return done


def the_formula_and_the_manifests_name_the_archives(scenario: Scenario) -> None:
    sums = stand_ins(scenario)
    out = ROOT / "target/packages"
    manifests(scenario)

    formula = out / "homebrew/ahds-proxy.rb"
    equal(scenario.run(["ruby", "-wc", formula]).stdout, "Syntax OK\n", "the check of Ruby")
    text = formula.read_text()
    pairs = dict(re.findall(r'url "https://files.test/v/(.+)"\n\s+sha256 "(.+)"', text))
    equal(pairs, {name: sums[name] for name in sums if name.endswith(".gz")}, "the archives of the formula")
    check(f'version "{version()}"' in text and 'homepage "https://home.test"' in text, text)

    name = "winget/ahds-proxy.ahds-proxy"
    main, installer, locale = (
        yaml.safe_load((out / f"{name}{part}.yaml").read_text()) for part in ("", ".installer", ".locale.en-US")
    )
    for manifest, kind in ((main, "version"), (installer, "installer"), (locale, "defaultLocale")):
        equal(manifest["PackageIdentifier"], "ahds-proxy.ahds-proxy", "the identifier")
        equal(manifest["PackageVersion"], version(), "the version")
        equal(manifest["ManifestType"], kind, "the type")
    [entry] = installer["Installers"]
    archive = f"ahds-proxy-{version()}-x86_64-pc-windows-msvc.zip"
    equal(entry["InstallerUrl"], f"https://files.test/v/{archive}", "the URL of the installer")
    equal(entry["InstallerSha256"], sums[archive], "the checksum of the installer")
    check(locale["PackageLocale"] == main["DefaultLocale"], "the locales differ")
    for path in [formula, *(out / "winget").iterdir()]:
        check(not re.search(r"@[A-Z]", path.read_text()), f"{path} has a placeholder")


def the_formula_needs_every_archive(scenario: Scenario) -> None:
    stand_ins(scenario)
    [archive] = scenario.directory.glob("*-aarch64-apple-darwin.tar.gz")
    archive.unlink()
    check(f"lacks {archive.name}" in manifests(scenario, expected=1).stderr, "the archive is not named")


def every_package_describes_itself_alike(_scenario: Scenario) -> None:
    command = ["cargo", "metadata", "--locked", "--no-deps", "--format-version=1"]
    found = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)["packages"]
    crate = next(package for package in found if package["name"] == "ahds-proxy")
    with tarfile.open(NPM) as tar:
        entry = tar.extractfile("package/package.json")
        assert entry
        package = json.load(entry)
    for key in ("name", "version", "description", "license", "keywords"):
        equal(package[key], crate[key], f"`{key}` of the npm package")


CASES: Sequence[Callable[[Scenario], None]] = (
    the_wheel_installs_into_an_empty_environment,
    the_npm_package_installs_into_an_empty_folder,
    npx_starts_the_packed_file,
    the_launcher_of_npm_forwards_signals,
    the_launcher_of_npm_ends_as_the_program_ends,
    the_launcher_of_npm_names_the_platforms,
    the_debian_package_installs_and_leaves_nothing,
    the_unit_is_valid_and_hardened,
    the_archive_contains_the_program,
    the_formula_and_the_manifests_name_the_archives,
    the_formula_needs_every_archive,
    every_package_describes_itself_alike,
)


if __name__ == "__main__":
    sys.exit(run_all({case.__name__: case for case in CASES}))
