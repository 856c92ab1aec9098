"""From a client's words about images to a job's, and back. No waiting and no storage."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

from broker.api.openai.images.wire import (
    CreateImage,
    ImageAspect,
    ImageUsage,
    References,
    TokenDetails,
)
from broker.api.openai.wire import image_text
from broker.errors import InvalidValue, UnsupportedParameter
from broker.offers import Offers

#: Sizes that clients ask for are not all exact: 1792x1024 means 16:9.
SIZE_TOLERANCE = 0.05
ASPECTS = tuple(aspect for aspect in get_args(ImageAspect) if aspect != "auto")
#: Within a fifth for English and code.
BYTES_PER_TOKEN = 4
_MAX_WORD_CHARS = 20
#: Clients of these models never say how they want their images, and read the bytes.
_BYTES_BY_DEFAULT = ("gpt-image", "chatgpt-image")


class _Wish(NamedTuple):
    """What the page cannot be asked for: the values that ask for nothing special, and why no other will do."""

    harmless: tuple[Any, ...]
    why: str


_WISHES: Mapping[str, _Wish] = {
    "stream": _Wish((False,), "Images are not streamed."),
    "partial_images": _Wish((0,), "Images are not streamed."),
    "quality": _Wish(("auto", "standard", "medium"), "The page makes images of one quality."),
    "resolution": _Wish(("1k",), "The page makes images of one size."),
    "style": _Wish(("vivid",), "The page has no styles: describe it in the prompt."),
    "background": _Wish(("auto", "opaque"), "The page makes opaque images."),
    "output_format": _Wish(("png", "jpeg", "webp"), "The page makes PNG, JPEG or WebP."),
    "output_compression": _Wish((100,), "Images are handed on as the page makes them."),
    "moderation": _Wish(("auto",), "The site moderates as it does."),
    "input_fidelity": _Wish(("low",), "The page has no such choice."),
    "frame_count": _Wish((1,), "The page makes single images."),
    "svg": _Wish((), "The page makes no SVG."),
    "mask": _Wish((), "The page takes no masks: say in the prompt what is to change."),
    "markup": _Wish((), "The page takes no markup: say in the prompt what is to change."),
}


def refuse_unsupported(asked: CreateImage, files: Sequence[str] = ()) -> None:
    """Raises for what a person at Grok's page could not do either; nothing is dropped in silence."""
    for param, wish in _WISHES.items():
        value = getattr(asked, param)
        if param in files or (value is not None and value not in wish.harmless):
            told = f"{_named(param, value)} is not offered here. {wish.why}"
            raise UnsupportedParameter(told, param=param)
    for param in files:
        if param not in ("image", "images"):
            raise UnsupportedParameter(f"A file named {param[:40]} is not taken.", param=param)


def _named(param: str, value: Any) -> str:
    """The parameter with its value, where that is a word and not a picture."""
    is_word = isinstance(value, str | int) and len(str(value)) <= _MAX_WORD_CHARS
    return f"{param} {value}" if is_word else param


def image_sources(asked: CreateImage, files: Mapping[str, Sequence[bytes]]) -> list[str | bytes]:
    """The images that came along, in their order: first the fields', then the files."""
    told = [*_texts("image", asked.image), *_texts("images", asked.images)]
    return [*told, *files.get("image", ()), *files.get("images", ())]


def image_options(asked: CreateImage, image_count: int, offers: Offers) -> dict[str, Any]:
    """For the worker. Raises `InvalidValue` for what no page now present offers."""
    if offers.max_images is not None and image_count > offers.max_images:
        raise InvalidValue(f"The page takes {offers.max_images} images at most.", param="image")
    param = "size" if asked.aspect_ratio is None else "aspect_ratio"
    aspect = asked.aspect_ratio or _aspect_of(asked.size)
    options: dict[str, Any] = {"n": asked.n or 1}
    if aspect in (None, "auto"):
        return options
    if offers.aspects is not None and aspect not in offers.aspects:
        told = ", ".join(shape for shape in ASPECTS if shape in offers.aspects)
        raise InvalidValue(f"The page does not offer {aspect}. It offers: {told}.", param=param)
    return {"aspect": aspect, **options}


def wants_bytes(asked: CreateImage) -> bool:
    """Whether the images go into the answer, and not just where they are."""
    if asked.response_format is not None:
        return asked.response_format == "b64_json"
    return asked.model.startswith(_BYTES_BY_DEFAULT)


def usage_of(prompt: str) -> ImageUsage:
    tokens = -(-len(prompt.encode()) // BYTES_PER_TOKEN)
    details = TokenDetails(text_tokens=tokens)
    return ImageUsage(input_tokens=tokens, total_tokens=tokens, input_tokens_details=details)


def _texts(param: str, given: References | None) -> list[str]:
    every = given if isinstance(given, list) else [given]
    return [image_text(each, param) for each in every if each]


def _aspect_of(size: str | None) -> str | None:
    """The shape of a size in pixels. Raises `InvalidValue` for one that is near none."""
    if size in (None, "auto"):
        return None
    width, height = (int(side) for side in size.split("x"))
    off_by, aspect = min((_difference(width / height, shape), shape) for shape in ASPECTS)
    if off_by > SIZE_TOLERANCE:
        raise InvalidValue(
            f"{size} has none of the shapes that there are: {', '.join(ASPECTS)}.", param="size"
        )
    return str(aspect)


def _difference(ratio: float, aspect: str) -> float:
    wide, high = (float(side) for side in aspect.split(":"))
    return abs(ratio * high / wide - 1)
