"""Which network addresses are public, and what a URL's own text shows of where it leads. Resolves and connects nothing.

Who makes requests for others must not be led into this machine or its network; who sends them, `net/`, asks here.
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

from broker.errors import InvalidValue

MAX_URL_CHARS = 2000
#: What the host of a URL may consist of; anything else is read differently by different readers.
HOST = re.compile(r"[a-z0-9._:-]+", re.ASCII)
#: All of today's public IPv6. Outside lie, among others, the forms that carry an IPv4 address within.
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")


def is_public(address: str) -> bool:
    """Whether this is an address of the internet, in one of the standard spellings."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        carries_ipv4 = ip.sixtofour is not None or ip.teredo is not None
        return ip in _PUBLIC_IPV6 and ip.is_global and not carries_ipv4
    return ip.is_global and not ip.is_multicast


def checked_url(url: str, param: str, *, may_be_private: bool) -> str:
    """A URL that events may be sent to, in `tidy_url`'s spelling. Raises `InvalidValue`, naming `param`.

    The text alone is looked at: whoever sends looks at the addresses.
    """
    try:
        tidy = tidy_url(url)
    except ValueError as trouble:
        raise InvalidValue(f"{param} {trouble}.", param=param) from None
    if not may_be_private and is_private(tidy):
        message = f"{param} must lead to a public address; the operator has not allowed others."
        raise InvalidValue(message, param=param)
    return tidy


def tidy_url(url: str) -> str:
    """An http(s) URL, its host in small letters, its path at least `/`. Raises `ValueError` and says why."""
    if len(url) > MAX_URL_CHARS:
        raise ValueError(f"may have at most {MAX_URL_CHARS} characters")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be ASCII without blanks; percent-encode everything else")
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(parts.hostname or ""):
        raise ValueError("must begin with https:// or http:// and the name of a host")
    if "@" in parts.netloc:
        raise ValueError("must not hold credentials")
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path or '/'}{query}"


def is_private(url: str) -> bool:
    """Whether a URL's own text shows that it leads to no public address; what a name resolves to is not asked."""
    return _is_private_host(urlsplit(url).hostname or "")


def origin_of(url: str) -> str:
    """What a checked URL begins with: all up to its path."""
    return url[: url.index("/", len("https://")) + 1]


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    return parts


def _is_private_host(host: str) -> bool:
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    last = host.rpartition(".")[2]
    # A host that ends in a number is an address, in one of many spellings.
    is_address = ":" in host or last.isdecimal() or last.startswith("0x")
    return is_address and not is_public(host)
