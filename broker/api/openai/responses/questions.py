"""From a request for a response to a question for a worker, and what is remembered of it to be shown again.

The worker's request is a chat's; what only a response has stands under one key of it.
"""

from collections.abc import Iterator
from typing import Any

from broker.api.bodies import validated
from broker.api.openai.chat.answering import Question
from broker.api.openai.chat.formats import read_format
from broker.api.openai.chat.translate import question_of_chat
from broker.api.openai.chat.wire import CreateChatCompletion
from broker.api.openai.responses.translate import (
    Message,
    messages_of_instructions,
    messages_of_items,
)
from broker.api.openai.responses.wire import CreateResponse, Echo, Reasoning
from broker.errors import BadRequest, InvalidValue, MissingParameter, UnsupportedParameter

#: Where a stored request has what its response shows again. A chat without it is no response.
ECHO = "response"
_UNSUPPORTED = ("conversation", "prompt", "context_management", "moderation")
#: What a page has no knob for.
_KNOBS = ("max_output_tokens", "temperature", "top_p", "top_logprobs", "reasoning")


def refuse_unsupported(asked: CreateResponse) -> None:
    """Raises for what cannot be done here; nothing is dropped in silence."""
    for number, tool in enumerate(asked.tools or ()):
        if not isinstance(tool.get("type"), str):
            param = f"tools.{number}.type"
            raise MissingParameter(f"{param} is required.", param=param)
    for param in _UNSUPPORTED:
        if getattr(asked, param) is not None:
            raise UnsupportedParameter(f"{param} is not supported here.", param=param)
    if _must_call_tool(asked.tool_choice):
        message = "Grok's page cannot be made to call a tool: tool_choice must be auto or none."
        raise UnsupportedParameter(message, param="tool_choice")
    if asked.background and asked.store is False:
        message = "A response in the background is stored: leave store out, or background."
        raise InvalidValue(message, param="store")
    if asked.webhook_url is not None and not asked.background:
        message = "A webhook tells the end of a response in the background: set background too."
        raise InvalidValue(message, param="webhook_url")


def _must_call_tool(choice: str | dict[str, Any] | None) -> bool:
    if isinstance(choice, dict):
        return choice.get("type") != "allowed_tools" or choice.get("mode") != "auto"
    return choice not in (None, "auto", "none")


async def question_of_response(
    asked: CreateResponse, earlier: list[Message], items: str | list[dict[str, Any]]
) -> Question:
    """What is to be asked: `items` after the turns that came before. Raises a `BadRequest` in this client's words."""
    messages = [*messages_of_instructions(asked), *earlier, *messages_of_items(items)]
    request = {"model": asked.model, "messages": messages, "stream": bool(asked.stream)}
    wanted = asked.text.format if asked.text else None
    question = await question_of_stored(request, wanted)
    warnings = [*question.warnings, *_warnings(asked)]
    order = question.order._replace(
        request={**request, ECHO: echo_of(asked, warnings).model_dump()},
        priority=asked.priority,
        is_background=bool(asked.background),
        webhook_url=asked.webhook_url,
    )
    return question._replace(order=order, warnings=warnings)


async def question_of_stored(request: dict[str, Any], wanted: dict[str, Any] | None) -> Question:
    """The same of a request as the worker gets it, and the format that its answer is to have."""
    form = await read_format(wanted, "text.format")
    try:
        return question_of_chat(request, validated(CreateChatCompletion, request), form)
    except BadRequest as error:
        head, dot, rest = (error.param or "").partition(".")
        if head == "messages":
            error.param = f"input{dot}{rest}"
        raise


def echo_in(question: Question) -> dict[str, Any]:
    """What its response shows again."""
    assert question.order.request is not None
    echo: dict[str, Any] = question.order.request[ECHO]
    return echo


def _warnings(asked: CreateResponse) -> Iterator[str]:
    for kind in dict.fromkeys(tool["type"] for tool in asked.tools or ()):
        yield f"tools: {kind} was not offered to Grok; its page calls no tools."
    ignored = [name for name in _KNOBS if getattr(asked, name) is not None]
    if asked.text and asked.text.verbosity:
        ignored.append("text.verbosity")
    if ignored:
        yield f"Not acted on, because a page has no knob for it: {', '.join(ignored)}."


def echo_of(asked: CreateResponse, warnings: list[str]) -> Echo:
    """What the response shows again of its request, as it has been understood."""
    return Echo(
        background=bool(asked.background),
        instructions=asked.instructions,
        max_output_tokens=asked.max_output_tokens,
        max_tool_calls=asked.max_tool_calls,
        metadata=asked.metadata or {},
        parallel_tool_calls=asked.parallel_tool_calls is not False,
        previous_response_id=asked.previous_response_id,
        prompt_cache_key=asked.prompt_cache_key,
        reasoning=asked.reasoning or Reasoning(),
        safety_identifier=asked.safety_identifier,
        store=asked.store is not False,
        temperature=asked.temperature,
        text=_text_shown(asked),
        tool_choice=asked.tool_choice or "auto",
        tools=[_tool_shown(tool) for tool in asked.tools or ()],
        top_logprobs=asked.top_logprobs or 0,
        top_p=asked.top_p,
        truncation=asked.truncation or "disabled",
        user=asked.user,
        warnings=warnings,
    )


def _text_shown(asked: CreateResponse) -> dict[str, Any]:
    given = asked.text
    wanted = {"type": "text", **((given and given.format) or {})}
    if wanted["type"] == "json_schema":
        wanted = {"strict": False, **wanted}
    return {"format": wanted, "verbosity": (given and given.verbosity) or "medium"}


def _tool_shown(tool: dict[str, Any]) -> dict[str, Any]:
    """A function's optional fields are shown even where they were left out: the published shape has them."""
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, "strict": None, **tool}
