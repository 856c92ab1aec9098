"""What the demo worker answers in a chat: honestly, that nobody thought about it, and what had arrived.

Pure: the same request gets the same answer, so a recovered answer is the one that was lost.
"""

import base64
import binascii
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

GIST_CHARS = 280
TURN_CHARS = 80
MAX_TURNS_SHOWN = 12


class Turn(NamedTuple):
    role: str
    text: str
    #: As base64 or data URLs.
    images: Sequence[str]


def answer(
    prompt: str, *, request: Mapping[str, Any] | None = None, image: str | None = None
) -> str:
    """The whole answer, in Markdown as a model would write it."""
    turns = read_turns(request) or [Turn("user", prompt, [image] if image else [])]
    return "\n\n".join(_paragraphs(turns))


def words_of(text: str) -> list[str]:
    """The text in pieces of a word each, white space kept, so that joining them gives the text again."""
    pieces: list[str] = []
    for char in text:
        if pieces and not (pieces[-1][-1].isspace() and not char.isspace()):
            pieces[-1] += char
        else:
            pieces.append(char)
    return pieces


def read_turns(request: Mapping[str, Any] | None) -> list[Turn]:
    """The turns of a chat request in order; a part that is neither text nor image is passed over."""
    messages = (request or {}).get("messages")
    if not isinstance(messages, list):
        return []
    return [_turn(message) for message in messages if isinstance(message, Mapping)]


def describe_image(image: str) -> str:
    """Type, size in pixels and size in bytes of an image in base64, or what is wrong with it."""
    from PIL import Image

    try:
        data = base64.b64decode(image.rpartition(",")[2], validate=True)
        with Image.open(io.BytesIO(data)) as opened:
            kind, width, height = opened.format, opened.width, opened.height
    except (binascii.Error, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return "an image that cannot be read"
    return f"a {kind} image, {width} by {height} pixels, {len(data):,} bytes"


def _turn(message: Mapping[str, Any]) -> Turn:
    content = message.get("content")
    role = str(message.get("role", "user"))
    if isinstance(content, str):
        return Turn(role, content, ())
    parts = [part for part in content or () if isinstance(part, Mapping)]
    texts = [str(part["text"]) for part in parts if isinstance(part.get("text"), str)]
    return Turn(role, " ".join(texts), [url for part in parts if (url := _image_url(part))])


def _image_url(part: Mapping[str, Any]) -> str | None:
    """The image in a part of a message, in whichever way clients write it."""
    image, file = part.get("image_url"), part.get("file")
    if isinstance(file, Mapping):
        data = file.get("file_data")
        return data if isinstance(data, str) and data.startswith("data:image/") else None
    url = image.get("url") if isinstance(image, Mapping) else image
    return url if isinstance(url, str) else None


def _paragraphs(turns: Sequence[Turn]) -> Iterator[str]:
    yield "This is Grok Broker's demo worker. No model has read your words; I only show what arrived."
    asked = next((turn.text for turn in reversed(turns) if turn.role == "user"), "")
    yield f"You wrote: “{shortened(asked, GIST_CHARS)}”" if asked.strip() else "You wrote no text."
    for image in (image for turn in turns for image in turn.images):
        yield f"With it came {describe_image(image)}."
    if len(turns) > 1:
        yield "\n".join(_list_of(turns))
    yield "A worker that is signed in to Grok answers through the same calls."


def _list_of(turns: Sequence[Turn]) -> Iterator[str]:
    yield f"I saw {len(turns)} turns:"
    shown = turns[-MAX_TURNS_SHOWN:]
    for number, turn in enumerate(shown, len(turns) - len(shown) + 1):
        image = f" (+ {len(turn.images)} image)" if turn.images else ""
        yield f"{number}. {turn.role}: {shortened(turn.text, TURN_CHARS)}{image}"


def shortened(text: str, chars: int) -> str:
    """On one line and no longer than that; what is left out is marked."""
    line = " ".join(text.split())
    return line if len(line) <= chars else line[: chars - 1].rstrip() + "…"
