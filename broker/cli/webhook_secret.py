"""Prints the secret that webhooks are signed with, for whoever sets up a receiver."""

import os
import sys

from broker.config import Settings
from broker.errors import StartRefused
from broker.hooks.secret import secret_of


def tell_secret() -> int:
    """Makes the secret where there is none yet. Returns the exit status."""
    try:
        print(secret_of(Settings.from_env(os.environ)))
    except StartRefused as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit_code
    return 0
