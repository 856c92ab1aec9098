"""What may be asked of the demo worker, how it says so, and what it refuses. Pure.

A job is done as it was asked for, or not at all: what is not known here is refused by name before anything is made.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from broker.demo.mishaps import WishRefused

#: Resolution → the short side in pixels.
SHORT_SIDES = {"480p": 480, "720p": 720, "1080p": 1080}
ASPECTS = ["1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "2:1", "1:2"]
ASPECTS += ["19.5:9", "9:19.5", "20:9", "9:20"]
MAX_IMAGES = 1
#: Where the client did not say: the shape of films, and the short side.
USUAL_ASPECT, USUAL_SHORT_SIDE = "16:9", 360

#: As hello tells it; in words of the worker protocol but for the first.
CAPABILITIES: Mapping[str, Any] = {
    "demo": True,
    "durations": list(range(1, 16)),
    "resolutions": list(SHORT_SIDES),
    "aspects": ASPECTS,
    "operations": [],
    "max_images": MAX_IMAGES,
}

_KNOWN: Mapping[str, Sequence[str]] = {
    "video": ("duration_seconds", "aspect", "resolution"),
    "image": ("aspect", "n"),
    "chat": (),
}


def refuse_unknown(kind: str, options: Mapping[str, Any], image_count: int) -> None:
    """Raises `WishRefused`, naming what cannot be had."""
    asked = {name: value for name, value in options.items() if value is not None}
    unknown = [name for name in asked if name not in _KNOWN[kind]]
    if unknown:
        # A film that an operation starts from says less than the operation.
        name = "operation" if "operation" in unknown else unknown[0]
        _refuse(f"does not know the option {name} {asked[name]!r}")
    if asked.get("aspect", USUAL_ASPECT) not in ASPECTS:
        _refuse(f"does not offer aspect {asked['aspect']!r}")
    if "resolution" in asked and asked["resolution"] not in SHORT_SIDES:
        _refuse(f"does not offer resolution {asked['resolution']!r}")
    if kind != "chat" and image_count > MAX_IMAGES:
        _refuse(f"takes one image, and the job has {image_count}")


def film_options(options: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Length and size in pixels as they were asked for; what was not said is `seconds` of 640 by 360.

    Both sides are even, because H.264 keeps colour at half the size.
    """
    wide, high = (float(side) for side in (options.get("aspect") or USUAL_ASPECT).split(":"))
    short = SHORT_SIDES.get(options.get("resolution") or "", USUAL_SHORT_SIDE)
    scale = short / min(wide, high)
    return {
        "seconds": options.get("duration_seconds") or seconds,
        "size": (round(wide * scale / 2) * 2, round(high * scale / 2) * 2),
    }


def _refuse(what: str) -> None:
    raise WishRefused(f"The demo worker {what}.")
