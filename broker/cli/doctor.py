"""Checks, one line each, what usually goes wrong: settings, libraries, port, folders, database, disk, worker."""

import json
import os
import re
import shutil
import socket
import sqlite3
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from broker.clock import SystemClock
from broker.config import Settings
from broker.errors import StartRefused
from broker.keys import Scope
from broker.store.sqlite.connection import newest_schema
from broker.store.sqlite.copies import newest_first
from broker.store.sqlite.inspection import inspect
from broker.store.sqlite.keyshelf import read_keys

MIB = 1024 * 1024
#: Older ones have a hole that this broker would be open to, or read requests otherwise than it takes for granted.
FLOORS = {
    "starlette": "1.0.1",  # a Host header could change what a request was for; ranges could be made costly
    "fastapi": "0.132",  # JSON was read whatever Content-Type it came with
    "python-multipart": "0.0.27",  # forms could be made costly
    "h11": "0.16",  # malformed chunks were let through
}
#: Before it, two connections that write at one time could damage the file. The broker writes through one alone.
SQLITE_ADVISED = "3.51.3"


class Finding(NamedTuple):
    is_good: bool
    what: str
    told: str


def examine() -> int:
    """Prints what it found; returns 1 if anything is wrong."""
    try:
        settings = Settings.from_env(os.environ)
    except StartRefused as error:
        print(f"wrong  settings: {error.message}")
        return error.exit_code
    findings = list(_findings(settings))
    for finding in findings:
        print(f"{'good ' if finding.is_good else 'wrong'}  {finding.what}: {finding.told}")
    return 0 if all(finding.is_good for finding in findings) else 1


def _findings(settings: Settings) -> Iterator[Finding]:
    yield Finding(sys.version_info >= (3, 11), "Python", sys.version.split()[0])
    yield Finding(True, "SQLite", told_of_sqlite(sqlite3.sqlite_version))
    yield _libraries()
    yield _folder("VIDEO_STORAGE_PATH", settings.video_storage_path)
    yield _folder("LOG_PATH", settings.log_path)
    yield _folder("DB_PATH", settings.db_path.parent)
    yield _database(settings.db_path)
    yield _copies(settings.backup_path)
    yield _disk(settings)
    yield _keys(settings)
    health = _health(settings)
    if health is None:
        yield _port(settings)
        return
    if "version" not in health:
        yield Finding(True, "broker", "running; what it does is told to an admin key alone")
        return
    yield Finding(True, "broker", f"running, version {health['version']}")
    yield _workers(health)


def told_of_sqlite(version: str) -> str:
    """It comes with Python or the system and cannot be pinned, so an older one is told and is no fault."""
    if is_older(version, SQLITE_ADVISED):
        return f"{version}, older than {SQLITE_ADVISED}: let no other program write to the database"
    return version


def _libraries() -> Finding:
    found = [(name, _version_of(name), floor) for name, floor in FLOORS.items()]
    old = [f"{name} {at} ({to} needed)" for name, at, to in found if is_older(at, to)]
    told = f"too old: {', '.join(old)}; pip install -r requirements.txt" if old else "new enough"
    return Finding(not old, "libraries", told)


def _version_of(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "0"


def is_older(version: str, floor: str) -> bool:
    return _numbers(version) < _numbers(floor)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _folder(name: str, folder: Path) -> Finding:
    if not folder.exists():
        parent = next(up for up in folder.absolute().parents if up.exists())
        return Finding(os.access(parent, os.W_OK), name, f"{folder} will be created")
    can_write = os.access(folder, os.W_OK | os.X_OK)
    return Finding(can_write, name, f"{folder} {'can' if can_write else 'cannot'} be written")


def _database(path: Path) -> Finding:
    try:
        inspect(path, newest_schema())
        if not path.exists():
            return Finding(True, "database", f"{path} will be created")
        mode = path.stat().st_mode & 0o777
    except (StartRefused, OSError) as error:
        return Finding(False, "database", str(error))
    if os.name == "posix" and mode & 0o077:
        told = f"others than its owner may use {path} (mode {mode:o}): chmod 600 {path}"
        return Finding(False, "database", told)
    return Finding(True, "database", f"{path} is whole")


def _copies(folder: Path) -> Finding:
    copies = newest_first(folder)
    if not copies:
        return Finding(True, "BACKUP_PATH", f"no copy in {folder} yet: python -m broker backup")
    return Finding(True, "BACKUP_PATH", f"{len(copies)} in {folder}, the newest {copies[0].name}")


def _keys(settings: Settings) -> Finding:
    made, now = read_keys(settings.db_path), SystemClock().now()
    counts = Counter(key.scope for key in made if key.is_live(now))
    counts[Scope.CLIENT] += len(settings.client_keys)
    counts[Scope.WORKER] += len(settings.worker_keys)
    counts[Scope.ADMIN] += len(settings.admin_keys)
    told = ", ".join(f"{counts[scope]} {scope}" for scope in Scope)
    if made or counts.total() or settings.requires_key:
        return Finding(bool(counts.total()), "keys", f"required; in force are {told}")
    return Finding(True, "keys", "not required: there is none")


def _disk(settings: Settings) -> Finding:
    folder = settings.video_storage_path
    place = folder if folder.exists() else Path.cwd()
    free_mib = shutil.disk_usage(place).free / MIB
    enough = free_mib >= settings.min_free_disk_mib
    return Finding(
        enough, "disk", f"{free_mib:.0f} MiB free, {settings.min_free_disk_mib:g} needed"
    )


def _port(settings: Settings) -> Finding:
    family = socket.AF_INET6 if ":" in settings.server_host else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((settings.server_host, settings.server_port))
        except OSError as error:
            told = f"{settings.server_port} cannot be used ({error.strerror}); set SERVER_PORT"
            return Finding(False, "SERVER_PORT", told)
    return Finding(
        True, "SERVER_PORT", f"{settings.server_port} is free; the broker is not running"
    )


def _health(settings: Settings) -> dict[str, object] | None:
    request = urllib.request.Request(
        f"{settings.own_url}/",
        headers={"Accept": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            found = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return found if isinstance(found, dict) and "status" in found else None


def _workers(health: dict[str, object]) -> Finding:
    workers = health.get("workers")
    if not isinstance(workers, list) or not workers:
        return Finding(False, "worker", "none has been heard of in the last 90 seconds")
    names = ", ".join(f"{w['name'] or w['id']} ({w['page_state'] or 'polling'})" for w in workers)
    return Finding(True, "worker", names)
