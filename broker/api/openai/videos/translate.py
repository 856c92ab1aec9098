"""From a client's words about a video to a job's. No waiting and no storage.

Words of this site (`duration`, `resolution`, `aspect_ratio`) are taken exactly or refused. OpenAI's `seconds` and
`size` come from another site's lists, so its clients get the nearest that there is, and are told which. What would
change the film and cannot be had is refused by name; what would not is ignored.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, get_args

from broker.api.openai.videos.wire import CreateVideo, ExtendVideo, Image
from broker.api.openai.wire import Aspect, image_text
from broker.errors import InvalidValue, UnsupportedParameter
from broker.offers import Offers

T = TypeVar("T", int, str)

#: What the page has, as far as is known without asking it.
USUAL_SECONDS = (6, 10)
USUAL_RESOLUTIONS = ("480p", "720p")
RESOLUTIONS = ("480p", "720p", "1080p")
ASPECTS: tuple[str, ...] = get_args(Aspect)
#: Sizes that clients ask for are not all exact: 1024x1792 means 9:16.
SIZE_TOLERANCE = 0.05
IMAGE_FILES = ("image", "input_reference", "reference_images")


class Wish(NamedTuple):
    """What the page cannot be asked for: why not, and the values that ask for nothing special."""

    why: str
    harmless: tuple[Any, ...] = ()


_NO_SOURCE = Wish(
    "Use POST /v1/videos/edits or POST /v1/videos/extensions for a video made of one."
)
_NO_FRAMES = Wish("The page takes a picture to begin with, and none for later.")
_AS_SOURCE = Wish("The new video has what the old one has.")
_NO_IMAGE = Wish("No picture can be given beside the video.")

#: For every film.
UNSUPPORTED: Mapping[str, Wish] = {
    "last_frame": _NO_FRAMES,
    "keyframes": _NO_FRAMES,
    "reference_audios": Wish("The page takes no sounds and no voices."),
    "generate_audio": Wish("The page's videos have sound.", (True, "true")),
    "characters": Wish("The page has no characters."),
    "negative_prompt": Wish("Say in the prompt what is not wanted."),
    "seed": Wish("The page cannot be made to repeat itself."),
    "fps": Wish("The page has one frame rate."),
    "n": Wish("Each request makes one video.", (1, "1")),
    "output": Wish("Fetch the video when it is done."),
    "storage_options": Wish("Fetch the video when it is done."),
}
FOR_CREATE: Mapping[str, Wish] = {**UNSUPPORTED, "video": _NO_SOURCE, "video_url": _NO_SOURCE}
FOR_EXTENSION: Mapping[str, Wish] = {
    **UNSUPPORTED,
    **dict.fromkeys(("aspect_ratio", "resolution", "size"), _AS_SOURCE),
    **dict.fromkeys(("image", "image_url", "input_reference", "reference_images"), _NO_IMAGE),
}
FOR_EDIT: Mapping[str, Wish] = {
    **FOR_EXTENSION,
    **dict.fromkeys(("duration", "seconds"), _AS_SOURCE),
}


def refuse_unsupported(
    body: Mapping[str, Any],
    files: Collection[str],
    wishes: Mapping[str, Wish],
    takes_files: Collection[str] = (),
) -> None:
    """Raises `UnsupportedParameter` for the first thing asked for that cannot be had."""
    if not wishes.keys().isdisjoint(body):
        for param, (why, harmless) in wishes.items():
            if body.get(param) not in (None, "", [], {}, *harmless):
                raise UnsupportedParameter(f"{param} is not offered here. {why}", param=param)
    for param in files:
        if param not in takes_files:
            raise UnsupportedParameter(f"A file named {param[:40]} is not taken.", param=param)


def input_images(
    asked: CreateVideo, files: Mapping[str, Sequence[bytes]], offers: Offers
) -> list[str | bytes]:
    """The images that came along, first the one to begin with. Raises where there are more than the page takes."""
    found: list[str | bytes] = _texts("image", asked.image)
    if asked.image_url:
        found.append(asked.image_url)
    found += _texts("input_reference", asked.input_reference)
    found += _texts("reference_images", asked.reference_images)
    for name in IMAGE_FILES:
        found += files.get(name, ())
    if offers.max_images is not None and len(found) > offers.max_images:
        message = f"{len(found)} images are more than the page takes: {offers.max_images}."
        raise InvalidValue(message, param="image")
    return found


def film_options(asked: CreateVideo, offers: Offers, *, is_exact: bool) -> dict[str, Any]:
    """For the worker. Raises `InvalidValue` for what no page offers now, as far as that is known."""
    seconds = film_seconds(asked, offers, is_exact=is_exact)
    options = {
        "duration_seconds": seconds,
        "aspect": _aspect(asked, offers),
        "resolution": _resolution(asked, offers, is_exact=is_exact),
    }
    return {name: value for name, value in options.items() if value is not None}


def film_seconds(asked: CreateVideo | ExtendVideo, offers: Offers, *, is_exact: bool) -> int | None:
    if asked.duration is not None:
        return _offered(asked.duration, offers.durations, "duration")
    if asked.seconds is None:
        return None
    if is_exact:
        return _offered(asked.seconds, offers.durations, "seconds")
    return _nearest(asked.seconds, offers.durations or USUAL_SECONDS)


def is_choosy(asked: CreateVideo | ExtendVideo) -> bool:
    """Whether anything is asked for that must be held against what the pages offer."""
    return not asked.model_fields_set.isdisjoint(_OFFERED_WORDS)


_OFFERED_WORDS = frozenset(CreateVideo.model_fields) - {
    "prompt",
    "model",
    "priority",
    "on_lost",
    "webhook_url",
}


def _texts(param: str, given: Image | list[Image] | None) -> list[str | bytes]:
    every = given if isinstance(given, list) else [given]
    return [image_text(each, param) for each in every if each]


def _aspect(asked: CreateVideo, offers: Offers) -> str | None:
    if asked.aspect_ratio is not None:
        return _offered(asked.aspect_ratio, offers.aspects, "aspect_ratio")
    if asked.size is None:
        return None
    width, height = _sides(asked.size)
    off_by, aspect = min((_difference(width / height, shape), shape) for shape in ASPECTS)
    if off_by > SIZE_TOLERANCE:
        message = f"{asked.size} has none of the shapes that there are: {', '.join(ASPECTS)}."
        raise InvalidValue(message, param="size")
    return _offered(aspect, offers.aspects, "size")


def _resolution(asked: CreateVideo, offers: Offers, *, is_exact: bool) -> str | None:
    if asked.resolution is not None:
        return _offered(asked.resolution, offers.resolutions, "resolution")
    if asked.size is None:
        return None
    choice = RESOLUTIONS if is_exact else offers.resolutions or USUAL_RESOLUTIONS
    lines = _nearest(min(_sides(asked.size)), [int(name.rstrip("p")) for name in choice])
    return _offered(f"{lines}p", offers.resolutions, "size")


def _offered(value: T, offered: frozenset[T] | None, param: str) -> T:
    if offered is None or value in offered:
        return value
    choice = ", ".join(str(each) for each in sorted(offered, key=_in_order))
    message = f"{param}: no page offers {value} now. There is: {choice}."
    raise InvalidValue(message, param=param)


def _in_order(value: int | str) -> tuple[int, str]:
    return (value, "") if isinstance(value, int) else (len(value), value)


def _nearest(wanted: int, offered: Collection[int]) -> int:
    """Of two that are equally near, the larger: nobody gets less than was asked for without need."""
    return min(offered, key=lambda value: (abs(value - wanted), -value))


def _sides(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    return int(width), int(height)


def _difference(ratio: float, aspect: str) -> float:
    wide, _, high = aspect.partition(":")
    return abs(ratio * int(high) / int(wide) - 1)
