"""The shapes on the line that several of the clients' calls share; each kind has its own beside its routes."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from broker.errors import MissingParameter, UnsupportedParameter
from broker.submissions import PRIORITIES

MAX_PROMPT_CHARS = 32_000
Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARS)]
Priority = Annotated[int, Field(ge=min(PRIORITIES), le=max(PRIORITIES))]


def no_blank(prompt: str) -> str:
    """A prompt that says something. Raises `ValueError`, for pydantic."""
    if not prompt.strip():
        raise ValueError("must not be blank")
    return prompt


class Wire(BaseModel):
    """Fields that are not named here are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ImageUrl(Wire):
    url: str


class ImageReference(Wire):
    """An image as an object: xAI's `url`, or OpenAI's `image_url` or `file_id`."""

    url: str | None = None
    image_url: str | ImageUrl | None = None
    file_id: str | None = None


def image_text(given: str | ImageReference, param: str) -> str:
    """The text that an image was given as: base64 or a URL. Raises where there is none, or a file's id."""
    if isinstance(given, str):
        return given
    if given.file_id is not None:
        raise UnsupportedParameter(
            "Files are not kept here: send the image itself.", param=f"{param}.file_id"
        )
    url = given.image_url.url if isinstance(given.image_url, ImageUrl) else given.image_url
    if not (told := given.url or url):
        raise MissingParameter(f"{param}.url is required.", param=f"{param}.url")
    return told


#: Base64, a data URL, or `{"url": …}`.
InputImage = str | ImageUrl
Aspect = Literal["1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3"]


class Prompted(Wire):
    """What every request for a film or for pictures may say."""

    prompt: Prompt
    model: str = "grok"
    image: InputImage | list[InputImage] | None = None
    aspect_ratio: Aspect | None = None
    priority: Priority = 0

    _says_something = field_validator("prompt")(no_blank)


def input_images(asked: Prompted) -> list[str]:
    given = asked.image if isinstance(asked.image, list) else [asked.image]
    return [image.url if isinstance(image, ImageUrl) else image for image in given if image]


Modality = Literal["text", "image", "video"]


class Capabilities(Wire):
    """What the workers for one kind of job offer that were heard of lately. A word that is absent is not known"""

    workers: int
    durations: list[int] | None = None
    resolutions: list[str] | None = None
    aspects: list[str] | None = None
    operations: list[str] | None = None
    max_images: int | None = None
    #: By the names that the page shows.
    models: list[str] | None = None


class Model(Wire):
    """A model"""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    name: str
    #: Other names under which it can be asked for.
    aliases: list[str]
    input_modalities: list[Modality]
    output_modalities: list[Modality]
    #: By kind of job.
    capabilities: dict[str, Capabilities]


class ModelList(Wire):
    """The models"""

    object: Literal["list"] = "list"
    data: list[Model]


class ModelsOfKind(Wire):
    """The models of one kind, as xAI lists them"""

    models: list[Model]
