"""The shapes on the line at the clients' door. What a shape means for a job is said in `translate.py`."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from broker.jobs import OnLost
from broker.outputs import MAX_PICTURES
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


class CreateVideo(Prompted):
    """Create a video generation job"""

    duration: Annotated[int, Field(ge=1, le=15)] | None = None
    resolution: Literal["480p", "720p", "1080p"] | None = None
    on_lost: OnLost = OnLost.RECOVER


class Video(Wire):
    """A video generation job"""

    id: str
    object: Literal["videos.generation"] = "videos.generation"
    created: int
    model: str
    status: Literal["pending", "processing", "completed", "failed"]
    video_url: str | None
    #: One sentence, or null unless the job failed.
    error: str | None
    error_code: str | None
    request_id: str
    video_id: str
    progress: int
    phase: str | None
    waiting_reason: str | None
    #: Unix seconds at which a job that must wait is tried again.
    retry_at: int | None


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


class TextPart(Wire):
    type: Literal["text"]
    text: str


class ImagePart(Wire):
    type: Literal["image_url"]
    image_url: ImageUrl

    @field_validator("image_url", mode="before")
    @classmethod
    def _plain_url(cls, value: Any) -> Any:
        return {"url": value} if isinstance(value, str) else value


class RefusalPart(Wire):
    type: Literal["refusal"]
    refusal: str


Part = Annotated[TextPart | ImagePart | RefusalPart, Field(discriminator="type")]


class Message(Wire):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None


class StreamOptions(Wire):
    include_usage: bool = False


class CreateChatCompletion(Wire):
    """Create a chat completion"""

    model: str = "grok"
    messages: Annotated[list[Message], Field(min_length=1, max_length=1000)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    response_format: dict[str, Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    function_call: str | dict[str, Any] | None = None
    modalities: list[str] | None = None
    priority: Priority = 0


class ChatMessage(Wire):
    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None
    reasoning_content: str | None = None


class Choice(Wire):
    index: int = 0
    message: ChatMessage
    logprobs: None = None
    finish_reason: str


class Usage(Wire):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    #: Grok's page tells no token counts; these are counted from the text's length.
    estimated: bool = True


class ChatCompletion(Wire):
    """A chat completion"""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    system_fingerprint: None = None


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
