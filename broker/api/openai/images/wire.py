"""The shapes of images on the line. What a shape means for a job is said in `translate.py`."""

from typing import Annotated, Literal

from pydantic import Field

from broker.api.openai.wire import Prompted, Wire
from broker.outputs import MAX_PICTURES


class CreateImage(Prompted):
    """Create images and wait for them"""

    n: Annotated[int, Field(ge=1, le=MAX_PICTURES)] | None = 1
    #: Width and height, of which only the shape can be asked for; or `auto`.
    size: Annotated[str, Field(pattern=r"^(auto|[1-9][0-9]{1,4}x[1-9][0-9]{1,4})$")] | None = None
    response_format: Literal["url", "b64_json"] | None = "url"
    stream: bool | None = False


class ImageMade(Wire):
    """One image: its URL or its bytes, as was asked for"""

    url: str | None = None
    b64_json: str | None = None


class ImagesMade(Wire):
    """The images"""

    created: int
    data: list[ImageMade]
    #: The job that made them.
    id: str
    object: Literal["images.generation"] = "images.generation"
    model: str
