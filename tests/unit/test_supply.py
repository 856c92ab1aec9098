"""Where everything comes from: what is imported is locked by hash, and the extension is packed the same each time."""

import ast
import importlib.metadata
import json
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from broker.cli import doctor
from broker.cli.pack_extension import ENDINGS, EXTENSION, files_of, pack_extension, packed

ROOT = Path(__file__).parents[2]
CORE, DEMO, DEV = "requirements.txt", "requirements-demo.txt", "requirements-dev.txt"
LOCKS = [CORE, DEMO, DEV, "tests/extension/requirements-node.txt"]
#: Which lock files are installed where a source runs.
INSTALLED = {
    "broker": [CORE],
    "broker/demo": [CORE, DEMO],
    "tests": [CORE, DEMO, DEV],
    "bench": [CORE, DEMO, DEV],
}
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


class Pin(NamedTuple):
    name: str
    version: Version
    marker: Marker | None
    hashes: int


@cache
def pins(lock: str) -> list[Pin]:
    """What a lock file installs. Any line that is more than a pinned name with hashes fails."""
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.partition(" #")[0].strip() for line in text.splitlines()]
    return [_pin(line) for line in lines if line and not line.startswith("#")]


def _pin(line: str) -> Pin:
    hashes = _HASH.findall(line)
    requirement = Requirement(_HASH.sub("", line).strip())
    (only,) = requirement.specifier
    assert only.operator == "==", line
    assert requirement.url is None, line
    name = canonicalize_name(requirement.name)
    return Pin(name, Version(only.version), requirement.marker, len(hashes))


def applies(marker: Marker | None) -> bool:
    return marker is None or marker.evaluate({"extra": ""})


def installed_by(locks: list[str]) -> dict[str, Version]:
    """What these lock files put into an environment such as this one."""
    found = [pin for lock in locks for pin in pins(lock) if applies(pin.marker)]
    return {pin.name: pin.version for pin in found}


# What is locked.


@pytest.mark.parametrize("lock", LOCKS)
def test_everything_is_pinned_to_one_version_and_its_hashes(lock: str) -> None:
    assert len(pins(lock)) >= 2
    assert [pin.name for pin in pins(lock) if pin.hashes == 0] == []
    times = [pin.name for pin in pins(lock) if applies(pin.marker)]
    assert len(times) == len(set(times))


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_holds_what_its_wishes_ask_for(lock: str) -> None:
    wishes = (ROOT / lock).with_suffix(".in").read_text(encoding="utf-8").splitlines()
    asked = [line.partition("#")[0].strip() for line in wishes if not line.startswith("-c")]
    locked = installed_by([lock])

    for wish in map(Requirement, filter(None, asked)):
        if applies(wish.marker):
            version = locked[canonicalize_name(wish.name)]
            assert wish.specifier.contains(version), f"{lock}: {wish} is locked to {version}"


def test_the_lock_files_agree_with_each_other() -> None:
    for lock in (DEMO, DEV):
        for name, version in installed_by([lock]).items():
            assert installed_by([CORE]).get(name, version) == version, f"{lock}: {name}"


@pytest.mark.parametrize("locks", [[CORE], [CORE, DEMO], [CORE, DEMO, DEV]], ids=" ".join)
def test_what_a_locked_package_needs_is_locked_too(locks: list[str]) -> None:
    locked = installed_by(locks)
    missing = [
        f"{name} needs {need}"
        for name in locked
        for need in map(Requirement, importlib.metadata.requires(name) or [])
        if applies(need.marker) and canonicalize_name(need.name) not in locked
    ]

    assert len(locked) > 20
    assert missing == []


def test_no_locked_package_runs_code_when_python_starts() -> None:
    """A `.pth` file can hold code that runs in every process of the environment."""
    hooks = [
        str(file)
        for name in installed_by([CORE, DEMO, DEV])
        for file in importlib.metadata.files(name) or []
        if file.suffix == ".pth"
    ]

    assert hooks == []


# What is imported.


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def sources(folder: str) -> list[Path]:
    """A folder's files, without those that a line of their own in `INSTALLED` speaks of."""
    others = [ROOT / other for other in INSTALLED if other.startswith(f"{folder}/")]
    found = [path for path in (ROOT / folder).rglob("*.py") if "node_modules" not in path.parts]
    return [path for path in found if not any(path.is_relative_to(other) for other in others)]


@pytest.mark.parametrize("folder", INSTALLED)
def test_what_is_imported_is_locked(folder: str) -> None:
    names = importlib.metadata.packages_distributions()
    locked = installed_by(INSTALLED[folder])
    own = {"broker", "tests", "bench", "run", "server"}

    files = [*sources(folder), *([ROOT / "server.py"] if folder == "broker" else [])]
    loose = []
    for path in files:
        for name in set(imported(path)) - own - sys.stdlib_module_names:
            known = {canonicalize_name(one) for one in names.get(name, [])}
            if not known & locked.keys():
                loose.append(f"{path.relative_to(ROOT)} imports {name}")

    assert len(files) >= 30
    assert loose == []


