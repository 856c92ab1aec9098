"""How the text of a setting is read: each function returns the value, or raises `ValueError` or `KeyError`."""

from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from broker.keys import MIN_CHOSEN_CHARS
from broker.webhooks import read_secret


class Auth(StrEnum):
    """Whether callers must have a key."""

    AUTO = "auto"
    REQUIRED = "required"


class PayloadLog(StrEnum):
    """How much of a prompt the request log shows."""

    NONE = "none"
    SHORT = "short"
    FULL = "full"


def text(value: str) -> str:
    return value


def path(value: str) -> Path:
    return Path(value).expanduser()


def switch(value: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    return known[value.lower()]


def port(value: str) -> int:
    if not 0 <= int(value) <= 65535:
        raise ValueError
    return int(value)


def seconds(value: str) -> float:
    if not 0 < float(value) < 10_000_000:
        raise ValueError
    return float(value)


def amount(value: str) -> float:
    if not 0 <= float(value) < 10_000_000:
        raise ValueError
    return float(value)


def count(value: str) -> int:
    if not 0 < int(value) < 10_000_000:
        raise ValueError
    return int(value)


def names(value: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in value.split(",") if name.strip())


def origins(value: str) -> tuple[str, ...]:
    for origin in names(value):
        parts = urlsplit(origin)
        if not parts.scheme or not parts.netloc or origin != f"{parts.scheme}://{parts.netloc}":
            raise ValueError
    return names(value)


def base_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query:
        raise ValueError
    return value.rstrip("/")


def secret(value: str) -> str:
    read_secret(value)
    return value


def keys(value: str) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in value.split(",") if key.strip())
    for key in keys:
        # What a header cannot carry is no key.
        if len(key) < MIN_CHOSEN_CHARS or not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError
    return keys


def auth(value: str) -> Auth:
    return Auth(value.lower())


def payloads(value: str) -> PayloadLog:
    return PayloadLog(value.lower())
