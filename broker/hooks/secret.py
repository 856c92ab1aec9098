"""The secret that webhooks are signed with: the operator's, or one made once and kept beside the database."""

import os
import secrets
from pathlib import Path

from broker.config import Settings
from broker.errors import StartRefused
from broker.webhooks import read_secret, written_secret


def secret_of(settings: Settings) -> str:
    """Makes the file where there is neither. Raises `StartRefused` for a file that will not do."""
    if settings.webhook_secret is not None:
        return settings.webhook_secret
    path = Path(f"{settings.db_path}.webhook-secret")
    try:
        return _kept(path) or _made(path)
    except OSError as error:
        raise StartRefused(f"{path} cannot be used: {error.strerror}.") from error


def _kept(path: Path) -> str | None:
    try:
        secret = path.read_text(encoding="ascii").strip()
        read_secret(secret)
    except FileNotFoundError:
        return None
    except ValueError:
        raise StartRefused(
            f"{path} does not hold a webhook secret. Put it right, or remove it for a new one."
        ) from None
    return secret


def _made(path: Path) -> str:
    """Whole or not there at all: nobody finds half a secret after a crash."""
    secret = written_secret(secrets.token_bytes(32))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Path(f"{path}.{os.getpid()}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"{secret}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    return secret
