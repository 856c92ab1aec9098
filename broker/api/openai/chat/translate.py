"""From a client's chat to a question for a worker, and its answer back. No waiting and no storage."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from broker.api.openai.chat.answering import Answer, Question
from broker.api.openai.chat.formats import JsonFormat
from broker.api.openai.chat.usage import Usage
from broker.api.openai.chat.wire import (
    AudioPart,
    CreateChatCompletion,
    FilePart,
    ImagePart,
    Message,
    Part,
    RefusalPart,
    TextPart,
)
from broker.api.openai.intake import Order
from broker.api.openai.models import require_model
from broker.errors import InvalidValue, UnsupportedParameter
from broker.jobs import Job, JobKind

_SPEAKERS = {
    "system": "System",
    "developer": "System",
    "user": "User",
    "assistant": "Assistant",
    "tool": "Tool",
    "function": "Tool",
}
#: What a page has no knob for. Asked for, it is named in the answer's warnings.
_IGNORED = frozenset(
    [
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "seed",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "prediction",
        "web_search_options",
        "search_parameters",
        "verbosity",
        "reasoning_effort",
        "reasoning",
    ]
)
_FREE = ("auto", "none")


def question_of_chat(
    body: dict[str, Any], asked: CreateChatCompletion, form: JsonFormat | None
) -> Question:
    """What is asked, checked. Raises a `BadRequest` for what a person at Grok's page could not do either."""
    model = require_model(asked.model, JobKind.CHAT)
    _refuse_unsupported(asked)
    images = images_of(asked.messages)
    prompt = messages_prompt(asked.messages, form.instruction if form else "")
    order = Order(
        JobKind.CHAT,
        model,
        prompt,
        images,
        request=_with_files_as_images(body, asked.messages) if images else body,
        priority=asked.priority,
        # What is checked before it is told may be begun anew: nobody has seen any of it.
        is_streaming=bool(asked.stream) and form is None,
        is_background=bool(asked.deferred),
        webhook_url=asked.webhook_url,
    )
    stops = asked.stop if asked.stop and form is None else ()
    return Question(order, len(asked.messages), stops, form, tuple(_warnings(body, asked, form)))


# What is refused, and what is only said.


def _refuse_unsupported(asked: CreateChatCompletion) -> None:
    if asked.n not in (None, 1):
        raise UnsupportedParameter("n must be 1: the page gives one answer.", param="n")
    if "audio" in (asked.modalities or ()):
        raise UnsupportedParameter("Audio is not supported.", param="modalities")
    if asked.deferred and asked.stream:
        raise UnsupportedParameter("A deferred answer is not streamed.", param="deferred")
    if asked.webhook_url and not asked.deferred:
        raise UnsupportedParameter(
            "webhook_url is for answers that nobody waits for: set deferred.", param="webhook_url"
        )
    for param, choice in (
        ("tool_choice", asked.tool_choice),
        ("function_call", asked.function_call),
    ):
        if not _lets_be(choice):
            raise UnsupportedParameter(
                f"Grok's page cannot be made to call a tool: {param} must be auto or none.",
                param=param,
            )


def _lets_be(choice: str | dict[str, Any] | None) -> bool:
    """Whether this choice is content with an answer in words."""
    if isinstance(choice, dict):
        allowed = choice.get("allowed_tools")
        inner = allowed if isinstance(allowed, dict) else choice
        return inner.get("mode", inner.get("type")) in _FREE
    return choice is None or choice in _FREE


def _warnings(
    body: Mapping[str, Any], asked: CreateChatCompletion, form: JsonFormat | None
) -> Iterator[str]:
    if asked.tools or asked.functions:
        yield "Tools are not called: a page cannot be handed any."
    ignored = [name for name in body if name in _IGNORED and body[name] is not None]
    if ignored:
        yield f"Not acted on, because a page has no knob for it: {', '.join(ignored)}."
    if form is not None:
        yield from form.warnings
        if asked.stop:
            yield "stop is not applied to an answer in JSON."


# The prompt.


