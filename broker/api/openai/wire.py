"""The shapes on the line that several of the clients' calls share; each kind has its own beside its routes."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from broker.submissions import PRIORITIES

MAX_PROMPT_CHARS = 32_000
Prompt = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARS)]
Priority = Annotated[int, Field(ge=min(PRIORITIES), le=max(PRIORITIES))]


class Wire(BaseModel):
    """Fields that are not named here are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ImageUrl(Wire):
    url: str


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

    @field_validator("prompt")
    @classmethod
    def _says_something(cls, prompt: str) -> str:
        if not prompt.strip():
            raise ValueError("must not be blank")
        return prompt


def input_images(asked: Prompted) -> list[str]:
    given = asked.image if isinstance(asked.image, list) else [asked.image]
    return [image.url if isinstance(image, ImageUrl) else image for image in given if image]


class Model(Wire):
    """A model"""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    #: What it makes: `video`, `text`.
    output_modalities: list[str]


class ModelList(Wire):
    """The models"""

    object: Literal["list"] = "list"
    data: list[Model]
