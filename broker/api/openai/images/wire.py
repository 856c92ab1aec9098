"""The shapes of images on the line. What a shape means for a job is said in `translate.py`."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from broker.api.openai.wire import ImageReference, Priority, Prompt, Wire, no_blank
from broker.outputs import MAX_PICTURES

#: `auto` leaves it to the page.
ImageAspect = Literal[
    "auto",
    "1:1",
    "16:9",
    "9:16",
    "4:3",
    "3:4",
    "3:2",
    "2:3",
    "2:1",
    "1:2",
    "19.5:9",
    "9:19.5",
    "20:9",
    "9:20",
]
References = str | ImageReference | list[str | ImageReference]


class CreateImage(Wire):
    """Create images and wait for them"""

    prompt: Prompt
    model: str = "grok"
    n: Annotated[int, Field(ge=1, le=MAX_PICTURES)] | None = None
    #: Width and height, of which only the shape can be asked for; or `auto`.
    size: Annotated[str, Field(pattern=r"^(auto|[1-9][0-9]{1,4}x[1-9][0-9]{1,4})$")] | None = None
    aspect_ratio: ImageAspect | None = None
    response_format: Literal["url", "b64_json"] | None = None
    image: References | None = None
    images: References | None = None
    priority: Priority = 0
    #: From here on: what the page cannot be asked for. Each has values that ask for nothing special.
    quality: Literal["auto", "standard", "low", "medium", "high", "xhigh", "max", "hd"] | None = (
        None
    )
    resolution: Literal["1k", "2k"] | None = None
    style: Literal["vivid", "natural"] | None = None
    background: Literal["auto", "opaque", "transparent"] | None = None
    output_format: Literal["png", "jpeg", "webp", "gif", "svg"] | None = None
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    moderation: Literal["auto", "low"] | None = None
    input_fidelity: Literal["low", "high"] | None = None
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
    frame_count: Annotated[int, Field(ge=1)] | None = None
    svg: Any = None
    mask: Any = None
    markup: Any = None
    stream: bool | None = False

    _says_something = field_validator("prompt")(no_blank)


class ImageMade(Wire):
    """One image: its URL or its bytes, as was asked for"""

    url: str | None = None
    b64_json: str | None = None
    mime_type: str


class TokenDetails(Wire):
    text_tokens: int
    image_tokens: int = 0


class ImageUsage(Wire):
    """Estimated from the prompt's length: the page tells no token counts, and images are counted as none"""

    input_tokens: int
    output_tokens: int = 0
    total_tokens: int
    input_tokens_details: TokenDetails
    output_tokens_details: TokenDetails = TokenDetails(text_tokens=0)
    estimated: bool = True


class ImagesMade(Wire):
    """The images"""

    created: int
    data: list[ImageMade]
    usage: ImageUsage
    #: The job that made them.
    id: str
    object: Literal["images.generation"] = "images.generation"
    model: str