def test_what_makes_the_environment_needs_nothing_in_it() -> None:
    assert set(imported(ROOT / "run.py")) <= sys.stdlib_module_names


# How old a thing may be.


@pytest.mark.parametrize("name", doctor.FLOORS)
def test_what_is_locked_is_new_enough_to_be_safe(name: str) -> None:
    locked = installed_by([CORE, DEMO, DEV])

    assert locked[name] >= Version(doctor.FLOORS[name])
    assert Version(importlib.metadata.version(name)) >= Version(doctor.FLOORS[name])


@pytest.mark.parametrize(
    ("version", "floor", "is_older"),
    [
        ("1.0.0", "1.0.1", True),
        ("0.47.3", "1.0.1", True),
        ("1.0.1", "1.0.1", False),
        ("1.10.0", "1.0.1", False),
        ("0.0.9", "0.0.27", True),
        ("0.131.9", "0.132", True),
        ("0.132.0", "0.132", False),
        ("3.51.2", "3.51.3", True),
        ("3.51.3", "3.51.3", False),
        ("4.0", "3.51.3", False),
        ("0", "0.16", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, floor: str, is_older: bool) -> None:
    assert doctor.is_older(version, floor) is is_older


def test_the_doctor_tells_of_a_sqlite_that_is_old_and_of_no_other() -> None:
    assert "let no other program write" in doctor.told_of_sqlite("3.51.2")
    assert doctor.told_of_sqlite("3.51.3") == "3.51.3"


def test_the_doctor_names_a_library_that_is_too_old(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in (("SERVER_PORT", "1"), ("MIN_FREE_DISK_MIB", "0")):
        monkeypatch.setenv(name, value)
    doctor.examine()
    before = capsys.readouterr().out
    monkeypatch.setitem(doctor.FLOORS, "starlette", "99.1")

    assert doctor.examine() == 1

    told = capsys.readouterr().out
    assert "good   libraries: new enough" in before
    assert re.search(r"wrong  libraries: too old: starlette \S+ \(99\.1 needed\); pip", told)


# The extension's zip.


def test_two_copies_of_the_source_make_the_same_zip(tmp_path: Path) -> None:
    """Made at other times, by somebody else's rights, in another order, with leftovers beside it."""
    copy = tmp_path / "copy"
    for path in sorted((path for path in EXTENSION.rglob("*") if path.is_file()), reverse=True):
        target = copy / path.relative_to(EXTENSION)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        target.chmod(0o755)
    for leftover in (".DS_Store", "page/main.js.orig", "notes.txt", ".git/config.json"):
        (copy / leftover).parent.mkdir(exist_ok=True)
        (copy / leftover).write_text("mine")
    (copy / "linked.js").symlink_to("/etc/hostname")

    assert packed(copy) == packed(EXTENSION)


def test_the_zip_holds_the_extensions_files_and_nothing_else() -> None:
    with zipfile.ZipFile(BytesIO(packed())) as archive:
        entries = archive.infolist()
        contents = {entry.filename: archive.read(entry) for entry in entries}

    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert "manifest.json" in names
    assert contents == {name: path.read_bytes() for name, path in files_of(EXTENSION)}
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o100644}
    assert not [name for name in names if name.startswith("/") or ".." in name]


def test_every_file_of_the_extension_is_in_the_zip() -> None:
    there = {path for path in EXTENSION.rglob("*") if path.is_file()}

    assert {path for _, path in files_of(EXTENSION)} == there


def test_the_zip_is_named_for_its_version_and_told_by_its_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    version = json.loads((EXTENSION / "manifest.json").read_text(encoding="utf-8"))["version"]

    assert pack_extension() == 0

    (made,) = tmp_path.iterdir()
    assert made.name == f"grok-broker-extension-{version}.zip"
    assert re.fullmatch(rf"[0-9a-f]{{64}}  {made.name}\n", capsys.readouterr().out)
    assert made.read_bytes() == packed()


def test_a_zip_that_cannot_be_written_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pack_extension(tmp_path / "gone" / "extension.zip") == 1
    assert capsys.readouterr().err.startswith("error: ")


# The extension itself.


def test_the_extension_needs_no_package() -> None:
    names = {path.name for path in EXTENSION.rglob("*")}
    assert not names & {"package.json", "package-lock.json", "node_modules", "vendor", "lib"}
    assert {path.suffix for path in EXTENSION.rglob("*") if path.is_file()} <= ENDINGS


def test_every_import_of_the_extension_is_of_a_file_of_its_own() -> None:
    wanted = re.compile(r'^\s*(?:import|export)\b(?:[^;"]*\bfrom)?\s*"([^"]+)"', re.MULTILINE)
    found = [
        (path, name)
        for path in EXTENSION.rglob("*.js")
        for name in wanted.findall(path.read_text(encoding="utf-8"))
    ]

    assert len(found) > 60
    for path, name in found:
        target = (path.parent / name).resolve()
        assert name.startswith("."), f"{path.name} imports {name}"
        assert target.is_file(), f"{path.name} imports {name}"
        assert target.is_relative_to(EXTENSION), f"{path.name} imports {name}"
