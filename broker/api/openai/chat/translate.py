"""From a client's chat to a job's words, and back. No waiting and no storage."""

from collections.abc import Sequence
from typing import Any, assert_never

from broker.api.openai.chat.wire import (
    CreateChatCompletion,
    ImagePart,
    Message,
    RefusalPart,
    TextPart,
    Usage,
)
from broker.errors import InvalidValue, UnsupportedParameter
from broker.jobs import Job
from broker.outputs import Result

_ROLE_NAMES = {
    "system": "System",
    "developer": "System",
    "user": "User",
    "assistant": "Assistant",
    "tool": "Tool",
    "function": "Tool",
}


def refuse_unsupported(asked: CreateChatCompletion) -> None:
    """Raises for what a person at Grok's page could not do either; nothing is dropped in silence."""
    if asked.n not in (None, 1):
        raise UnsupportedParameter("n must be 1: the page gives one answer.", param="n")
    if asked.stop not in (None, [], ""):
        raise UnsupportedParameter("stop is not supported.", param="stop")
    wanted = (asked.response_format or {}).get("type", "text")
    if wanted != "text":
        raise UnsupportedParameter(
            f"response_format {wanted!r} is not supported; ask for JSON in the prompt.",
            param="response_format",
        )
    if "audio" in (asked.modalities or ()):
        raise UnsupportedParameter("Audio is not supported.", param="modalities")
    for param, choice in (
        ("tool_choice", asked.tool_choice),
        ("function_call", asked.function_call),
    ):
        if choice not in (None, "auto", "none"):
            raise UnsupportedParameter(
                f"Grok's page cannot be made to call a tool: {param} must be auto or none.",
                param=param,
            )


def chat_prompt(messages: Sequence[Message]) -> str:
    """What is typed into the page: one user turn as it is, a conversation with its speakers named, in order."""
    turns = [(message.role, _text_of(message)) for message in messages]
    spoken = [(role, text) for role, text in turns if text]
    if not spoken and not chat_images(messages):
        raise InvalidValue("The messages have no text and no image.", param="messages")
    if [role for role, _ in spoken] == ["user"]:
        return spoken[0][1]
    return "\n\n".join(f"{_ROLE_NAMES[role]}: {text}" for role, text in spoken)


def chat_images(messages: Sequence[Message]) -> list[str]:
    """The images of all turns, in order, each once."""
    parts = [p for m in messages if isinstance(m.content, list) for p in m.content]
    return list(dict.fromkeys(p.image_url.url for p in parts if isinstance(p, ImagePart)))


def _text_of(message: Message) -> str:
    if isinstance(message.content, str) or message.content is None:
        return message.content or ""
    return "\n".join(text for part in message.content if (text := _text_of_part(part)))


def _text_of_part(part: TextPart | ImagePart | RefusalPart) -> str:
    match part:
        case TextPart():
            return part.text
        case RefusalPart():
            return part.refusal
        case ImagePart():
            return ""
        case _:
            assert_never(part)


def completion_of(job: Job, result: Result, usage: Usage) -> dict[str, Any]:
    """A `ChatCompletion`, built as it goes on the line: its parts are ours and need no second check."""
    return _completion(
        job,
        {
            "role": "assistant",
            "content": result.text,
            "refusal": None,
            "reasoning_content": result.reasoning,
        },
        result.finish_reason or "stop",
        usage,
    )


def refused_completion(job: Job, usage: Usage) -> dict[str, Any]:
    """What Grok would not answer: an empty answer that says so, as clients expect of a content filter."""
    refusal = {
        "role": "assistant",
        "content": None,
        "refusal": job.error_message,
        "reasoning_content": None,
    }
    return _completion(job, refusal, "content_filter", usage)


def _completion(
    job: Job, message: dict[str, Any], finish_reason: str, usage: Usage
) -> dict[str, Any]:
    return {
        "id": completion_id(job),
        "object": "chat.completion",
        "created": int(job.created_at),
        "model": job.model,
        "choices": [
            {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
        ],
        "usage": usage.model_dump(),
        "system_fingerprint": None,
    }


def completion_id(job: Job) -> str:
    return f"chatcmpl-{job.id}"


def estimated_usage(prompt: str, message_count: int, answer: str) -> Usage:
    """Four bytes a token and four tokens a message: within a fifth for English and code."""
    asked = _tokens(prompt) + 4 * message_count
    answered = _tokens(answer)
    return Usage(prompt_tokens=asked, completion_tokens=answered, total_tokens=asked + answered)


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // 4)
