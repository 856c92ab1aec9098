"""Makes, lists, changes and ends keys, whether or not a broker runs on the database."""

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from broker.clock import SystemClock
from broker.config import Settings
from broker.errors import BrokerError
from broker.ids import Owner
from broker.keyring import KeyRing, Minted, NewKey
from broker.keys import Key, KeyId, Limits, Scope
from broker.secret_file import key_secret
from broker.store.sqlite.keyshelf import open_keyshelf

HOUR_SECONDS = 3600.0


def add_commands(parser: argparse.ArgumentParser) -> None:
    deeds = parser.add_subparsers(dest="what", required=True)
    create = deeds.add_parser("create", help="make a key; it is shown this once")
    create.add_argument("--scope", required=True, choices=[*Scope], help="what it may do")
    create.add_argument("--label", default="", help="what it is for")
    create.add_argument("--owner", help="keys of one owner see each other's jobs")
    create.add_argument("--days", type=float, help="how long it lasts (worker: 180)")
    create.add_argument("--per-minute", type=int, help="calls a minute")
    create.add_argument("--open-jobs", type=int, help="jobs that have not ended")
    create.add_argument("--daily-jobs", type=int, help="jobs a day")
    create.add_argument("--models", help="names of models, separated by commas; else all")
    deeds.add_parser("list", help="show all keys, without what makes them work")
    rotate = deeds.add_parser("rotate", help="make a new key in the place of one")
    rotate.add_argument("id")
    rotate.add_argument("--grace-hours", type=float, default=0.0, help="how long the old one lasts")
    revoke = deeds.add_parser("revoke", help="end a key, within a second")
    revoke.add_argument("id")
    forget = deeds.add_parser(
        "forget", help="drop a key that has ended from the list; without any, none is asked for"
    )
    forget.add_argument("id")


def run(asked: argparse.Namespace) -> int:
    """Returns the exit status."""
    try:
        settings = Settings.from_env(os.environ)
        with open_keyshelf(settings.db_path) as shelf:
            ring = KeyRing(shelf, SystemClock(), key_secret(settings))
            status: int = asyncio.run(_DEEDS[asked.what](ring, asked))
            return status
    except BrokerError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return getattr(error, "exit_code", 1)


async def _create(ring: KeyRing, asked: argparse.Namespace) -> int:
    names = [name.strip() for name in (asked.models or "").split(",")]
    models = tuple(name for name in names if name) or None
    limits = Limits(asked.per_minute, asked.open_jobs, asked.daily_jobs, models)
    owner = Owner(asked.owner) if asked.owner else None
    new = NewKey(Scope(asked.scope), owner, asked.label, asked.days, limits)
    _show(await ring.create(new))
    return 0


async def _list(ring: KeyRing, asked: argparse.Namespace) -> int:
    await ring.load()
    now = SystemClock().now()
    rows: list[Sequence[str]] = [("ID", "SCOPE", "OWNER", "STANDING", "MADE", "LAST USED", "LABEL")]
    rows += [_row(key, now) for key in ring.all]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    return 0


async def _rotate(ring: KeyRing, asked: argparse.Namespace) -> int:
    await ring.load()
    _show(await ring.rotate(KeyId(asked.id), asked.grace_hours * HOUR_SECONDS))
    return 0


async def _revoke(ring: KeyRing, asked: argparse.Namespace) -> int:
    await ring.load()
    key = await ring.revoke(KeyId(asked.id))
    print(f"{key.id} is revoked.")
    return 0


async def _forget(ring: KeyRing, asked: argparse.Namespace) -> int:
    await ring.load()
    await ring.forget(KeyId(asked.id))
    print(f"{asked.id} is forgotten.")
    return 0


_DEEDS: dict[str, Any] = {
    "create": _create,
    "list": _list,
    "rotate": _rotate,
    "revoke": _revoke,
    "forget": _forget,
}


def _show(minted: Minted) -> None:
    """The key alone on standard output, so that a script can take it from there."""
    key = minted.key
    print(f"Key {key.id} ({key.scope}, owner {key.owner}). Shown this once:", file=sys.stderr)
    print(minted.text)


def _row(key: Key, now: float) -> Sequence[str]:
    standing = "in force" if key.is_live(now) else "revoked" if key.revoked_at else "expired"
    return (
        key.id,
        key.scope,
        key.owner,
        standing,
        _day(key.created_at),
        _day(key.last_used_at),
        key.label,
    )


def _day(at: float | None) -> str:
    return "never" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
