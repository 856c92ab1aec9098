"""A secret in a file of its own beside the database: made once, readable by nobody else, whole or not there at all."""

import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from broker.config import Settings
from broker.errors import StartRefused


def key_secret(settings: Settings) -> bytes:
    """What keys are hashed and links are signed with. Whoever loses it has to make new keys."""
    path = Path(f"{settings.db_path}.key-secret")
    text = kept_secret(path, "the secret of keys", _check_hex, lambda: secrets.token_hex(32))
    return bytes.fromhex(text)


def _check_hex(text: str) -> None:
    if len(bytes.fromhex(text)) < 32:
        raise ValueError


def kept_secret(
    path: Path, what: str, check: Callable[[str], object], make: Callable[[], str]
) -> str:
    """What the file holds; where there is none, a new secret that is then in it.

    `what` names it, `check` raises `ValueError` for what is none. Raises `StartRefused` for a file that will not do.
    """
    try:
        if not path.exists():
            _write(path, make())
        return _read(path, what, check)
    except OSError as error:
        raise StartRefused(f"{path} cannot be used: {error.strerror}.") from error


def _read(path: Path, what: str, check: Callable[[str], object]) -> str:
    try:
        secret = path.read_text(encoding="ascii").strip()
        check(secret)
    except ValueError:
        raise StartRefused(
            f"{path} does not hold {what}. Put it right, or remove it for a new one."
        ) from None
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise StartRefused(f"{path} can be read by others: chmod 600 {path}")
    return secret


def _write(path: Path, secret: str) -> None:
    """Nobody finds half a secret after a crash; of two that are made at once, the first stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent)
    part = Path(name)
    try:
        with open(number, "w", encoding="ascii") as file:
            file.write(f"{secret}\n")
            file.flush()
            os.fsync(file.fileno())
        _put_in_place(part, path)
    finally:
        part.unlink(missing_ok=True)


def _put_in_place(part: Path, path: Path) -> None:
    try:
        os.link(part, path)
    except FileExistsError:
        return
    except OSError:
        # A file system without hard links.
        os.replace(part, path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
