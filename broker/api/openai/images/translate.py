"""From a client's words about images to a job's. No waiting and no storage."""

import json
from typing import get_args

from broker.api.openai.images.wire import CreateImage
from broker.api.openai.wire import Aspect
from broker.errors import InvalidValue

#: Sizes that clients ask for are not all exact: 1792x1024 means 16:9.
SIZE_TOLERANCE = 0.05


def image_options(asked: CreateImage) -> str:
    aspect = asked.aspect_ratio or _aspect_of(asked.size)
    return json.dumps({"aspect": aspect, "n": asked.n or 1} if aspect else {"n": asked.n or 1})


def _aspect_of(size: str | None) -> str | None:
    """The shape of a size in pixels. Raises `InvalidValue` for one that the page does not offer."""
    if size in (None, "auto"):
        return None
    width, height = (int(side) for side in size.split("x"))
    for aspect in get_args(Aspect):
        wide, high = (int(side) for side in aspect.split(":"))
        if abs(width * high / (height * wide) - 1) <= SIZE_TOLERANCE:
            return str(aspect)
    offered = ", ".join(get_args(Aspect))
    raise InvalidValue(f"{size} has none of the shapes that there are: {offered}.", param="size")
