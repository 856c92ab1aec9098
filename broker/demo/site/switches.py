"""Everything about the stand-in site that a test or a person may change while it runs. Holds values, does nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Generation = Literal["february", "april", "autumn"]
Transport = Literal["stream", "socket"]
Film = Literal["own", "empty", "placeholder", "previous", "huge"]
Language = Literal["en", "ko", "tr", "zh", "es"]
#: Where a refusal says when trying again helps: a `Retry-After` header, `error.availableAt`, or only in words.
ToldBy = Literal["header", "body", "words"]


@dataclass(frozen=True)
class RateLimit:
    """The site refuses these kinds; `reset_seconds` is None where it does not say until when."""

    reset_seconds: float | None = None
    kinds: frozenset[str] | set[str] = frozenset({"video", "image", "chat"})
    told_by: ToldBy = "header"


@dataclass
class Switches:
    """Read afresh at each page load and each request, so a change counts from the next one on."""

    generation: Generation = "autumn"
    chat_transport: Transport = "stream"
    language: Language = "en"

    # Who is looking, and what stands in the way.
    signed_in: bool = True
    human_check: bool = False
    cookie_banner: bool = False
    age_dialog: bool = False
    rate_limit: RateLimit | None = None
    moderation: bool = False
    #: So many pictures of a batch are moderated while `moderation` is on.
    moderated_slots: int = 1
    paywall: bool = False
    #: The dialog stands there as soon as /imagine is loaded, not only after a press.
    paywall_on_load: bool = False
    page_stale: bool = False
    #: The first page load after a refusal brings a page that is up to date.
    page_stale_heals: bool = False

    # What the page gets wrong.
    #: Purposes whose element the page does not have, as "chat.submit" or "imagine.mode".
    missing: set[str] = field(default_factory=set)
    flip_to_image: bool = False
    radios_ignore_clicks: bool = False
    prompt_mangled: bool = False
    ignores_press: bool = False
    accepts_silently: bool = False
    enter_submits: bool = True
    feed: bool = False
    #: The page's script sends every forged message so many times when it is loaded.
    forged_messages: int = 0
    #: Which ones: `{"post": data}` goes by window.postMessage, `{"event": name, "detail": …}` is dispatched.
    forged: Sequence[Mapping[str, Any]] | None = None

    # How the work goes.
    step_seconds: float = 0.05
    upload_seconds: float = 0.15
    stalled: bool = False
    cut_off: bool = False
    side_by_side: bool = False
    answer: str | None = None
    thinking: str | None = None
    #: Answers over the socket come as `response.output_text.delta`; None: every second one does.
    socket_deltas: bool | None = None
    image_count: int = 4

    # What becomes of the film.
    film: Film = "own"
    film_path: Path | None = None
    film_seconds: float = 2.0
    #: More than a broker takes in its first settings.
    huge_bytes: int = 513 * 1024 * 1024
    #: What the page is told as the film's address in place of the true one.
    media_address: str | None = None
    cdn_refusals: int = 0
    cdn_missing: int = 0
