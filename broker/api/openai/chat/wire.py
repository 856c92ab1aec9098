"""The shapes of a chat on the line. What a shape means for a job is said in `translate.py`."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from broker.api.openai.wire import ImageUrl, Priority, Wire

MAX_STOPS = 4
#: Of a stop, so that looking for its beginning in a stream stays cheap.
MAX_STOP_CHARS = 500
Stop = Annotated[str, Field(max_length=MAX_STOP_CHARS)]


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


class File(Wire):
    file_data: str | None = None
    file_id: str | None = None


class FilePart(Wire):
    """Taken where it is an image."""

    type: Literal["file"]
    file: File


class AudioPart(Wire):
    """Refused."""

    type: Literal["input_audio"]


Part = Annotated[
    TextPart | ImagePart | RefusalPart | FilePart | AudioPart, Field(discriminator="type")
]


class Called(Wire):
    """A tool that an assistant called, with what it was given."""

    name: str
    arguments: str = ""
    #: What a custom tool is given.
    input: str = ""


class ToolCall(Wire):
    id: str | None = None
    function: Called | None = None
    custom: Called | None = None


class Message(Wire):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: list[Part] | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: Called | None = None
    name: str | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _plain_text(cls, value: Any) -> Any:
        if isinstance(value, str):
            return [{"type": "text", "text": value}]
        if value is not None and not isinstance(value, list):
            raise ValueError("must be text or a list of parts")
        return value


class StreamOptions(Wire):
    include_usage: bool | None = False


class CreateChatCompletion(Wire):
    """Create a chat completion"""

    model: str = "grok"
    messages: Annotated[list[Message], Field(min_length=1, max_length=1000)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    n: int | None = None
    stop: Annotated[list[Stop], Field(max_length=MAX_STOPS)] | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: str | dict[str, Any] | None = None
    modalities: list[str] | None = None
    deferred: bool | None = False
    webhook_url: str | None = None
    priority: Priority = 0

    @field_validator("stop", mode="before")
    @classmethod
    def _plain_stop(cls, value: Any) -> Any:
        stops = [value] if isinstance(value, str) else value
        return [stop for stop in stops if stop != ""] if isinstance(stops, list) else stops


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


class PromptTokensDetails(Wire):
    cached_tokens: int = 0


class CompletionTokensDetails(Wire):
    reasoning_tokens: int


class CompletionUsage(Wire):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails
    #: Grok's page tells no token counts; these are counted from the text's length.
    estimated: bool = True


class ChatCompletion(Wire):
    """A chat completion"""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: CompletionUsage
    #: What was asked for and not acted on, a sentence each; absent where there is nothing to say.
    warnings: list[str] = []
