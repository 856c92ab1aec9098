"""Takes out of a text what must not be written down: keys, tokens, passwords, image data. Knows no setting.

A secret is known by its beginning, by the name in front of it, or by its place in a URL. One that has none of
these looks like any other word, and stays.
"""

import hashlib
import re

SECRET = "[secret]"
#: More of these in a row are data, not a word.
DATA_CHARS = 256

#: Fields that hold nothing but a secret, whatever it looks like.
SECRET_FIELDS = frozenset(
    ["lease_token", "authorization", "proxy-authorization", "api_key", "api-key", "apikey"]
    + ["x-api-key", "token", "access_token", "refresh_token", "id_token", "password", "passwd"]
    + ["secret", "client_secret", "webhook_secret", "cookie", "set-cookie"]
)
_OWN_PREFIXES = ("gbc_", "gbw_", "gba_", "lt_", "whsec_")
_OTHERS_PREFIXES = ("sk-", "xai-")
_WORD_STARTS = r"(?<![A-Za-z0-9])"
_NAMED = r"(?i:((?<![\w-])(?:(?:[\w-]*[_-])?(?:key|token|secret)|apikey|auth|password|passwd|signature|sig)=))"
_HEADER = r"""(?i:(%s["']?\s*[:=]\s*["']?(?:(?:basic|bearer|digest|token)\s+)?))[^\s"',;}]+"""

#: What a text must contain, in small letters, for a pattern to be tried; what the pattern's first group finds stays.
_RULES = [
    (hint, re.compile(pattern, re.ASCII))
    for hint, pattern in [
        ("bearer", r"\bBearer\s+[\w.~+/-]{3,}=*|\b(?i:bearer)\s+[\w.~+/-]{16,}=*"),
        *((name, _HEADER % name) for name in ("authorization", "api-key", "api_key")),
        ("cookie", r"(?i:(\bcookie\s*:\s*))(?:[\w.-]+=[^\s;\"']*;?\s*)+"),
        ("=", _NAMED + r"[^\s&\"'#;,}]+"),
        ("://", r"(?<=://)[^/\s@]+(?=@)"),
        ("eyj", r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+"),
        *((prefix, rf"{_WORD_STARTS}{prefix}[\w+/=-]{{3,}}") for prefix in _OWN_PREFIXES),
        *((prefix, rf"{_WORD_STARTS}{prefix}[\w-]{{12,}}") for prefix in _OTHERS_PREFIXES),
    ]
]
_DATA_URL = re.compile(
    r"(?i:data:[\w.+-]{1,99}/[\w.+-]{1,99})(?:;[\w.=+-]+)*,[^\s\"'<>)\\]*", re.ASCII
)
_DATA = re.compile(rf"(?<![\w+/=-])[\w+/=-]{{{DATA_CHARS + 1},}}", re.ASCII)


def without_secrets(text: str) -> str:
    """The text with each secret as `[secret]`, and each image or other data by its size and hash."""
    lowered = text.lower()
    if "data:" in lowered:
        text = _DATA_URL.sub(_counted, text)
    if len(text) > DATA_CHARS:
        text = _DATA.sub(_counted, text)
    for hint, pattern in _RULES:
        if hint in lowered:
            text = pattern.sub(_hidden, text)
    return text


def counted(data: str) -> str:
    """What is written of data."""
    digest = hashlib.sha256(data.encode("utf-8", "replace")).hexdigest()
    return f"[{len(data)} characters, sha256 {digest}]"


def _counted(found: re.Match[str]) -> str:
    return counted(found[0])


def _hidden(found: re.Match[str]) -> str:
    return (found[1] or "") + SECRET if found.re.groups else SECRET
