"""The address under which a client reaches the broker, for links that it can open."""

from broker.api.lean import Call
from broker.config import Settings


def base_url(settings: Settings, call: Call) -> str:
    """The configured public address, else the one that this client called; never a fixed localhost."""
    if settings.public_base_url is not None:
        return settings.public_base_url
    return f"{call.scope['scheme']}://{call.header(b'host')}"
