"""Checks, one line each, what usually goes wrong: settings, port, folders, database, disk, worker."""

import json
import os
import shutil
import socket
import sqlite3
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from broker.clock import SystemClock
from broker.config import Settings
from broker.errors import StartRefused
from broker.keys import Scope
from broker.store.sqlite.keyshelf import read_keys

MIB = 1024 * 1024


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
    yield Finding(True, "SQLite", sqlite3.sqlite_version)
    yield _folder("VIDEO_STORAGE_PATH", settings.video_storage_path)
    yield _folder("LOG_PATH", settings.log_path)
    yield _folder("DB_PATH", settings.db_path.parent)
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


def _folder(name: str, folder: Path) -> Finding:
    if not folder.exists():
        parent = next(up for up in folder.absolute().parents if up.exists())
        return Finding(os.access(parent, os.W_OK), name, f"{folder} will be created")
    can_write = os.access(folder, os.W_OK | os.X_OK)
    return Finding(can_write, name, f"{folder} {'can' if can_write else 'cannot'} be written")


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
