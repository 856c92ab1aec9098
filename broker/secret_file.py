"""A secret in a file of its own beside the database: made once, readable by nobody else, whole or not there at all."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from broker.config import Settings
from broker.errors import StartRefused


def key_secret(settings: Settings) -> bytes:
    """What keys are hashed and links are signed with. Whoever loses it has to make new keys."""
    path = Path(f"{settings.db_path}.key-secret")
    return bytes.fromhex(kept_secret(path, _check_hex, lambda: secrets.token_hex(32)))


def _check_hex(text: str) -> None:
    if len(bytes.fromhex(text)) < 32:
        raise ValueError


def kept_secret(path: Path, check: Callable[[str], object], make: Callable[[], str]) -> str:
    """What the file holds; where there is none, a new secret that is then in it.

    `check` raises `ValueError` for what is no such secret. Raises `StartRefused` for a file that will not do.
    """
    try:
        return _read(path, check) or _written(path, make())
    except OSError as error:
        raise StartRefused(f"{path} cannot be used: {error.strerror}.") from error


def _read(path: Path, check: Callable[[str], object]) -> str | None:
    try:
        secret = path.read_text(encoding="ascii").strip()
        check(secret)
    except FileNotFoundError:
        return None
    except ValueError:
        raise StartRefused(
            f"{path} does not hold such a secret. Put it right, or remove it for a new one."
        ) from None
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise StartRefused(f"{path} can be read by others: chmod 600 {path}")
    return secret


def _written(path: Path, secret: str) -> str:
    """Nobody finds half a secret after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(f"{path}.{os.getpid()}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"{secret}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    return secret
