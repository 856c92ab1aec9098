"""The shapes of a response on the line. What a shape means for a job is said in `translate.py`."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from broker.api.openai.wire import Priority, Wire

MAX_ITEMS = 1000
MAX_METADATA = 16
MAX_KEY_CHARS = 64
MAX_VALUE_CHARS = 512
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class Reasoning(Wire):
    """How hard to think. Shown again, not acted on: the page has no such knob."""

    effort: str | None = None
    summary: str | None = None


class TextConfig(Wire):
    """What the text is to look like; `translate.py` reads the format."""

    format: dict[str, Any] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class CreateResponse(Wire):
    """Create a response"""

    model: str = "grok"
    #: A text, or items: messages, and what tools were asked and answered.
    input: str | Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MAX_ITEMS)]
    instructions: str | None = None
    previous_response_id: str | None = None
    stream: bool | None = False
    background: bool | None = False
    store: bool | None = True
    text: TextConfig | None = None
    metadata: dict[str, str] | None = None
    webhook_url: str | None = None
    priority: Priority = 0
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Positive | None = None
    max_output_tokens: Positive | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Fraction | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    reasoning: Reasoning | None = None
    truncation: Literal["auto", "disabled"] | None = None
    include: list[str] | None = None
    stream_options: dict[str, Any] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None
    #: Refused: there is no store of these here.
    conversation: Any = None
    prompt: Any = None
    context_management: Any = None
    moderation: Any = None

    @field_validator("metadata")
    @classmethod
    def _within_limits(cls, metadata: dict[str, str] | None) -> dict[str, str] | None:
        if metadata is None:
            return None
        if len(metadata) > MAX_METADATA:
            raise ValueError(f"may have at most {MAX_METADATA} pairs")
        for key, value in metadata.items():
            if len(key) > MAX_KEY_CHARS or len(value) > MAX_VALUE_CHARS:
                raise ValueError(
                    f"keys have at most {MAX_KEY_CHARS} characters, values {MAX_VALUE_CHARS}"
                )
        return metadata


class InputTokensDetails(Wire):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class OutputTokensDetails(Wire):
    reasoning_tokens: int


class ResponseUsage(Wire):
    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int
    #: Grok's page tells no token counts; these are counted from the text's length.
    estimated: bool = True


class ResponseError(Wire):
    #: One of the codes that OpenAI has published; `reason` has our own.
    code: str
    message: str
    reason: str


class IncompleteDetails(Wire):
    reason: Literal["max_output_tokens", "content_filter"]


class Echo(Wire):
    """What a response shows again of its request: every field of it that is published."""

    background: bool
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    previous_response_id: str | None
    prompt_cache_key: str | None
    reasoning: Reasoning
    safety_identifier: str | None
    service_tier: Literal["default"] = "default"
    store: bool
    temperature: float | None
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float | None
    truncation: Literal["auto", "disabled"]
    #: Absent where none was given.
    user: str | None = None
    #: What was asked for and not acted on, a sentence each.
    warnings: list[str]


class Response(Echo):
    """A response"""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    model: str
    #: A `reasoning` item where the page showed its reasoning, then a `message`.
    output: list[dict[str, Any]]
    #: Absent until there is an answer.
    usage: ResponseUsage | None = None


class ResponseDeleted(Wire):
    """A response that is gone"""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


class InputItems(Wire):
    """What a response was made of"""

    object: Literal["list"] = "list"
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool
