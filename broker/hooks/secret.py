"""The secret that webhooks are signed with: the operator's, or one made once and kept beside the database."""

import secrets
from pathlib import Path

from broker.config import Settings
from broker.secret_file import kept_secret
from broker.webhooks import read_secret, written_secret


def secret_of(settings: Settings) -> str:
    """Makes the file where there is neither. Raises `StartRefused` for a file that will not do."""
    if settings.webhook_secret is not None:
        return settings.webhook_secret
    path = Path(f"{settings.db_path}.webhook-secret")
    return kept_secret(
        path, "a webhook secret", read_secret, lambda: written_secret(secrets.token_bytes(32))
    )
