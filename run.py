"""The one command for a fresh machine: makes `.venv`, installs what is needed, then starts, tries or tests the broker.

Standard library only, because it runs before anything is installed. What it starts does the work; nothing of the
broker itself is here.
"""

import ctypes
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

MINIMUM = (3, 11)
if sys.version_info < MINIMUM:  # before the first annotation that an older Python cannot read
    sys.exit(
        "Grok Broker needs Python 3.11 or newer; this is Python {}.{}. Install a newer one and run this again with "
        "it, for example: python3.12 run.py demo".format(*sys.version_info)
    )

from collections.abc import Mapping, Sequence  # noqa: E402
from itertools import chain  # noqa: E402
from typing import NamedTuple  # noqa: E402

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
#: Which requirement files were installed last, by their SHA-256.
STAMP = VENV / "installed.json"

HELP = """\
Grok Broker

  python3 run.py demo [--once] [--port N]   try it: a broker, a worker that needs no account, one film, one chat
  python3 run.py demo --browser             the same with the extension in a Chromium and a stand-in for the site
  python3 run.py serve                      start the broker (http://127.0.0.1:8000)
  python3 run.py test [pytest arguments]    everything the continuous integration runs
  python3 run.py bench [name ...]           the benchmarks
  python3 run.py help                       this text

The first run makes .venv and installs what it needs there; nothing outside this folder is changed, except
that missing system packages are installed through apt where this account is allowed to.
"""


class Command(NamedTuple):
    """What a command needs installed, and what it runs inside the environment."""

    requirements: tuple[str, ...]
    arguments: tuple[str, ...]
    #: Programs beyond Python, installed through apt where that is possible.
    programs: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


CORE, DEMO, DEV = "requirements.txt", "requirements-demo.txt", "requirements-dev.txt"
COMMANDS = {
    "demo": Command((CORE, DEMO), ("-m", "broker.demo.rehearsal")),
    "demo --browser": Command((CORE, DEMO), ("-m", "broker.demo.rehearsal"), ("chromium",)),
    "serve": Command((CORE,), ("server.py",)),
    "test": Command((CORE, DEMO, DEV), ("-m", "pytest"), ("chromium", "curl"), ("libatomic1",)),
    "bench": Command((CORE, DEMO, DEV), ("-m", "bench"), ("beanstalkd",)),
}

#: Program → the names it goes by, and the folder whose presence says that it is wanted.
PROGRAMS = {
    # Not Google Chrome: that no longer loads an extension from its command line.
    "chromium": (("chromium", "chromium-browser"), ROOT / "tests" / "e2e"),
    "curl": (("curl",), ROOT / "tests"),
    "beanstalkd": (("beanstalkd",), ROOT / "bench"),
}

#: Debian package → the library in it that something installed through pip needs and does not bring along.
LIBRARIES = {"libatomic1": "libatomic.so.1"}  # Playwright's own Node.js

#: What the extension is checked with, and clients that call a broker: each has a lock file of npm's.
EXTENSION_TESTS = ROOT / "tests" / "extension"
CLIENT_TESTS = ROOT / "tests" / "clients"
#: A Node.js for a machine without one.
NODE_WHEEL = EXTENSION_TESTS / "requirements-node.txt"
NODE_MAJOR = 20
REPORTER = "--test-reporter=spec"  # else it depends on the version and on who looks
TSC = EXTENSION_TESTS / "node_modules" / "typescript" / "bin" / "tsc"

#: What comes first, each as arguments of the environment's Python.
CHECKS = {
    "ruff format --check": ("-m", "ruff", "format", "--check", "."),
    "ruff check": ("-m", "ruff", "check", "."),
    "mypy": ("-m", "mypy"),
}

#: Two files at a time: most tests wait for a process more than they work.
AT_ONCE = ("-n", "2", "--dist", "loadfile")
BROWSER_LANE = ("tests/e2e", *AT_ONCE)


class SetUpFailed(Exception):
    """The environment cannot be made; the message says what the person can do."""


