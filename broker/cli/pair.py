"""Confirms a worker that asks to be let in, at the broker that runs here, as the dashboard does.

Whoever may read the database and its secret may make any key. So where a key is asked for and none stands in the
environment, one is made for these calls and ended after them.
"""

import argparse
import asyncio
import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from broker.clock import SystemClock
from broker.config import Settings
from broker.errors import BrokerError
from broker.keyring import KeyRing, NewKey
from broker.keys import DAY_SECONDS, Scope
from broker.secret_file import key_secret
from broker.store.sqlite.keyshelf import open_keyshelf

#: Should it not come to ending the key that was made for these calls.
KEY_SECONDS = 300.0
#: A broker reads the keys anew more often than this.
KEY_KNOWN_SECONDS = 5.0
CALL_SECONDS = 10.0


class _Refused(Exception):  # noqa: N818 - carries what the broker said
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "code", nargs="?", help="as the extension shows it; without it, see who waits"
    )
    parser.add_argument("--id", help="which one, where several wait")
    parser.add_argument("--owner", help="keys of one owner see each other's jobs")
    parser.add_argument("--label", help="what its key is called; else as the worker calls itself")


def run(asked: argparse.Namespace) -> int:
    """Returns the exit status."""
    try:
        settings = Settings.from_env(os.environ)
        with _key(settings) as key:
            broker = _Broker(settings, key)
            return _confirm(broker, asked) if asked.code else _tell(broker.pending())
    except (_Refused, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokerError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return getattr(error, "exit_code", 1)


class _Broker:
    """The operators' calls that are needed here."""

    def __init__(self, settings: Settings, key: str | None) -> None:
        self._settings = settings
        self._key = key

    def pending(self) -> list[dict[str, Any]]:
        return list(self._call("GET", "/pairings")["data"])

    def confirm(self, pairing_id: str, **given: Any) -> dict[str, Any]:
        return self._call("POST", f"/pairings/{pairing_id}/confirm", given)

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Raises `_Refused`, and `OSError` where nobody answers."""
        host, port = self._settings.server_host, self._settings.server_port
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        # By this name every broker may be called, whatever its address.
        headers = {"Host": f"localhost:{port}", "Content-Type": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        line = http.client.HTTPConnection(host, port, timeout=CALL_SECONDS)
        try:
            line.request(method, path, None if body is None else json.dumps(body), headers)
            answer = line.getresponse()
            told: dict[str, Any] = json.loads(answer.read())
        except ConnectionError as error:
            raise OSError(f"No broker answers at {self._settings.own_url}.") from error
        finally:
            line.close()
        if answer.status != 200:
            raise _Refused(answer.status, str(told.get("detail", answer.status)))
        return told


@contextmanager
def _key(settings: Settings) -> Iterator[str | None]:
    """What these calls are made with: nothing where that will do."""
    if _is_taken(settings, None):
        yield None
    elif settings.admin_keys:
        yield settings.admin_keys[0]
    else:
        with _own_key(settings) as key:
            _wait_until(lambda: _is_taken(settings, key), KEY_KNOWN_SECONDS)
            yield key


@contextmanager
def _own_key(settings: Settings) -> Iterator[str]:
    """An operator's key that ends when this is left."""
    with open_keyshelf(settings.db_path) as shelf:
        ring = KeyRing(shelf, SystemClock(), key_secret(settings))
        new = NewKey(Scope.ADMIN, label="python -m broker pair", days=KEY_SECONDS / DAY_SECONDS)
        minted = asyncio.run(ring.create(new))
        try:
            yield minted.text
        finally:
            asyncio.run(ring.revoke(minted.key.id))


def _is_taken(settings: Settings, key: str | None) -> bool:
    try:
        _Broker(settings, key).pending()
    except _Refused as error:
        if error.status == 401:
            return False
        raise
    return True


def _wait_until(is_so: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.25)


def _confirm(broker: _Broker, asked: argparse.Namespace) -> int:
    pending = broker.pending()
    meant = [one for one in pending if asked.id in (None, one["id"])]
    if len(meant) != 1:
        _tell(meant)
        if meant:
            print("Several wait: say which with --id.", file=sys.stderr)
        return 1
    given = {"code": asked.code, "owner": asked.owner, "label": asked.label}
    broker.confirm(meant[0]["id"], **given)
    print(f"Confirmed: {_named(meant[0])}. Its words are: {' '.join(meant[0]['words'])}.")
    return 0


def _tell(pending: list[dict[str, Any]]) -> int:
    for one in pending:
        print(f"{one['id']}  {_named(one)}  {' '.join(one['words'])}")
    if not pending:
        print("No worker waits to be paired.", file=sys.stderr)
    return 0


def _named(pairing: dict[str, Any]) -> str:
    return f"{pairing['name'] or 'a worker without a name'}, at {pairing['address']}"
