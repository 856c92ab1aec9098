"""A response's request that came to the chat's address: some editors send it there and expect a chat's answer."""

from typing import Any

from broker.api.bodies import validated
from broker.api.openai.responses.translate import messages_of_input
from broker.api.openai.responses.wire import CreateResponse
from broker.errors import UnsupportedParameter

#: Where a stored request has what only a response has: no client may make a chat look like one.
KEPT_AS = "response"
#: What a response knows and a chat does not.
_ELSEWHERE = ("previous_response_id", "conversation", "prompt", "background")
_OWN_FIELDS = ("input", "instructions", "text", "reasoning", "max_output_tokens", *_ELSEWHERE)


def as_chat(body: dict[str, Any]) -> dict[str, Any]:
    """The same in a chat's words; a chat's own request as it is. Raises a `BadRequest`."""
    if KEPT_AS in body:
        body = {name: value for name, value in body.items() if name != KEPT_AS}
    if "messages" in body or "input" not in body:
        return body
    asked = validated(CreateResponse, body)
    for name in _ELSEWHERE:
        if body.get(name):
            raise UnsupportedParameter(f"{name} is for /v1/responses.", param=name)
    chat = {name: value for name, value in body.items() if name not in _OWN_FIELDS}
    chat["messages"] = messages_of_input(asked)
    if asked.text and asked.text.format:
        chat["response_format"] = asked.text.format
    if asked.reasoning and asked.reasoning.effort:
        chat["reasoning_effort"] = asked.reasoning.effort
    if asked.max_output_tokens:
        chat["max_completion_tokens"] = asked.max_output_tokens
    return chat