def messages_prompt(messages: Sequence[Message], instruction: str = "") -> str:
    """What is typed into the page: one user turn as it is, a conversation with its speakers named, in order.

    The instruction comes last. Raises a `BadRequest` where there is nothing to type or show.
    """
    turns = [(message, _words(message, number)) for number, message in enumerate(messages)]
    spoken = [turn for turn in turns if turn[1]]
    if not spoken and not images_of(messages):
        raise InvalidValue("The messages have no text and no image.", param="messages")
    if not spoken or (len(spoken) == 1 and spoken[0][0].role == "user"):
        lines = [text for _, text in spoken]
        return "\n\n".join([*lines, instruction] if instruction else lines)
    names = _tool_names(messages)
    lines = [f"{_speaker(message, names)}: {text}" for message, text in spoken]
    return "\n\n".join([*lines, f"System: {instruction}"] if instruction else lines)


def images_of(messages: Sequence[Message]) -> list[str]:
    """The images of all turns, in order, each once."""
    parts = [part for message in messages for part in message.content or ()]
    shown = [part for part in parts if not isinstance(part, TextPart)]
    return list(dict.fromkeys(url for part in shown if (url := _image_url(part)) is not None))


def _image_url(part: Part) -> str | None:
    if isinstance(part, ImagePart):
        return part.image_url.url
    if isinstance(part, FilePart) and (part.file.file_data or "").startswith("data:image/"):
        return part.file.file_data
    return None


def _words(message: Message, number: int) -> str:
    parts = [_words_of(part, number, place) for place, part in enumerate(message.content or ())]
    if message.refusal:
        parts.append(message.refusal)
    called = [call.function or call.custom for call in message.tool_calls or ()]
    for call in (*called, message.function_call):
        if call is not None:
            parts.append(f"[called {call.name} with {call.arguments or call.input or '{}'}]")
    return "\n".join(filter(None, parts))


def _words_of(part: Part, number: int, place: int) -> str:
    if isinstance(part, TextPart):
        return part.text
    if isinstance(part, RefusalPart):
        return part.refusal
    if isinstance(part, ImagePart) or _image_url(part) is not None:
        return ""
    kind = "input_audio" if isinstance(part, AudioPart) else "A file that is not an image"
    raise UnsupportedParameter(
        f"{kind} is not supported; of files, only images are taken, as file_data with a data:image/… URL.",
        param=f"messages.{number}.content.{place}",
    )


def _speaker(message: Message, tool_names: Mapping[str, str]) -> str:
    speaker = _SPEAKERS[message.role]
    if speaker != "Tool":
        return speaker
    name = tool_names.get(message.tool_call_id or "") or message.name
    return f"{speaker} {name}" if name else speaker


def _tool_names(messages: Sequence[Message]) -> dict[str, str]:
    """What the tools are called that the assistant called, by the id of the call."""
    calls = [call for message in messages for call in message.tool_calls or ()]
    called = [(call.id, call.function or call.custom) for call in calls]
    return {id: tool.name for id, tool in called if id and tool}


def _with_files_as_images(body: dict[str, Any], messages: Sequence[Message]) -> dict[str, Any]:
    """The request with images that came as files in the form that workers know; the very same where there are none."""
    parts = (part for message in messages for part in message.content or ())
    if not any(isinstance(part, FilePart) for part in parts):
        return body
    return {**body, "messages": [_with_images(message) for message in body["messages"]]}


def _with_images(message: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(message.get("content"), list):
        return message
    parts = [
        {"type": "image_url", "image_url": {"url": part["file"]["file_data"]}}
        if part["type"] == "file"
        else part
        for part in message["content"]
    ]
    return {**message, "content": parts}


# The answer.


def completion_of(question: Question, job: Job, answer: Answer) -> dict[str, Any]:
    """A `ChatCompletion`, built as it goes on the line: its parts are ours and need no second check."""
    message = {
        "role": "assistant",
        "content": answer.text,
        "refusal": answer.refusal,
        "reasoning_content": answer.reasoning,
    }
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": answer.finish_reason,
    }
    usage = usage_of(question, answer)
    completion = {
        **head_of(job, "chat.completion"),
        "choices": [choice],
        "usage": usage.on_the_line(),
    }
    return completion | {"warnings": question.warnings} if question.warnings else completion


def head_of(job: Job, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{job.id}",
        "object": kind,
        "created": int(job.created_at),
        "model": job.model,
    }


def usage_of(question: Question, answer: Answer) -> Usage:
    return question.usage(answer.text or "", answer.reasoning or "")
