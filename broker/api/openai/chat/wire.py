"""The shapes of a chat on the line. What a shape means for a job is said in `translate.py`."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from broker.api.openai.wire import ImageUrl, Priority, Wire


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
