"""Links that a client can open: where the broker is for it, and leave to fetch a file without a key."""

from collections.abc import Callable

from broker.api.lean import Call
from broker.config import Settings
from broker.errors import LinkOver
from broker.keys import is_signed, signature
from broker.ports import Clock

HOUR_SECONDS = 3600.0


def base_url(settings: Settings, call: Call) -> str:
    """The configured public address, else the one that this client called; never a fixed localhost."""
    if settings.public_base_url is not None:
        return settings.public_base_url
    return f"{call.scope['scheme']}://{call.header(b'host')}"


class Links:
    """Where keys are asked for, a link to a film or image carries a signature, and ends."""

    def __init__(
        self, are_signed: Callable[[], bool], settings: Settings, clock: Clock, secret: bytes
    ) -> None:
        self._are_signed = are_signed
        self._settings = settings
        self._clock = clock
        self._secret = secret

    def media(self, call: Call, path: str) -> str:
        """The whole link to a film or image, for this client."""
        return base_url(self._settings, call) + self.signed(path)

    def signed(self, path: str) -> str:
        """The path with what opens it."""
        if not self._are_signed():
            return path
        ends_at = int(self._clock.now() + self._settings.link_hours * HOUR_SECONDS)
        return f"{path}?ends={ends_at}&sig={signature(self._secret, path, ends_at)}"

    def check(self, call: Call) -> None:
        """Raises `LinkOver` for a link that we did not sign, or not for so long."""
        if not self._are_signed():
            return
        query = {name: values[-1] for name, values in call.query().items()}
        ends_at, sig = query.get("ends", ""), query.get("sig", "")
        if not ends_at.isdecimal() or len(ends_at) > 12 or self._clock.now() >= int(ends_at):
            raise LinkOver()
        if not is_signed(self._secret, call.scope["path"], int(ends_at), sig):
            raise LinkOver()