def main(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit status."""
    name, *rest = arguments or ["help"]
    if name in ("help", "-h", "--help"):
        print(HELP)
        return 0
    if name == "demo" and "--browser" in rest:
        name = "demo --browser"
    if name not in COMMANDS:
        print(f"There is no command {name!r}.\n\n{HELP}", file=sys.stderr)
        return 2
    try:
        python = prepare(COMMANDS[name])
    except SetUpFailed as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    if name == "test":
        return run_tests(python, rest)
    return hand_over([str(python), *COMMANDS[name].arguments, *rest])


def prepare(command: Command) -> Path:
    """Everything the command needs is there; returns the environment's Python. Raises `SetUpFailed`."""
    python = venv_python(VENV, os.name)
    if not works(python):
        make_venv(python)
    install(python, [ROOT / name for name in command.requirements])
    for program in command.programs:
        find_program(program)
    for package in command.libraries:
        find_library(package)
    return python


def venv_python(venv: Path, platform: str) -> Path:
    """Where an environment keeps its Python; `platform` as `os.name` spells it."""
    return venv / "Scripts" / "python.exe" if platform == "nt" else venv / "bin" / "python"


def works(python: Path) -> bool:
    """False for an environment that is absent, half made, or whose Python has been removed from the machine."""
    if not python.exists():
        return False
    return subprocess.run([python, "-c", "import pip"], capture_output=True).returncode == 0


def make_venv(python: Path) -> None:
    package = "python{}.{}-venv".format(*sys.version_info)
    if importlib.util.find_spec("ensurepip") is None and not apt_install(package):
        raise SetUpFailed(
            f"This Python cannot make environments because its package {package} is missing. Type\n\n"
            f"    sudo apt-get update && sudo apt-get install -y {package}\n\nand run this again."
        )
    say(f"Making {VENV.name} with Python {sys.version.split()[0]}")
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", VENV])
    if made.returncode != 0 or not works(python):
        raise SetUpFailed(f"Making {VENV} failed; the lines above say why.")


def install(python: Path, files: Sequence[Path]) -> None:
    """Installs the files unless their hashes are those of the last time. Hashes in a file are always checked."""
    stamped = read_stamp(STAMP)
    wanted = {file.name: digest(file) for file in files}
    if wanted.items() <= stamped.items():
        return
    say("Installing " + ", ".join(wanted))
    options = [option for file in files for option in ("-r", str(file))]
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    # Forgotten first: an installation that breaks off must not look like a finished one.
    STAMP.unlink(missing_ok=True)
    if subprocess.run([*pip, *options], cwd=ROOT).returncode != 0:
        raise SetUpFailed("Installing failed; the lines above say why. Is this machine online?")
    STAMP.write_text(json.dumps(stamped | wanted, indent=1))


def read_stamp(stamp: Path) -> dict[str, str]:
    try:
        return dict(json.loads(stamp.read_text()))
    except (OSError, ValueError):
        return {}


def digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise SetUpFailed(f"{file.name} cannot be read: {error.strerror}.") from error


def find_program(name: str) -> str | None:
    """The program's path, installed first where possible; None, and a line about it, where it cannot be had."""
    spellings, wanted_by = PROGRAMS[name]
    if not wanted_by.is_dir():
        return None
    found = first_found(spellings)
    if found is None and apt_install(name):
        found = first_found(spellings)
    if found is None:
        say(f"{name} is not on this machine; what needs it will say so.")
    return found


def find_library(package: str) -> bool:
    """Whether the library is there, installed first where possible. Only Linux lacks it."""
    if not sys.platform.startswith("linux") or can_load(LIBRARIES[package]):
        return True
    if apt_install(package) and can_load(LIBRARIES[package]):
        return True
    say(f"{LIBRARIES[package]} is not on this machine; what needs it will say so.")
    return False


def can_load(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def first_found(spellings: Sequence[str]) -> str | None:
    return next((path for path in map(shutil.which, spellings) if path), None)


def apt_install(package: str) -> bool:
    """Installs a Debian package where this account may; False where it may not or there is no such package."""
    as_root = root_prefix()
    if as_root is None or shutil.which("apt-get") is None:
        return False
    say(f"Installing {package} through apt")
    apt = [*as_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    subprocess.run([*apt, "update"], stdout=subprocess.DEVNULL)
    add = [*apt, "install", "-y", "--no-install-recommends", package]
    return subprocess.run(add, stdout=subprocess.DEVNULL).returncode == 0


def root_prefix() -> list[str] | None:
    """What to put before a command so that it runs as root without a question; None where that cannot be."""
    if os.name != "posix":
        return None
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True)
    return ["sudo", "-n"] if asked.returncode == 0 else None


class Node(NamedTuple):
    """The two programs of a Node.js."""

    node: str
    npm: str


def prepare_node(python: Path) -> Node | None:
    """A Node.js with the tests' own packages installed; None, and lines about it, where it cannot be had."""
    node = node_in(None) or node_from_wheel(python)
    folders = (EXTENSION_TESTS, CLIENT_TESTS)
    return node if node and all(install_modules(node, folder) for folder in folders) else None


def node_from_wheel(python: Path) -> Node | None:
    try:
        install(python, [NODE_WHEEL])
    except SetUpFailed as error:
        say(str(error))
        return None
    return node_in(str(python.parent))


def node_in(path: str | None) -> Node | None:
    """The Node.js of a search path, the machine's own by default; None where it is missing or too old."""
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node is None or npm is None:
        return None
    told = subprocess.run([node, "--version"], capture_output=True, text=True)
    major = told.stdout.strip().removeprefix("v").split(".")[0]
    return Node(node, npm) if major.isdigit() and int(major) >= NODE_MAJOR else None


def install_modules(node: Node, folder: Path) -> bool:
    """Installs what a folder's lock file says, unless that was done; hashes are checked, scripts are not run."""
    stamped, lock = read_stamp(STAMP), folder / "package-lock.json"
    name = f"{folder.name}/{lock.name}"
    wanted = {name: digest(lock)}
    finished = folder / "node_modules" / ".package-lock.json"  # npm writes it last
    if wanted.items() <= stamped.items() and finished.exists():
        return True
    say(f"Installing {name}")
    command = [node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(command, cwd=folder).returncode != 0:
        return False
    STAMP.write_text(json.dumps(stamped | wanted, indent=1))
    return True


def hand_over(command: Sequence[str]) -> int:
    """Becomes the command, so that signals and the exit status are its own."""
    os.chdir(ROOT)
    if os.name == "posix":
        sys.stdout.flush()
        os.execv(command[0], list(command))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the command too, and that decides
    return subprocess.run(command).returncode


class Step(NamedTuple):
    """One check that ran. `status` is the exit status; None means it was not reached."""

    name: str
    status: int | None
    seconds: float = 0.0


def run_tests(python: Path, pytest_arguments: Sequence[str]) -> int:
    """Runs all checks up to the first that fails, prints what ran and what did not, returns the failing status."""
    node = prepare_node(python)
    with tempfile.TemporaryDirectory() as folder:
        steps = run_steps(commands(python, node, pytest_steps(Path(folder), pytest_arguments)))
        skipped = read_skipped(Path(folder))
    if node is None:
        skipped.insert(0, f"tsc, node --test: no node (Node.js {NODE_MAJOR} or newer, with npm)")
    print_summary(steps, skipped)
    failed = next((step.status for step in steps if step.status), 0)
    if not failed and skipped and is_ci(os.environ):
        say("What was skipped counts as a failure here, because CI is set.")
        return 1
    return failed


def pytest_steps(reports: Path, arguments: Sequence[str]) -> dict[str, Sequence[str]]:
    """Everything, the browser tests last; or what the person asks for."""
    if arguments:
        lanes = {"pytest": tuple(arguments)}
    else:
        lanes = {"pytest": ("--ignore=tests/e2e", *AT_ONCE), "pytest tests/e2e": BROWSER_LANE}
    return {
        name: ("-m", "pytest", f"--junitxml={reports / str(number)}.xml", *lane)
        for number, (name, lane) in enumerate(lanes.items())
    }


def commands(
    python: Path, node: Node | None, pytest: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str | Path]]:
    """Every check by its name, the quick ones first."""
    checks: dict[str, Sequence[str | Path]] = {}
    for name, arguments in CHECKS.items():
        checks[name] = [python, *arguments]
    if node is not None:
        for project in sorted(EXTENSION_TESTS.glob("tsconfig*.json")):
            checks[f"tsc -p {project.name}"] = [node.node, TSC, "-p", project]
        checks["node --test"] = [node.node, "--test", REPORTER, *extension_tests()]
    return checks | {name: [python, *arguments] for name, arguments in pytest.items()}


def extension_tests() -> list[Path]:
    """Named one by one: what `node --test` makes of a folder differs from version to version."""
    found = EXTENSION_TESTS.rglob("*.test.js")
    return sorted(path for path in found if "node_modules" not in path.parts)


def run_steps(checks: Mapping[str, Sequence[str | Path]]) -> list[Step]:
    steps: list[Step] = []
    for name, command in checks.items():
        if any(step.status != 0 for step in steps):
            steps.append(Step(name, None))
            continue
        say(name)
        started = time.monotonic()
        status = subprocess.run(command, cwd=ROOT).returncode
        steps.append(Step(name, status, time.monotonic() - started))
    return steps


def read_skipped(reports: Path) -> list[str]:
    """The skipped tests of pytest's reports with their reasons; tests expected to fail are not among them."""
    cases = (ElementTree.parse(report).iter("testcase") for report in sorted(reports.iterdir()))
    return [
        f"{case.get('classname')}.{case.get('name')}: {skip.get('message')}"
        for case in chain.from_iterable(cases)
        for skip in case.findall("skipped")
        if skip.get("type") != "pytest.xfail"
    ]


def print_summary(steps: Sequence[Step], skipped: Sequence[str]) -> None:
    say("Summary")
    for step in steps:
        outcome = {0: "passed", None: "not run"}.get(step.status, "FAILED")
        print(f"  {outcome:8} {step.name:28} {step.seconds:7.1f} s")
    for line in skipped:
        print(f"  skipped  {line}")


def is_ci(environment: Mapping[str, str]) -> bool:
    return environment.get("CI", "").lower() in ("1", "true", "yes")


def say(line: str) -> None:
    print(f"\n» {line}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
