"""Keys as an operator makes them: on the command line, whether or not a broker runs in that folder."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.support.server import ROOT, BrokerProcess


def run_keys(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "broker", "keys", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def make_key(folder: Path, scope: str, *options: object) -> str:
    """A new key's text, which is all that stands on standard output."""
    ran = run_keys(folder, "create", "--scope", scope, *options)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def end_key(folder: Path, key: str) -> None:
    ran = run_keys(folder, "revoke", key[:12])
    assert ran.returncode == 0, ran.stderr


def bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def client_with(broker: BrokerProcess, key: str | None) -> httpx.Client:
    return broker.client(headers=bearer(key))
