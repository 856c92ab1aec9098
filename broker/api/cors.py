"""What a web page of a listed origin may send to the broker and read of its answers, by the names of headers.

Which origins are listed, and whether a page may call at all, is the guard's to say.
"""

import re
from collections.abc import Sequence

from broker.api.lean import Headers

#: Beside those that browsers let through anyway. The SDKs' own begin with `x-stainless-`, too many to be named.
_SENT = (
    b"authorization",
    b"content-type",
    b"idempotency-key",
    b"if-none-match",
    b"openai-beta",
    b"openai-organization",
    b"openai-project",
    b"range",
    # Not every browser keeps this one to itself.
    b"user-agent",
    b"x-api-key",
    b"x-inline-video",
    b"x-lease-token",
    b"x-stainless-retry-count",
    b"x-worker-id",
)
_SDK_HEADER = re.compile(rb"x-stainless-[a-z0-9-]{1,50}")
_READ = b", ".join(
    [
        b"content-disposition",
        b"content-range",
        b"etag",
        b"openai-poll-after-ms",
        b"openai-processing-ms",
        b"retry-after",
        b"retry-after-ms",
        b"x-ratelimit-limit-requests",
        b"x-ratelimit-limit-tokens",
        b"x-ratelimit-remaining-requests",
        b"x-ratelimit-remaining-tokens",
        b"x-ratelimit-reset-requests",
        b"x-ratelimit-reset-tokens",
        b"x-request-id",
        b"x-should-retry",
    ]
)


def answer_headers(origin: bytes) -> Headers:
    """On every answer to a page of a listed origin."""
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", _READ),
    ]


def preflight_headers(methods: Sequence[str], sent: Headers) -> Headers:
    """What a page may do here. Of the headers it asks for, those that are known; all of them if it names none."""
    asked = dict(sent).get(b"access-control-request-headers")
    names = _SENT if asked is None else [name for name in _names(asked) if _may_be_sent(name)]
    return [
        (b"access-control-allow-methods", ", ".join(methods).encode()),
        (b"access-control-allow-headers", b", ".join(names)),
        (b"access-control-max-age", b"600"),
    ]


def _names(asked: bytes) -> list[bytes]:
    return [name.strip().lower() for name in asked.split(b",")]


def _may_be_sent(name: bytes) -> bool:
    return name in _SENT or _SDK_HEADER.fullmatch(name) is not None
